/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * framebuffer.c - scattered pages to rows of pixels.
 *
 * The file: a header that says its own size, 12 bytes for each of its colours, then the rows, 4 bytes
 * a pixel. Everything before a pixel is a multiple of 4 bytes (checked), and so is a page: no pixel
 * straddles two pages, only rows do.
 *
 * A page may not come twice: an honest file has no such pages, and a guest that could name one page
 * 16,384 times would make a screen out of nothing.
 */
#include "display/framebuffer.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "lib/proto.h"

/* X11/XWDFile.h: fields of 32 bits, big-endian. */
enum xwd_field {
	XWD_HEADER_SIZE, XWD_FILE_VERSION, XWD_PIXMAP_FORMAT, XWD_PIXMAP_DEPTH, XWD_PIXMAP_WIDTH,
	XWD_PIXMAP_HEIGHT, XWD_XOFFSET, XWD_BYTE_ORDER, XWD_BITMAP_UNIT, XWD_BITMAP_BIT_ORDER,
	XWD_BITMAP_PAD, XWD_BITS_PER_PIXEL, XWD_BYTES_PER_LINE, XWD_VISUAL_CLASS, XWD_RED_MASK,
	XWD_GREEN_MASK, XWD_BLUE_MASK, XWD_BITS_PER_RGB, XWD_COLORMAP_ENTRIES, XWD_NCOLORS,
	XWD_WINDOW_WIDTH, XWD_WINDOW_HEIGHT, XWD_WINDOW_X, XWD_WINDOW_Y, XWD_WINDOW_BDRWIDTH,
	XWD_FIELDS,
};

#define XWD_BYTES (XWD_FIELDS * sizeof(uint32_t))
#define XWD_VERSION 7
#define XWD_ZPIXMAP 2
#define XWD_COLOR_SIZE 12u
#define XWD_HEADER_MAX 1024u /* a window name follows the fields */
#define XWD_COLORS_MAX 256u
#define LSB_FIRST 0u
#define PIXEL_SIZE 4u

struct framebuffer {
	unsigned width, height;
	size_t stride; /* bytes from row to row */
	size_t first;  /* offset of the first row */
	size_t count;
	const uint8_t *pages[]; /* borrowed */
};

static int compare_pages(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const void *const *)a, y = (uintptr_t) * (const void *const *)b;

	return (x > y) - (x < y);
}

static int check_pages(const void *const *pages, size_t count, struct error *err)
{
	int ret = 0;

	if (count == 0 || count > PROTO_DISPLAY_PAGES_MAX)
		return error_set(err, -EINVAL, "display: %zu pages, 1 to %u are accepted", count,
		                 PROTO_DISPLAY_PAGES_MAX);
	const void **sorted = malloc(count * sizeof(*sorted));
	if (!sorted)
		return error_set(err, -ENOMEM, "display: no memory for %zu pages", count);
	memcpy(sorted, pages, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_pages);
	for (size_t i = 0; i < count && ret == 0; i++)
		if (!sorted[i] || (i > 0 && sorted[i] == sorted[i - 1]))
			ret = error_set(err, -EINVAL, "display: a page comes twice or not at all");
	free(sorted);
	return ret;
}

/* The copy that everything is decided on. */
static void copy_header(const void *page, uint32_t out_fields[XWD_FIELDS])
{
	uint32_t raw[XWD_FIELDS];

	memcpy(raw, page, sizeof(raw));
	for (unsigned i = 0; i < XWD_FIELDS; i++)
		out_fields[i] = be32toh(raw[i]);
}

static int check_header(const uint32_t h[XWD_FIELDS], unsigned width, unsigned height,
                        struct error *err)
{
	const struct {
		enum xwd_field field;
		uint32_t min, max;
		const char *name;
	} rules[] = {
		{ XWD_HEADER_SIZE, XWD_BYTES, XWD_HEADER_MAX, "header size" },
		{ XWD_FILE_VERSION, XWD_VERSION, XWD_VERSION, "file version" },
		{ XWD_PIXMAP_FORMAT, XWD_ZPIXMAP, XWD_ZPIXMAP, "pixmap format" },
		{ XWD_PIXMAP_DEPTH, 24, 24, "depth" },
		{ XWD_PIXMAP_WIDTH, width, width, "width" },
		{ XWD_PIXMAP_HEIGHT, height, height, "height" },
		{ XWD_XOFFSET, 0, 0, "x offset" },
		{ XWD_BYTE_ORDER, LSB_FIRST, LSB_FIRST, "byte order" },
		{ XWD_BITS_PER_PIXEL, 8 * PIXEL_SIZE, 8 * PIXEL_SIZE, "bits per pixel" },
		{ XWD_BYTES_PER_LINE, width * PIXEL_SIZE, 2 * PROTO_DISPLAY_SIDE_MAX * PIXEL_SIZE,
		  "bytes per line" },
		{ XWD_RED_MASK, 0xff0000, 0xff0000, "red mask" },
		{ XWD_GREEN_MASK, 0xff00, 0xff00, "green mask" },
		{ XWD_BLUE_MASK, 0xff, 0xff, "blue mask" },
		{ XWD_NCOLORS, 0, XWD_COLORS_MAX, "number of colours" },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		uint32_t value = h[rules[i].field];

		if (value < rules[i].min || value > rules[i].max)
			return error_set(err, -EINVAL, "display: the screen file's %s is %u", rules[i].name,
			                 value);
	}
	if (h[XWD_HEADER_SIZE] % PIXEL_SIZE || h[XWD_BYTES_PER_LINE] % PIXEL_SIZE)
		return error_set(err, -EINVAL, "display: the screen file's rows are misaligned");
	return 0;
}

