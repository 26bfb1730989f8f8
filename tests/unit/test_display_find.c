/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_find.c - find and png_read: a picture is found wherever it stands, and nothing else is.
 */
#include <spng.h>

#include "display/find.h"
#include "display/png.h"
#include "display/png_read.h"
#include "tests/unit/unit.h"

#define WIDTH 500u /* of the screen: no whole number of tiles */
#define HEIGHT 300u
#define T_WIDTH 70u /* of the template: more than a tile */
#define T_HEIGHT 37u

static struct picture screen;
static uint32_t sought[T_WIDTH * T_HEIGHT];

static uint32_t mix(uint32_t value)
{
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	return value ^ (value >> 16);
}

/* A window's chrome: flat, a border, some letters. */
static void paint_template(void)
{
	for (unsigned y = 0; y < T_HEIGHT; y++)
		for (unsigned x = 0; x < T_WIDTH; x++) {
			uint32_t colour = 0xffe0e0e0;

			if (x == 0 || y == 0 || x == T_WIDTH - 1 || y == T_HEIGHT - 1)
				colour = 0xff404040;
			else if (y > 10 && y < 20 && x > 10 && x < 50 && mix(y * 100 + x) % 3 == 0)
				colour = 0xff000000 | (mix(x + y) & 0x3f3f3f);
			sought[y * T_WIDTH + x] = colour;
		}
}

/* What the template has colours in common with. */
static void paint_screen(void)
{
	for (unsigned y = 0; y < HEIGHT; y++)
		for (unsigned x = 0; x < WIDTH; x++)
			screen.pixels[y * WIDTH + x] =
				mix(x / 3 + y * 977) % 5 == 0 ? 0x404040 : 0xe0e0e0;
	memset(screen.changed, 1, grid_count(&screen.grid));
}

static void put_template(unsigned at_x, unsigned at_y)
{
	for (unsigned y = 0; y < T_HEIGHT; y++)
		for (unsigned x = 0; x < T_WIDTH; x++)
			screen.pixels[(at_y + y) * WIDTH + at_x + x] =
				sought[y * T_WIDTH + x] & 0xffffff;
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(picture_resize(&screen, WIDTH, HEIGHT), 0);
	paint_template();
	paint_screen();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	picture_finish(&screen);
	return 0;
}

static struct find_template *create(const uint32_t *mask)
{
	struct find_template *template;
	struct error err = { 0 };

	if (find_create(sought, mask, T_WIDTH, T_HEIGHT, &template, &err))
		fail_msg("%s", err.msg);
	return template;
}

static void test_everywhere(void **state)
{
	struct find_template *template = create(NULL);
	struct rectangle place;

	(void)state;
	assert_int_equal(find_pixels(template), T_WIDTH * T_HEIGHT);
	assert_false(find_changed(template, &screen, &place));
	for (unsigned y = 0; y <= HEIGHT - T_HEIGHT; y += 263 % (y + 9) + 1)
		for (unsigned x = 0; x <= WIDTH - T_WIDTH; x += 43) {
			paint_screen();
			put_template(x, y);
			if (!find_changed(template, &screen, &place))
				fail_msg("not found at %u,%u", x, y);
			assert_int_equal(place.x, x);
			assert_int_equal(place.y, y);
			assert_int_equal(place.width, T_WIDTH);
			assert_int_equal(place.height, T_HEIGHT);
			assert_true(find_is_at(template, &screen, x, y));
		}
	/* The corners, and beyond them. */
	paint_screen();
	put_template(WIDTH - T_WIDTH, HEIGHT - T_HEIGHT);
	assert_true(find_changed(template, &screen, &place));
	assert_false(find_is_at(template, &screen, WIDTH - T_WIDTH + 1, 0));
	assert_false(find_is_at(template, &screen, UINT32_MAX, UINT32_MAX));
	find_destroy(template);
}

/* One pixel, wherever it is, makes it another picture. */
static void test_every_pixel_counts(void **state)
{
	struct find_template *template = create(NULL);
	struct rectangle place;

	(void)state;
	put_template(123, 45);
	for (unsigned y = 0; y < T_HEIGHT; y++)
		for (unsigned x = 0; x < T_WIDTH; x++) {
			uint32_t *pixel = &screen.pixels[(45 + y) * WIDTH + 123 + x];

			*pixel ^= 1;
			assert_false(find_changed(template, &screen, &place));
			*pixel ^= 1;
		}
	assert_true(find_changed(template, &screen, &place));
	find_destroy(template);
}

/* Whichever of its tiles is the last to come: it is found by that tile's change alone. */
static void test_any_tile_completes_it(void **state)
{
	struct find_template *template = create(NULL);
	const struct rectangle at = { 100, 90, T_WIDTH, T_HEIGHT };
	struct rectangle place;
	unsigned touched = 0;

	(void)state;
	put_template(at.x, at.y);
	for (unsigned i = 0; i < grid_count(&screen.grid); i++) {
		struct rectangle tile = grid_tile(&screen.grid, i);
		bool overlaps = rectangle_overlaps(&tile, &at);

		memset(screen.changed, 0, grid_count(&screen.grid));
		screen.changed[i] = 1;
		/* Farther off nothing is looked for; near by it may be. */
		if (overlaps) {
			assert_true(find_changed(template, &screen, &place));
			touched++;
		} else if (tile.x > at.x + 4 * T_WIDTH) {
			assert_false(find_changed(template, &screen, &place));
		}
	}
	assert_in_range(touched, 4, 12);
	memset(screen.changed, 0, grid_count(&screen.grid));
	assert_false(find_changed(template, &screen, &place));
	find_destroy(template);
}

