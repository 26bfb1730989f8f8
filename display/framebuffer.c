/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * framebuffer.c - scattered pages to rows of pixels; see framebuffer.h for the threads.
 *
 * Invariants from creation on:
 *  1. pages[] covers the whole file: offset / 4096 is a valid index for every offset < layout.size.
 *  2. pixels_offset and stride are multiples of 4, so every pixel is, so none straddles two pages:
 *     a row is a few runs of whole pixels, each within one page.
 *  3. Nothing that decides where is read or written is read from guest memory again.
 */
#include "display/framebuffer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "display/xwd.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proto.h"

struct framebuffer {
	atomic_uint references;
	struct xwd_layout layout;
	const uint8_t *pages[]; /* borrowed: guest RAM */
};

static int compare_pages(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const void *const *)a;
	uintptr_t y = (uintptr_t) * (const void *const *)b;

	return (x > y) - (x < y);
}

/*
 * Every page of a mapped tmpfs file is a frame of its own, so one that comes twice is a lie. It is
 * refused because it would let a guest with one page claim a screen of 64 MiB for the host to read,
 * hash and encode, and because whoever maps damage back to pages may rely on it.
 */
static int check_pages(const void *const *pages, size_t count, struct error *err)
{
	cleanup_free const void **sorted = NULL;

	if (count == 0 || count > PROTO_DISPLAY_PAGES_MAX)
		return error_set(err, -EINVAL, "display: %zu pages, 1 to %u are accepted", count,
		                 PROTO_DISPLAY_PAGES_MAX);
	sorted = calloc(count, sizeof(*sorted));
	if (!sorted)
		return error_set(err, -ENOMEM, "display: no memory for %zu pages", count);
	memcpy(sorted, pages, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_pages);
	if (!sorted[0])
		return error_set(err, -EINVAL, "display: a page of the screen is outside RAM");
	for (size_t i = 1; i < count; i++) {
		if (sorted[i] == sorted[i - 1])
			return error_set(err, -EINVAL, "display: a page of the screen comes twice");
	}
	return 0;
}

/* The header, once. The barrier keeps the compiler from fetching any of it a second time. */
static void copy_header(const void *page, uint8_t *out_header)
{
	memcpy(out_header, page, XWD_HEADER_SIZE);
	__asm__ volatile("" ::: "memory");
}

static int check_layout(const struct xwd_layout *layout, size_t count, unsigned width,
                        unsigned height, struct error *err)
{
	uint64_t needed = (layout->size + FRAMEBUFFER_PAGE_SIZE - 1) / FRAMEBUFFER_PAGE_SIZE;

	if (layout->width != width || layout->height != height)
		return error_set(err, -EINVAL,
		                 "display: the screen file is %ux%u, announced was %ux%u",
		                 layout->width, layout->height, width, height);
	if (count != needed)
		return error_set(err, -EINVAL, "display: %zu pages for a screen file of %zu bytes",
		                 count, (size_t)layout->size);
	return 0;
}

int framebuffer_create(const void *const *pages, size_t count, unsigned width, unsigned height,
                       struct framebuffer **out_fb, struct error *err)
{
	uint8_t header[XWD_HEADER_SIZE];
	struct xwd_layout layout;
	struct framebuffer *fb;
	int rc = check_pages(pages, count, err);

	if (rc < 0)
		return rc;
	copy_header(pages[0], header);
	rc = xwd_parse_header(header, &layout, err);
	if (rc == 0)
		rc = check_layout(&layout, count, width, height, err);
	if (rc < 0)
		return rc;
	fb = malloc(sizeof(*fb) + count * sizeof(fb->pages[0]));
	if (!fb)
		return error_set(err, -ENOMEM, "display: no memory for %zu pages", count);
	atomic_init(&fb->references, 1);
	fb->layout = layout;
	memcpy(fb->pages, pages, count * sizeof(fb->pages[0]));
	*out_fb = fb;
	return 0;
}

struct framebuffer *framebuffer_share(struct framebuffer *fb)
{
	atomic_fetch_add(&fb->references, 1);
	return fb;
}

void framebuffer_destroy(struct framebuffer *fb)
{
	if (fb && atomic_fetch_sub(&fb->references, 1) == 1)
		free(fb);
}

unsigned framebuffer_width(const struct framebuffer *fb)
{
	return fb->layout.width;
}

unsigned framebuffer_height(const struct framebuffer *fb)
{
	return fb->layout.height;
}

#define COLOR_BITS 0x00ffffffu

/*
 * B, G, R, unused -> 0x00RRGGBB of a little-endian host; four at once, which gcc 12 -O2 doesn't do by itself.
 * That the guest paints meanwhile is no race of ours.
 */
__attribute__((no_sanitize("thread"))) static void copy_colors(uint32_t *out, const uint8_t *bgrx,
                                                               size_t pixels)
{
	uint32_t four __attribute__((vector_size(16)));
	size_t i = 0;

	for (; i + 4 <= pixels; i += 4) {
		memcpy(&four, bgrx + 4 * i, sizeof(four));
		four &= COLOR_BITS;
		memcpy(out + i, &four, sizeof(four));
	}
	for (; i < pixels; i++) {
		uint32_t pixel;

		memcpy(&pixel, bgrx + 4 * i, sizeof(pixel));
		out[i] = pixel & COLOR_BITS;
	}
}

void framebuffer_read_area(const struct framebuffer *fb, const struct rectangle *area,
                           uint32_t *out_pixels)
{
	uint64_t row = fb->layout.pixels_offset + (uint64_t)area->y * fb->layout.stride +
	               (uint64_t)area->x * 4;

	ASSERT(rectangle_is_within(area, fb->layout.width, fb->layout.height));
	for (unsigned y = 0; y < area->height; y++, row += fb->layout.stride) {
		uint64_t offset = row;
		size_t left = area->width;

		while (left > 0) {
			size_t in_page = offset % FRAMEBUFFER_PAGE_SIZE;
			size_t run = (FRAMEBUFFER_PAGE_SIZE - in_page) / 4;

			if (run > left)
				run = left;
			copy_colors(out_pixels, fb->pages[offset / FRAMEBUFFER_PAGE_SIZE] + in_page,
			            run);
			out_pixels += run;
			offset += 4 * run;
			left -= run;
		}
	}
}