int framebuffer_create(const void *const *pages, size_t count, unsigned width, unsigned height,
                       struct framebuffer **out_fb, struct error *err)
{
	uint32_t header[XWD_FIELDS];

	if (width < PROTO_DISPLAY_SIDE_MIN || width > PROTO_DISPLAY_SIDE_MAX ||
	    height < PROTO_DISPLAY_SIDE_MIN || height > PROTO_DISPLAY_SIDE_MAX)
		return error_set(err, -EINVAL, "display: %ux%u is no possible screen", width, height);
	int ret = check_pages(pages, count, err);
	if (ret)
		return ret;
	copy_header(pages[0], header);
	ret = check_header(header, width, height, err);
	if (ret)
		return ret;

	/* All factors are bounded above: nothing here can overflow. */
	size_t first = header[XWD_HEADER_SIZE] + (size_t)header[XWD_NCOLORS] * XWD_COLOR_SIZE;
	size_t size = first + (size_t)header[XWD_BYTES_PER_LINE] * height;
	if (count != (size + FRAMEBUFFER_PAGE_SIZE - 1) / FRAMEBUFFER_PAGE_SIZE)
		return error_set(err, -EINVAL, "display: %zu pages for a screen file of %zu bytes", count,
		                 size);

	struct framebuffer *fb = malloc(sizeof(*fb) + count * sizeof(fb->pages[0]));
	if (!fb)
		return error_set(err, -ENOMEM, "display: no memory for %zu pages", count);
	*fb = (struct framebuffer){ .width = width,
		                    .height = height,
		                    .stride = header[XWD_BYTES_PER_LINE],
		                    .first = first,
		                    .count = count };
	memcpy(fb->pages, pages, count * sizeof(fb->pages[0]));
	*out_fb = fb;
	return 0;
}

void framebuffer_destroy(struct framebuffer *fb)
{
	free(fb);
}

unsigned framebuffer_width(const struct framebuffer *fb)
{
	return fb->width;
}

unsigned framebuffer_height(const struct framebuffer *fb)
{
	return fb->height;
}

size_t framebuffer_rgb_size(const struct framebuffer *fb)
{
	return (size_t)fb->width * fb->height * 3;
}

/* B, G, R, unused -> R, G, B. */
static void convert_plain(const uint8_t *bgrx, uint8_t *rgb, size_t pixels)
{
	for (size_t i = 0; i < pixels; i++, bgrx += 4, rgb += 3) {
		rgb[0] = bgrx[2];
		rgb[1] = bgrx[1];
		rgb[2] = bgrx[0];
	}
}

#ifdef __x86_64__
/* Four pixels a step; each store writes 16 bytes of which 12 count, so the last ones go plain. */
__attribute__((target("ssse3"))) static void convert_ssse3(const uint8_t *bgrx, uint8_t *rgb,
                                                           size_t pixels)
{
	const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);

	while (pixels >= 6) {
		__m128i four = _mm_loadu_si128((const __m128i *)(const void *)bgrx);

		_mm_storeu_si128((__m128i *)(void *)rgb, _mm_shuffle_epi8(four, order));
		bgrx += 16;
		rgb += 12;
		pixels -= 4;
	}
	convert_plain(bgrx, rgb, pixels);
}
#endif

typedef void convert_pixels(const uint8_t *bgrx, uint8_t *rgb, size_t pixels);

static convert_pixels *best_convert(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("ssse3"))
		return convert_ssse3;
#endif
	return convert_plain;
}

void framebuffer_read_rgb(const struct framebuffer *fb, uint8_t *out_rgb)
{
	convert_pixels *convert = best_convert();

	for (unsigned y = 0; y < fb->height; y++) {
		size_t offset = fb->first + y * fb->stride;
		size_t left = fb->width;

		while (left > 0) {
			size_t in_page = offset % FRAMEBUFFER_PAGE_SIZE;
			size_t pixels = (FRAMEBUFFER_PAGE_SIZE - in_page) / PIXEL_SIZE;

			if (pixels > left)
				pixels = left;
			convert(fb->pages[offset / FRAMEBUFFER_PAGE_SIZE] + in_page, out_rgb, pixels);
			out_rgb += pixels * 3;
			offset += pixels * PIXEL_SIZE;
			left -= pixels;
		}
	}
}
