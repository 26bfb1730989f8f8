/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screenshot.c - see screenshot.h. No state, any thread.
 */
#include "display/screenshot.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "display/memfile.h"
#include "display/png.h"
#include "display/scale.h"
#include "display/scratch.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

int screenshot_parse_format(const char *name, enum screenshot_format *out_format)
{
	static const char *const names[] = {
		[SCREENSHOT_PNG] = "png",
		[SCREENSHOT_RGB] = "rgb",
		[SCREENSHOT_HASH] = "hash",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			*out_format = (enum screenshot_format)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* RGB to the file that was asked for; shot gets its fd and size. */
static int encode(const uint8_t *rgb, size_t size, enum screenshot_format format,
                  struct screenshot *shot, struct error *err)
{
	cleanup_free void *png = NULL;
	int rc = 0;

	switch (format) {
	case SCREENSHOT_PNG:
		rc = png_encode_rgb(rgb, shot->width, shot->height, &png, &size, err);
		if (rc == 0)
			rc = memfile_create("screenshot.png", png, size, &shot->fd, err);
		break;
	case SCREENSHOT_RGB:
		rc = memfile_create("screenshot.rgb", rgb, size, &shot->fd, err);
		break;
	case SCREENSHOT_HASH:
		size = 0;
		break;
	}
	shot->size = size;
	return rc;
}

/* What of the screen is shown, and how large. */
static int set_size(const struct framebuffer *fb, const struct screenshot_wish *wish,
                    struct screenshot *shot, struct error *err)
{
	unsigned width = framebuffer_width(fb), height = framebuffer_height(fb);

	shot->region = (struct rectangle){ .width = width, .height = height };
	if (wish->region.width > 0)
		shot->region = wish->region;
	if (!rectangle_is_within(&shot->region, width, height))
		return error_set(err, -ERANGE, "the region is not within the screen of %ux%u",
		                 width, height);
	scale_fit(shot->region.width, shot->region.height, wish->max_width, wish->max_pixels,
	          &shot->width, &shot->height);
	return 0;
}

static int read_screen(const struct framebuffer *fb, struct screenshot *shot, uint8_t *rgb)
{
	int rc = tiles_create(framebuffer_width(fb), framebuffer_height(fb), &shot->tiles);

	if (rc < 0)
		return rc;
	tiles_scan(shot->tiles, fb);
	return scale_to_rgb(tiles_pixels(shot->tiles), framebuffer_width(fb), &shot->region,
	                    shot->width, shot->height, rgb);
}

static int take(const struct framebuffer *fb, enum screenshot_format format, struct scratch *rgb,
                struct screenshot *shot, struct error *err)
{
	size_t size = (size_t)3 * shot->width * shot->height;
	uint64_t started = clock_now_ns();
	int rc = scratch_init(rgb, size);

	if (rc == 0)
		rc = read_screen(fb, shot, rgb->data);
	if (rc < 0)
		return error_set(err, rc, "no memory for a picture of %ux%u", shot->width,
		                 shot->height);
	shot->hash = XXH3_64bits(rgb->data, size);
	uint64_t read_done = clock_now_ns();
	rc = encode(rgb->data, size, format, shot, err);
	shot->read_us = (read_done - started) / 1000;
	shot->encode_us = (clock_now_ns() - read_done) / 1000;
	return rc;
}

int screenshot_take(const struct framebuffer *fb, const struct screenshot_wish *wish,
                    struct screenshot *out_shot, struct error *err)
{
	struct screenshot shot = { .fd = -1 };
	struct scratch rgb = { 0 };
	int rc = set_size(fb, wish, &shot, err);

	if (rc == 0)
		rc = take(fb, wish->format, &rgb, &shot, err);
	scratch_finish(&rgb);
	if (rc < 0)
		screenshot_finish(&shot);
	else
		*out_shot = shot;
	return rc;
}

void screenshot_finish(struct screenshot *shot)
{
	close_fd(&shot->fd);
	tiles_destroy(shot->tiles);
	shot->tiles = NULL;
}
