/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xwd.c - see xwd.h. No state, any thread.
 *
 * The file: header_size bytes of header (the fixed fields, then the window's name, NUL-padded),
 * ncolors colour entries, then the rows. The fields that no reader of ours uses (bitmap_*,
 * colormap_entries, bits_per_rgb, window_*) may say what they like.
 */
#include "display/xwd.h"

#include <errno.h>
#include <stddef.h>

#include "lib/proto.h"

/* The fields in file order, with X11/XWDFile.h's names. */
enum xwd_field {
	XWD_header_size,
	XWD_file_version,
	XWD_pixmap_format,
	XWD_pixmap_depth,
	XWD_pixmap_width,
	XWD_pixmap_height,
	XWD_xoffset,
	XWD_byte_order,
	XWD_bitmap_unit,
	XWD_bitmap_bit_order,
	XWD_bitmap_pad,
	XWD_bits_per_pixel,
	XWD_bytes_per_line,
	XWD_visual_class,
	XWD_red_mask,
	XWD_green_mask,
	XWD_blue_mask,
	XWD_bits_per_rgb,
	XWD_colormap_entries,
	XWD_ncolors,
};

#define HEADER_SIZE_MAX 4096u /* Xvfb: 160 */
#define COLORS_MAX 256u       /* Xvfb: 256 */
#define STRIDE_MAX (4u * PROTO_DISPLAY_SIDE_MAX)
#define Z_PIXMAP 2u
#define LSB_FIRST 0u
#define TRUE_COLOR 4u

static const struct {
	enum xwd_field field;
	const char *name;
	uint32_t min, max;
} rules[] = {
	{ XWD_header_size, "header_size", XWD_HEADER_SIZE, HEADER_SIZE_MAX },
	{ XWD_file_version, "file_version", 7, 7 },
	{ XWD_pixmap_format, "pixmap_format", Z_PIXMAP, Z_PIXMAP },
	{ XWD_pixmap_depth, "pixmap_depth", 24, 24 },
	{ XWD_pixmap_width, "pixmap_width", PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX },
	{ XWD_pixmap_height, "pixmap_height", PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX },
	{ XWD_xoffset, "xoffset", 0, 0 },
	{ XWD_byte_order, "byte_order", LSB_FIRST, LSB_FIRST },
	{ XWD_bits_per_pixel, "bits_per_pixel", 32, 32 },
	{ XWD_bytes_per_line, "bytes_per_line", 4 * PROTO_DISPLAY_SIDE_MIN, STRIDE_MAX },
	{ XWD_visual_class, "visual_class", TRUE_COLOR, TRUE_COLOR },
	{ XWD_red_mask, "red_mask", 0xff0000, 0xff0000 },
	{ XWD_green_mask, "green_mask", 0x00ff00, 0x00ff00 },
	{ XWD_blue_mask, "blue_mask", 0x0000ff, 0x0000ff },
	{ XWD_ncolors, "ncolors", 0, COLORS_MAX },
};

static uint32_t field_value(const uint8_t *header, enum xwd_field field)
{
	const uint8_t *at = header + 4 * (size_t)field;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int xwd_parse_header(const uint8_t *header, struct xwd_layout *out_layout, struct error *err)
{
	struct xwd_layout layout;
	uint32_t header_size;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint32_t value = field_value(header, rules[i].field);

		if (value < rules[i].min || value > rules[i].max)
			return error_set(err, -EINVAL, "display: XWD %s is %u, allowed is %u..%u",
			                 rules[i].name, value, rules[i].min, rules[i].max);
	}
	header_size = field_value(header, XWD_header_size);
	layout.width = field_value(header, XWD_pixmap_width);
	layout.height = field_value(header, XWD_pixmap_height);
	layout.stride = field_value(header, XWD_bytes_per_line);
	/* Pixels at multiples of 4 never straddle pages: readers rely on it. */
	if (header_size % 4 != 0)
		return error_set(err, -EINVAL, "display: XWD header_size %u is not aligned",
		                 header_size);
	if (layout.stride % 4 != 0 || layout.stride < 4 * layout.width)
		return error_set(err, -EINVAL,
		                 "display: XWD bytes_per_line %u does not fit width %u",
		                 layout.stride, layout.width);
	layout.pixels_offset = header_size + field_value(header, XWD_ncolors) * XWD_COLOR_SIZE;
	layout.size = layout.pixels_offset + (uint64_t)layout.height * layout.stride;
	*out_layout = layout;
	return 0;
}
