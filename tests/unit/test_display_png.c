/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_png.c - PNG round trips, decoded by libspng: another's reading of the standard.
 *
 * Wraps malloc and mmap to run out of memory.
 */
#include "tests/unit/unit.h"

#include <spng.h>
#include <sys/mman.h>

#include "display/png.h"

static bool malloc_fails, mmap_fails;

void *__real_malloc(size_t size);
void *__real_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
	return malloc_fails ? NULL : __real_malloc(size);
}

void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (mmap_fails) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(addr, size, prot, flags, fd, offset);
}

/* Kinds of pixels. */
enum kind { BLACK, FLAT, PAGE, NOISE, MIXED };

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint8_t *make_pixels(enum kind kind, unsigned width, unsigned height)
{
	size_t row = (size_t)3 * width;
	uint8_t *rgb = calloc(height, row);
	uint32_t seed = 7;

	assert_non_null(rgb);
	for (unsigned y = 0; y < height; y++) {
		bool noisy = kind == NOISE || (kind == MIXED && y / 5 % 2);

		for (size_t i = 0; i < row; i++) {
			uint8_t page = (uint8_t)((i / 24 + y / 9) % 3 ? 255 : i * 5 + y);

			if (kind == BLACK)
				break;
			rgb[y * row + i] = noisy          ? (uint8_t)next_random(&seed)
			                   : kind == FLAT ? 200
			                                  : page;
		}
	}
	return rgb;
}

static void check_decodes_to(const void *png, size_t size, const uint8_t *rgb, unsigned width,
                             unsigned height)
{
	spng_ctx *ctx = spng_ctx_new(0);
	struct spng_ihdr header;
	size_t rgb_size = (size_t)3 * width * height, decoded_size;
	uint8_t *decoded = malloc(rgb_size);

	/* Every CRC counts, and so does zlib's checksum. */
	assert_int_equal(spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_ERROR), 0);
	assert_int_equal(spng_set_png_buffer(ctx, png, size), 0);
	assert_int_equal(spng_get_ihdr(ctx, &header), 0);
	assert_int_equal(header.width, width);
	assert_int_equal(header.height, height);
	assert_int_equal(header.bit_depth, 8);
	assert_int_equal(header.color_type, SPNG_COLOR_TYPE_TRUECOLOR);
	assert_int_equal(header.interlace_method, 0);
	assert_int_equal(spng_decoded_image_size(ctx, SPNG_FMT_RGB8, &decoded_size), 0);
	assert_int_equal(decoded_size, rgb_size);
	assert_int_equal(spng_decode_image(ctx, decoded, rgb_size, SPNG_FMT_RGB8, 0), 0);
	assert_int_equal(spng_decode_chunks(ctx), 0);
	assert_memory_equal(decoded, rgb, rgb_size);
	spng_ctx_free(ctx);
	free(decoded);
}

static void test_round_trips(void **state)
{
	static const struct {
		unsigned width, height;
	} sizes[] = { { 1, 1 },   { 2, 1 },    { 1, 2 },    { 3, 5 },     { 65, 67 },
		      { 127, 1 }, { 1, 4096 }, { 4096, 1 }, { 641, 479 }, { 1280, 800 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (enum kind kind = BLACK; kind <= MIXED; kind++) {
			uint8_t *rgb = make_pixels(kind, sizes[i].width, sizes[i].height);
			void *png = NULL;
			size_t size = 0;

			assert_int_equal(png_encode_rgb(rgb, sizes[i].width, sizes[i].height, &png,
			                                &size, NULL),
			                 0);
			check_decodes_to(png, size, rgb, sizes[i].width, sizes[i].height);
			free(png);
			free(rgb);
		}
	}
}

/* The bound of the worst case, and that flat screens are small. */
static void test_sizes(void **state)
{
	static const struct {
		enum kind kind;
		size_t at_most;
	} rows[] = {
		{ BLACK, 16 << 10 },
		{ FLAT, 16 << 10 },
		{ PAGE, 800 << 10 },
		{ NOISE, 3 * 1280 * 800 + (16 << 10) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *rgb = make_pixels(rows[i].kind, 1280, 800);
		void *png;
		size_t size;

		assert_int_equal(png_encode_rgb(rgb, 1280, 800, &png, &size, NULL), 0);
		assert_in_range(size, 100, rows[i].at_most);
		free(png);
		free(rgb);
	}
}

/* The same pixels give the same bytes. */
static void test_is_deterministic(void **state)
{
	uint8_t *rgb = make_pixels(MIXED, 300, 200);
	void *one, *two;
	size_t size_one, size_two;

	(void)state;
	assert_int_equal(png_encode_rgb(rgb, 300, 200, &one, &size_one, NULL), 0);
	assert_int_equal(png_encode_rgb(rgb, 300, 200, &two, &size_two, NULL), 0);
	assert_int_equal(size_one, size_two);
	assert_memory_equal(one, two, size_one);
	free(one);
	free(two);
	free(rgb);
}

static void test_no_memory(void **state)
{
	static uint8_t rgb[3 * 64 * 64];
	struct error err = { 0 };
	void *png = NULL;
	size_t size;

	(void)state;
	mmap_fails = true;
	assert_int_equal(png_encode_rgb(rgb, 64, 64, &png, &size, &err), -ENOMEM);
	mmap_fails = false;
	malloc_fails = true;
	assert_int_equal(png_encode_rgb(rgb, 64, 64, &png, &size, &err), -ENOMEM);
	malloc_fails = false;
	assert_null(png);
	assert_int_equal(err.code, -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_is_deterministic),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("display_png", tests, NULL, NULL);
}
