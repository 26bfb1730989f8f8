/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_scale.c - how large a picture becomes, and that each of its pixels is the mean of what it covers.
 *
 * Wraps calloc, to fail.
 */
#include "tests/unit/unit.h"

#include "display/scale.h"

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static void test_fit(void **state)
{
	static const struct {
		const char *name;
		unsigned width, height, max_width;
		uint64_t max_pixels;
		unsigned out_width, out_height;
	} rows[] = {
		{ "any", 1280, 800, 0, 0, 1280, 800 },
		{ "wide enough", 1280, 800, 1280, 0, 1280, 800 },
		{ "never larger", 1280, 800, 4000, 1u << 30, 1280, 800 },
		{ "half", 1280, 800, 640, 0, 640, 400 },
		{ "rounded", 1280, 800, 333, 0, 333, 208 },
		{ "pixels", 1280, 800, 0, 256000, 640, 400 },
		{ "a pixel less", 1280, 800, 0, 255999, 639, 399 },
		{ "both, width counts", 1280, 800, 320, 512000, 320, 200 },
		{ "both, pixels count", 1280, 800, 1000, 256000, 640, 400 },
		{ "one pixel", 1280, 800, 0, 1, 1, 1 },
		{ "one column", 1280, 800, 1, 0, 1, 1 },
		{ "flat", 4096, 1, 100, 0, 100, 1 },
		{ "high", 1, 4096, 0, 100, 1, 100 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned width, height;

		scale_fit(rows[i].width, rows[i].height, rows[i].max_width, rows[i].max_pixels,
		          &width, &height);
		assert_row(rows[i].name, width == rows[i].out_width);
		assert_row(rows[i].name, height == rows[i].out_height);
	}
}

#define STRIDE 67u
#define ROWS 41u

static uint32_t pixel_at(unsigned x, unsigned y)
{
	return (x * 37 + y * 11) % 256 << 16 | (x * y) % 256 << 8 |
	       (x % 7 == 0 ? 255u : y % 3 * 90);
}

static void fill(uint8_t *from)
{
	for (unsigned i = 0; i < 3 * STRIDE * ROWS; i++)
		from[i] = (uint8_t)(pixel_at(i / 3 % STRIDE, i / 3 / STRIDE) >> (16 - 8 * (i % 3)));
}

/* How much of [from, from + 1) lies in [begin, end). */
static double share(unsigned from, double begin, double end)
{
	double low = from > begin ? from : begin, high = from + 1 < end ? from + 1 : end;

	return high > low ? high - low : 0;
}

/* The mean of one channel over what pixel (x, y) of a picture covers, by the definition. */
static double mean(const struct rectangle *area, unsigned width, unsigned height, unsigned x,
                   unsigned y, unsigned shift)
{
	double w = (double)area->width / width, h = (double)area->height / height, sum = 0;

	for (unsigned v = 0; v < area->height; v++)
		for (unsigned u = 0; u < area->width; u++)
			sum += share(u, x * w, (x + 1) * w) * share(v, y * h, (y + 1) * h) *
			       (pixel_at(area->x + u, area->y + v) >> shift & 0xff);
	return sum / (w * h);
}

static void test_means(void **state)
{
	static const struct {
		const char *name;
		struct rectangle area;
		unsigned width, height;
	} rows[] = {
		{ "as it is", { 0, 0, 67, 41 }, 67, 41 },
		{ "a piece as it is", { 3, 5, 20, 10 }, 20, 10 },
		{ "half", { 0, 0, 66, 40 }, 33, 20 },
		{ "odd", { 0, 0, 67, 41 }, 40, 25 },
		{ "a little", { 0, 0, 67, 41 }, 66, 40 },
		{ "one way", { 0, 0, 67, 41 }, 67, 13 },
		{ "the other way", { 0, 0, 67, 41 }, 13, 41 },
		{ "a piece", { 11, 7, 31, 29 }, 17, 12 },
		{ "to a point", { 0, 0, 67, 41 }, 1, 1 },
		{ "a column", { 66, 0, 1, 41 }, 1, 5 },
	};
	uint8_t from[3 * STRIDE * ROWS];

	(void)state;
	fill(from);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = (size_t)3 * rows[i].width * rows[i].height;
		uint8_t *rgb = malloc(size); /* exactly */

		assert_non_null(rgb);
		assert_int_equal(scale_rgb(from, STRIDE, &rows[i].area, rows[i].width,
		                           rows[i].height, rgb),
		                 0);
		for (unsigned k = 0; k < size; k++) {
			double due = mean(&rows[i].area, rows[i].width, rows[i].height,
			                  k / 3 % rows[i].width, k / 3 / rows[i].width,
			                  16 - 8 * (k % 3));
			double off = rgb[k] - due;

			assert_row(rows[i].name, off < 0.501 && off > -0.501);
		}
		free(rgb);
	}
}

/* The largest that there can be, all white: no sum overflows. */
static void test_largest(void **state)
{
	const struct rectangle area = { 0, 0, 4096, 4096 };
	uint8_t *from = malloc((size_t)4096 * 4096 * 3);
	uint8_t rgb[2 * 2 * 3];

	(void)state;
	assert_non_null(from);
	memset(from, 0xff, (size_t)4096 * 4096 * 3);
	assert_int_equal(scale_rgb(from, 4096, &area, 1, 1, rgb), 0);
	assert_memory_equal(rgb, "\xff\xff\xff", 3);
	assert_int_equal(scale_rgb(from, 4096, &area, 2, 2, rgb), 0);
	for (unsigned i = 0; i < sizeof(rgb); i++)
		assert_int_equal(rgb[i], 255);
	free(from);
}

static void test_no_memory(void **state)
{
	const struct rectangle area = { 0, 0, STRIDE, ROWS };
	uint8_t from[3 * STRIDE * ROWS];
	uint8_t rgb[3];

	(void)state;
	fill(from);
	no_memory = true;
	assert_int_equal(scale_rgb(from, STRIDE, &area, 1, 1, rgb), -ENOMEM);
	no_memory = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_means),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("display_scale", tests, NULL, NULL);
}
