/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screenshot.c - see screenshot.h. No state, any thread.
 */
#include "display/screenshot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "display/hash.h"
#include "display/memfile.h"
#include "display/png.h"
#include "display/scale.h"
#include "display/scratch.h"
#include "display/tiles.h"
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

	shot->grid = grid_of(width, height);
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

/* The screen, then the picture of it where that is another. */
struct room {
	struct scratch scratch;
	uint8_t *screen, *picture;
};

static int room_init(struct room *room, const struct screenshot *shot)
{
	size_t screen = (size_t)3 * shot->grid.width * shot->grid.height;
	size_t picture = (size_t)3 * shot->width * shot->height;
	bool same = shot->width == shot->grid.width && shot->height == shot->grid.height;
	int rc = scratch_init(&room->scratch, screen + (same ? 0 : picture));

	if (rc < 0)
		return rc;
	room->screen = room->scratch.data;
	room->picture = same ? room->screen : room->screen + screen;
	return 0;
}

static int read_screen(const struct framebuffer *fb, struct room *room, struct screenshot *shot)
{
	shot->hashes = malloc(grid_count(&shot->grid) * sizeof(*shot->hashes));
	if (!shot->hashes)
		return -ENOMEM;
	tiles_read_rgb(fb, shot->hashes, room->screen);
	if (room->picture == room->screen)
		return 0;
	return scale_rgb(room->screen, shot->grid.width, &shot->region, shot->width, shot->height,
	                 room->picture);
}

static int take(const struct framebuffer *fb, enum screenshot_format format, struct room *room,
                struct screenshot *shot, struct error *err)
{
	size_t size = (size_t)3 * shot->width * shot->height;
	uint64_t started = clock_now_ns();
	int rc = room_init(room, shot);

	if (rc == 0)
		rc = read_screen(fb, room, shot);
	if (rc < 0)
		return error_set(err, rc, "no memory for a picture of %ux%u", shot->width,
		                 shot->height);
	shot->hash = hash_pixels(room->picture, size);
	uint64_t read_done = clock_now_ns();
	rc = encode(room->picture, size, format, shot, err);
	shot->read_us = (read_done - started) / 1000;
	shot->encode_us = (clock_now_ns() - read_done) / 1000;
	return rc;
}

int screenshot_take(const struct framebuffer *fb, const struct screenshot_wish *wish,
                    struct screenshot *out_shot, struct error *err)
{
	struct screenshot shot = { .fd = -1 };
	struct room room = { 0 };
	int rc = set_size(fb, wish, &shot, err);

	if (rc == 0)
		rc = take(fb, wish->format, &room, &shot, err);
	scratch_finish(&room.scratch);
	if (rc < 0)
		screenshot_finish(&shot);
	else
		*out_shot = shot;
	return rc;
}

void screenshot_finish(struct screenshot *shot)
{
	close_fd(&shot->fd);
	free(shot->hashes);
	shot->hashes = NULL;
}
