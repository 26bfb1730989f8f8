/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_framebuffer.c - page lists that lie, rows that straddle pages, a guest that changes
 * the header afterwards.
 *
 * Wraps malloc and calloc to run out of memory.
 */
#include "tests/unit/xwd_fixture.h"

#include "display/framebuffer.h"
#include "lib/proto.h"

static int allocations_left = -1; /* -1: no limit */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return allocations_left < 0 || allocations_left-- > 0 ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allocations_left < 0 || allocations_left-- > 0 ? __real_calloc(count, size) : NULL;
}

static int create(const struct xwd_fixture *file, struct framebuffer **out_fb)
{
	struct error err = { 0 };
	int rc = framebuffer_create(file->pages, file->count, file->width, file->height, out_fb,
	                            &err);

	assert_int_equal(err.code, rc);
	return rc;
}

/* All of it, as packed rows of R, G, B. */
static void read_rgb(const struct framebuffer *fb, uint8_t *rgb)
{
	struct rectangle all = { .width = framebuffer_width(fb), .height = framebuffer_height(fb) };
	size_t count = (size_t)all.width * all.height;
	/* Exactly: a sanitizer sees a byte too many. */
	uint32_t *pixels = __real_malloc(count * sizeof(*pixels));

	assert_non_null(pixels);
	framebuffer_read_area(fb, &all, pixels);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pixels[i] >> 24, 0);
		rgb[3 * i] = (uint8_t)(pixels[i] >> 16);
		rgb[3 * i + 1] = (uint8_t)(pixels[i] >> 8);
		rgb[3 * i + 2] = (uint8_t)pixels[i];
	}
	free(pixels);
}

static size_t rgb_size(const struct framebuffer *fb)
{
	return (size_t)3 * framebuffer_width(fb) * framebuffer_height(fb);
}

