/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_compare.c - which tiles differ, and the picture of it, decoded by libspng.
 */
#include "tests/unit/xwd_fixture.h"

#include <spng.h>
#include <unistd.h>

#include "display/compare.h"

#define WIDTH 200u
#define HEIGHT 100u

static void test_hashes(void **state)
{
	const struct grid grid = grid_of(WIDTH, HEIGHT), other = grid_of(HEIGHT, WIDTH);
	uint64_t before[16], now[16];
	uint8_t marked[16];

	(void)state;
	assert_int_equal(grid_count(&grid), 16);
	for (unsigned i = 0; i < 16; i++)
		before[i] = now[i] = i * 7;
	memset(marked, 0xee, sizeof(marked));
	assert_int_equal(compare_hashes(&grid, before, &grid, now, marked), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(marked[i], 0);
	now[0]++;
	now[15]++;
	assert_int_equal(compare_hashes(&grid, before, &grid, now, marked), 2);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(marked[i], i == 0 || i == 15);
	assert_int_equal(compare_hashes(&other, before, &grid, before, marked), 16);
}

static void decode(int fd, size_t size, uint8_t *out_rgb)
{
	uint8_t *png = malloc(size);
	spng_ctx *decoder = spng_ctx_new(0);
	struct spng_ihdr header;
	size_t rgb_size;

	assert_non_null(png);
	assert_int_equal(pread(fd, png, size, 0), size);
	assert_int_equal(spng_set_png_buffer(decoder, png, size), 0);
	assert_int_equal(spng_get_ihdr(decoder, &header), 0);
	assert_int_equal(header.width, WIDTH);
	assert_int_equal(header.height, HEIGHT);
	assert_int_equal(spng_decoded_image_size(decoder, SPNG_FMT_RGB8, &rgb_size), 0);
	assert_int_equal(rgb_size, (size_t)3 * WIDTH * HEIGHT);
	assert_int_equal(spng_decode_image(decoder, out_rgb, rgb_size, SPNG_FMT_RGB8, 0), 0);
	spng_ctx_free(decoder);
	free(png);
}

static uint32_t pixel(const uint8_t *rgb, unsigned x, unsigned y)
{
	const uint8_t *at = rgb + 3 * (y * WIDTH + x);

	return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
}

static void test_picture(void **state)
{
	struct xwd_fixture file;
	struct framebuffer *fb;
	struct tiles *tiles;
	uint8_t marked[16] = { [1] = 1, [2] = 1 };
	static uint8_t rgb[3 * WIDTH * HEIGHT];
	size_t size;
	int fd;

	(void)state;
	xwd_fixture_open(&file, WIDTH, HEIGHT, 160, 256, 4 * WIDTH);
	assert_int_equal(framebuffer_create(file.pages, file.count, WIDTH, HEIGHT, &fb, NULL), 0);
	assert_int_equal(tiles_create(WIDTH, HEIGHT, &tiles), 0);
	tiles_scan(tiles, fb);
	assert_int_equal(compare_picture(tiles, marked, &fd, &size, NULL), 0);
	decode(fd, size, rgb);
	/* The two tiles are one area: x 64 to 191, y 0 to 31. */
	assert_int_equal(pixel(rgb, 64, 0), 0xe00020);
	assert_int_equal(pixel(rgb, 191, 31), 0xe00020);
	assert_int_equal(pixel(rgb, 65, 16), 0xe00020);
	assert_int_equal(pixel(rgb, 66, 2), xwd_color(66, 2));
	assert_int_equal(pixel(rgb, 128, 16), xwd_color(128, 16));
	assert_int_equal(pixel(rgb, 189, 29), xwd_color(189, 29));
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < WIDTH; x++) {
			uint32_t p = pixel(rgb, x, y);

			if (x >= 64 && x < 192 && y < 32)
				continue;
			/* Grey, in the upper half. */
			assert_true(p >= 0x808080 && p % 0x010101 == 0);
		}
	}
	/* The copy itself is as it was. */
	assert_int_equal(tiles_pixels(tiles)[0], xwd_color(0, 0));
	close(fd);
	tiles_destroy(tiles);
	framebuffer_destroy(fb);
	xwd_fixture_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_picture),
	};

	return cmocka_run_group_tests_name("display_compare", tests, NULL, NULL);
}