static void test_masks(void **state)
{
	static uint32_t mask[T_WIDTH * T_HEIGHT];
	struct rectangle place;

	(void)state;
	/* The title is left out: what it says may differ; what is beside it may not. */
	for (size_t i = 0; i < ARRAY_SIZE(mask); i++)
		mask[i] = i / T_WIDTH > 10 && i / T_WIDTH < 20 ? 0xff000000 : 0xffffffff;
	struct find_template *template = create(mask);
	assert_int_equal(find_pixels(template), T_WIDTH * (T_HEIGHT - 9));
	put_template(200, 100);
	screen.pixels[(100 + 15) * WIDTH + 200 + 30] = 0xabcdef;
	assert_true(find_changed(template, &screen, &place));
	screen.pixels[(100 + 9) * WIDTH + 200 + 30] = 0xabcdef;
	assert_false(find_changed(template, &screen, &place));
	find_destroy(template);

	/* A transparent pixel doesn't count either, of mask or template. */
	mask[0] = 0x00ffffff;
	sought[1] = 0x80404040;
	template = create(mask);
	assert_int_equal(find_pixels(template), T_WIDTH * (T_HEIGHT - 9) - 2);
	find_destroy(template);
}

static void test_refused(void **state)
{
	struct find_template *template = NULL;
	struct error err = { 0 };
	uint32_t plain[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		plain[i] = 0xff123456;
	assert_int_equal(find_create(plain, NULL, 10, 10, &template, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "differ"));
	plain[50] = 0xff000000;
	assert_int_equal(find_create(plain, NULL, 7, 9, &template, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "63 of its pixels"));
	assert_null(template);
	find_destroy(NULL);
}

/* A template that is larger than the screen is nowhere. */
static void test_small_screen(void **state)
{
	struct find_template *template = create(NULL);
	cleanup_picture struct picture small = { 0 };
	struct rectangle place;

	(void)state;
	assert_int_equal(picture_resize(&small, T_WIDTH - 1, 200), 0);
	assert_false(find_changed(template, &small, &place));
	assert_int_equal(picture_resize(&small, 1, 1), 0);
	assert_false(find_changed(template, &small, &place));
	find_destroy(template);
}

/* --- PNG ------------------------------------------------------------------------------------- */

static void test_png(void **state)
{
	uint8_t rgb[T_WIDTH * T_HEIGHT * 3];
	struct png_pixels pixels = { 0 };
	struct error err = { 0 };
	void *png;
	size_t size;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sought); i++)
		for (unsigned k = 0; k < 3; k++)
			rgb[3 * i + k] = (uint8_t)(sought[i] >> (16 - 8 * k));
	assert_int_equal(png_encode_rgb(rgb, T_WIDTH, T_HEIGHT, &png, &size, &err), 0);
	assert_int_equal(png_read(png, size, &pixels, &err), 0);
	assert_int_equal(pixels.width, T_WIDTH);
	assert_int_equal(pixels.height, T_HEIGHT);
	assert_memory_equal(pixels.argb, sought, sizeof(sought));
	free(pixels.argb);

	/* Cut off anywhere before its last pixel, or damaged in what comes before the pixels: refused. */
	const size_t head = 41, behind = 24;
	uint8_t *bytes = png;
	for (size_t cut = 0; cut < size - behind; cut++) {
		err.msg[0] = '\0';
		assert_int_equal(png_read(png, cut, &pixels, &err), -EINVAL);
		assert_true(err.msg[0]);
	}
	for (size_t i = 0; i < head; i++) {
		bytes[i] ^= 0x40;
		if (png_read(png, size, &pixels, &err) != -EINVAL)
			fail_msg("byte %zu can be anything", i);
		bytes[i] ^= 0x40;
	}
	free(png);
}

/* A file that says it is huge takes no memory. */
static void test_png_bounds(void **state)
{
	struct spng_ihdr ihdr = { .width = 4097, .height = 1, .bit_depth = 8, .color_type = 6 };
	spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
	struct png_pixels pixels = { 0 };
	struct error err = { 0 };
	static uint8_t row[4097 * 4];
	size_t size;
	int code;

	(void)state;
	spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
	spng_set_ihdr(ctx, &ihdr);
	assert_int_equal(
		spng_encode_image(ctx, row, sizeof(row), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
	void *png = spng_get_png_buffer(ctx, &size, &code);
	assert_int_equal(png_read(png, size, &pixels, &err), -EINVAL);
	assert_int_equal(png_read(png, PNG_READ_MAX + 1, &pixels, &err), -EINVAL);
	assert_null(pixels.argb);
	free(png);
	spng_ctx_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_pixel_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_tile_completes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_png, setup, teardown),
		cmocka_unit_test_setup_teardown(test_png_bounds, setup, teardown),
	};

	return cmocka_run_group_tests_name("display_find", tests, NULL, NULL);
}