static void test_pixels(void **state)
{
	static const struct {
		const char *what;
		uint32_t width, height, header_size, colors, padding;
	} rows[] = {
		{ "as Xvfb has it", 1280, 800, 160, 256, 0 },
		{ "smallest", 64, 64, 160, 256, 0 },
		{ "odd width", 65, 67, 160, 256, 0 },
		{ "prime sides", 1279, 97, 160, 256, 0 },
		{ "rows padded", 641, 70, 160, 256, 36 },
		{ "rows of a page", 1024, 64, 4096, 0, 0 },
		{ "a pixel before each page's end", 1024, 64, 100, 0, 0 },
		{ "wider than a page holds", 4096, 64, 160, 256, 0 },
		{ "tall", 64, 4096, 160, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct xwd_fixture file;
		struct framebuffer *fb;
		uint8_t *expected, *rgb;
		size_t size;

		xwd_fixture_open(&file, rows[i].width, rows[i].height, rows[i].header_size,
		                 rows[i].colors, 4 * rows[i].width + rows[i].padding);
		assert_row(rows[i].what, create(&file, &fb) == 0);
		assert_int_equal(framebuffer_width(fb), rows[i].width);
		assert_int_equal(framebuffer_height(fb), rows[i].height);
		size = rgb_size(fb);
		assert_int_equal(size, (size_t)3 * rows[i].width * rows[i].height);
		rgb = malloc(size);
		expected = xwd_expected_rgb(&file);
		read_rgb(fb, rgb);
		assert_row(rows[i].what, memcmp(rgb, expected, size) == 0);
		free(rgb);
		free(expected);
		framebuffer_destroy(fb);
		xwd_fixture_close(&file);
	}
}

/* Any piece of it. */
static void test_areas(void **state)
{
	static const struct rectangle areas[] = {
		{ 0, 0, 1, 1 }, { 320, 122, 1, 1 },  { 0, 0, 321, 123 }, { 64, 32, 64, 32 },
		{ 5, 7, 3, 1 }, { 256, 96, 65, 27 }, { 0, 122, 321, 1 }, { 320, 0, 1, 123 },
	};
	struct xwd_fixture file;
	struct framebuffer *fb;

	(void)state;
	xwd_fixture_open(&file, 321, 123, 160, 256, 4 * 321 + 8);
	assert_int_equal(create(&file, &fb), 0);
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
		const struct rectangle *area = &areas[i];
		uint32_t *pixels = malloc((size_t)4 * area->width * area->height);

		assert_non_null(pixels);
		framebuffer_read_area(fb, area, pixels);
		for (unsigned y = 0; y < area->height; y++)
			for (unsigned x = 0; x < area->width; x++)
				assert_int_equal(pixels[y * area->width + x],
				                 xwd_color(area->x + x, area->y + y));
		free(pixels);
	}
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

/* It ends with its last reference. */
static void test_references(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb;
	uint32_t pixel;

	(void)state;
	xwd_fixture_open(&file, 64, 64, 160, 256, 256);
	assert_int_equal(create(&file, &fb), 0);
	assert_ptr_equal(framebuffer_share(fb), fb);
	framebuffer_destroy(fb);
	framebuffer_read_area(fb, &(struct rectangle){ 3, 4, 1, 1 }, &pixel);
	assert_int_equal(pixel, xwd_color(3, 4));
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

/* How a row of the table spoils an honest page list. */
enum spoil {
	NOTHING,
	FIRST_MISSING,
	LAST_MISSING,
	TWO_ALIKE,
	ENDS_ALIKE,
	ONE_TOO_FEW,
	ONE_TOO_MANY,
	NONE_AT_ALL,
	TOO_MANY,
	OTHER_WIDTH,
	OTHER_HEIGHT,
	HUGE_WIDTH,
};

static void spoil(struct xwd_fixture *file, enum spoil how)
{
	switch (how) {
	case NOTHING:
		break;
	case FIRST_MISSING:
		file->pages[0] = NULL;
		break;
	case LAST_MISSING:
		file->pages[file->count - 1] = NULL;
		break;
	case TWO_ALIKE:
		file->pages[7] = file->pages[6];
		break;
	case ENDS_ALIKE:
		file->pages[file->count - 1] = file->pages[0];
		break;
	case ONE_TOO_FEW:
		file->count--;
		break;
	case ONE_TOO_MANY:
		file->pages = realloc(file->pages, (file->count + 1) * sizeof(*file->pages));
		file->pages[file->count++] = file->ram + XWD_PAGE;
		break;
	case NONE_AT_ALL:
		file->count = 0;
		break;
	case TOO_MANY:
		file->count = PROTO_DISPLAY_PAGES_MAX + 1;
		break;
	case OTHER_WIDTH:
		file->width--;
		break;
	case OTHER_HEIGHT:
		file->height++;
		break;
	case HUGE_WIDTH:
		file->width = UINT32_MAX;
		break;
	}
}

static void test_claims(void **state)
{
	static const struct {
		enum spoil how;
		int rc;
	} rows[] = {
		{ NOTHING, 0 },
		{ FIRST_MISSING, -EINVAL },
		{ LAST_MISSING, -EINVAL },
		{ TWO_ALIKE, -EINVAL },
		{ ENDS_ALIKE, -EINVAL },
		{ ONE_TOO_FEW, -EINVAL },
		{ ONE_TOO_MANY, -EINVAL },
		{ NONE_AT_ALL, -EINVAL },
		{ TOO_MANY, -EINVAL },
		{ OTHER_WIDTH, -EINVAL },
		{ OTHER_HEIGHT, -EINVAL },
		{ HUGE_WIDTH, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct xwd_fixture file;
		struct framebuffer *fb = NULL;

		xwd_fixture_open(&file, 640, 480, 160, 256, 2560);
		spoil(&file, rows[i].how);
		if (create(&file, &fb) != rows[i].rc)
			fail_msg("row %zu", i);
		assert_int_equal(fb != NULL, rows[i].rc == 0);
		framebuffer_destroy(fb);
		xwd_fixture_close(&file);
	}
}

static void test_header_is_checked(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb = NULL;

	(void)state;
	xwd_fixture_open(&file, 640, 480, 160, 256, 2560);
	xwd_put_field(xwd_byte(&file, 0), F_DEPTH, 8);
	assert_int_equal(create(&file, &fb), -EINVAL);
	assert_null(fb);
	/* Rows that reach beyond the pages that were named. */
	xwd_put_field(xwd_byte(&file, 0), F_DEPTH, 24);
	xwd_put_field(xwd_byte(&file, 0), F_BYTES_PER_LINE, 16384);
	assert_int_equal(create(&file, &fb), -EINVAL);
	assert_null(fb);
	xwd_fixture_close(&file);
}

/* After creation the guest may write what it likes into its header. */
static void test_header_changes_later(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb;
	uint8_t *expected, *rgb;

	(void)state;
	xwd_fixture_open(&file, 640, 480, 160, 256, 2560);
	assert_int_equal(create(&file, &fb), 0);
	memset(xwd_byte(&file, 0), 0xff, 160);
	rgb = malloc(rgb_size(fb));
	expected = xwd_expected_rgb(&file);
	read_rgb(fb, rgb);
	assert_memory_equal(rgb, expected, rgb_size(fb));
	assert_int_equal(framebuffer_width(fb), 640);
	free(rgb);
	free(expected);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

/* The array belongs to the caller, the pages' contents to the guest: both are read as they are. */
static void test_array_is_copied(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb;
	uint8_t *rgb;
	void *first;

	(void)state;
	xwd_fixture_open(&file, 64, 64, 160, 256, 256);
	assert_int_equal(create(&file, &fb), 0);
	first = xwd_byte(&file, file.offset);
	memcpy(first, "\x11\x22\x33\x44", 4);
	memset(file.pages, 0, file.count * sizeof(*file.pages));
	rgb = malloc(rgb_size(fb));
	read_rgb(fb, rgb);
	assert_memory_equal(rgb, "\x33\x22\x11", 3);
	free(rgb);
	framebuffer_destroy(fb);
	framebuffer_destroy(NULL);
	xwd_fixture_close(&file);
}

static void test_no_memory(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb = NULL;

	(void)state;
	xwd_fixture_open(&file, 64, 64, 160, 256, 256);
	for (int n = 0; n < 2; n++) {
		allocations_left = n;
		assert_int_equal(create(&file, &fb), -ENOMEM);
		assert_null(fb);
	}
	allocations_left = -1;
	xwd_fixture_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pixels),
		cmocka_unit_test(test_areas),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_header_is_checked),
		cmocka_unit_test(test_header_changes_later),
		cmocka_unit_test(test_array_is_copied),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("display_framebuffer", tests, NULL, NULL);
}
