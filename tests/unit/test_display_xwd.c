/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_xwd.c - the XWD header: Xvfb's own is believed, a lie in any field is not.
 */
#include "tests/unit/xwd_fixture.h"

#include "display/xwd.h"

static void test_xvfb(void **state)
{
	/* `Xvfb -screen 0 1280x800x24 -fbdir`, Debian 12, byte for byte. */
	static const uint8_t header[XWD_HEADER_SIZE] = {
		0, 0, 0,    0xa0, 0, 0, 0, 7,    0, 0, 0,    2, 0, 0, 0, 0x18, 0, 0,    5, 0,
		0, 0, 3,    0x20, 0, 0, 0, 0,    0, 0, 0,    0, 0, 0, 0, 0x20, 0, 0,    0, 0,
		0, 0, 0,    0x20, 0, 0, 0, 0x20, 0, 0, 0x14, 0, 0, 0, 0, 4,    0, 0xff, 0, 0,
		0, 0, 0xff, 0,    0, 0, 0, 0xff, 0, 0, 0,    8, 0, 0, 1, 0,    0, 0,    1, 0,
		0, 0, 5,    0,    0, 0, 3, 0x20, 0, 0, 0,    0, 0, 0, 0, 0,    0, 0,    0, 0,
	};
	uint8_t made[XWD_HEADER_SIZE];
	struct xwd_layout layout;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(xwd_parse_header(header, &layout, &err), 0);
	assert_int_equal(layout.width, 1280);
	assert_int_equal(layout.height, 800);
	assert_int_equal(layout.stride, 5120);
	assert_int_equal(layout.pixels_offset, 3232);
	assert_int_equal(layout.size, 4099232);
	assert_int_equal(err.code, 0);
	/* The fixture of the other units is the same. */
	xwd_fill_header(made, 1280, 800);
	assert_memory_equal(made, header, sizeof(header));
}

static void test_fields(void **state)
{
	static const struct {
		const char *what;
		unsigned field;
		uint32_t value;
		int rc;
	} rows[] = {
		{ "header below its fixed part", F_HEADER_SIZE, 99, -EINVAL },
		{ "header without a name", F_HEADER_SIZE, 100, 0 },
		{ "header misaligned", F_HEADER_SIZE, 162, -EINVAL },
		{ "header of a page", F_HEADER_SIZE, 4096, 0 },
		{ "header beyond a page", F_HEADER_SIZE, 4100, -EINVAL },
		{ "header huge", F_HEADER_SIZE, 0xfffffffc, -EINVAL },
		{ "version 6", F_FILE_VERSION, 6, -EINVAL },
		{ "version in the wrong byte order", F_FILE_VERSION, 0x07000000, -EINVAL },
		{ "XYPixmap", F_PIXMAP_FORMAT, 1, -EINVAL },
		{ "depth 16", F_DEPTH, 16, -EINVAL },
		{ "depth 32", F_DEPTH, 32, -EINVAL },
		{ "no width", F_WIDTH, 0, -EINVAL },
		{ "width below", F_WIDTH, 63, -EINVAL },
		{ "width that the rows don't hold", F_WIDTH, 641, -EINVAL },
		{ "width that the rows do hold", F_WIDTH, 639, 0 },
		{ "width that overflows times 4", F_WIDTH, 0x40000001, -EINVAL },
		{ "height below", F_HEIGHT, 63, -EINVAL },
		{ "height least", F_HEIGHT, 64, 0 },
		{ "height most", F_HEIGHT, 4096, 0 },
		{ "height beyond", F_HEIGHT, 4097, -EINVAL },
		{ "height -1", F_HEIGHT, 0xffffffff, -EINVAL },
		{ "x offset", F_XOFFSET, 1, -EINVAL },
		{ "most significant byte first", F_BYTE_ORDER, 1, -EINVAL },
		{ "24 bits a pixel", F_BITS_PER_PIXEL, 24, -EINVAL },
		{ "row below", F_BYTES_PER_LINE, 2556, -EINVAL },
		{ "row misaligned", F_BYTES_PER_LINE, 2562, -EINVAL },
		{ "row padded", F_BYTES_PER_LINE, 2564, 0 },
		{ "row longest", F_BYTES_PER_LINE, 16384, 0 },
		{ "row beyond", F_BYTES_PER_LINE, 16388, -EINVAL },
		{ "row huge", F_BYTES_PER_LINE, 0xfffffffc, -EINVAL },
		{ "DirectColor", F_VISUAL_CLASS, 5, -EINVAL },
		{ "red at blue's place", F_RED_MASK, 0xff, -EINVAL },
		{ "green of 6 bits", F_GREEN_MASK, 0xfc00, -EINVAL },
		{ "blue at red's place", F_BLUE_MASK, 0xff0000, -EINVAL },
		{ "no colours", F_NCOLORS, 0, 0 },
		{ "colours beyond", F_NCOLORS, 257, -EINVAL },
		{ "colours that overflow times 12", F_NCOLORS, 0x15555556, -EINVAL },
		{ "bitmap unit, unused", 8, 99, 0 },
		{ "colormap entries, unused", 18, 0xffffffff, 0 },
		{ "window width, unused", 20, 0xffffffff, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t header[XWD_HEADER_SIZE];
		struct xwd_layout layout = { .width = 77 };
		struct error err = { 0 };
		int rc;

		xwd_fill_header(header, 640, 480);
		xwd_put_field(header, rows[i].field, rows[i].value);
		rc = xwd_parse_header(header, &layout, &err);
		assert_row(rows[i].what, rc == rows[i].rc);
		assert_int_equal(err.code, rows[i].rc);
		if (rc < 0) {
			assert_int_equal(layout.width, 77);
			assert_true(err.msg[0] != '\0');
		}
	}
}

/* Whatever the bytes: refused, or a layout within its promises. */
static void test_random_flips(void **state)
{
	uint32_t seed = 1;
	int believed = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint8_t header[XWD_HEADER_SIZE];
		struct xwd_layout layout;

		xwd_fill_header(header, 640, 480);
		for (int k = i % 3; k >= 0; k--) {
			seed = seed * 1664525 + 1013904223;
			header[(seed >> 8) % XWD_HEADER_SIZE] ^= (uint8_t)(1u << (seed >> 29));
		}
		if (xwd_parse_header(header, &layout, NULL) < 0)
			continue;
		believed++;
		assert_true(layout.width >= 64 && layout.width <= 4096);
		assert_true(layout.height >= 64 && layout.height <= 4096);
		assert_true(layout.stride >= 4 * layout.width && layout.stride <= 16384);
		assert_true(layout.stride % 4 == 0 && layout.pixels_offset % 4 == 0);
		assert_true(layout.pixels_offset >= XWD_HEADER_SIZE);
		assert_true(layout.pixels_offset <= 4096 + 256 * XWD_COLOR_SIZE);
		assert_int_equal(layout.size,
		                 layout.pixels_offset + (uint64_t)layout.stride * layout.height);
	}
	assert_true(believed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xvfb),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_random_flips),
	};

	return cmocka_run_group_tests_name("display_xwd", tests, NULL, NULL);
}
