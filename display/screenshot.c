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
static int encode(const struct framebuffer *fb, const uint8_t *rgb, enum screenshot_format format,
                  struct screenshot *shot, struct error *err)
{
	cleanup_free void *png = NULL;
	size_t size = framebuffer_rgb_size(fb);
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

int screenshot_take(const struct framebuffer *fb, enum screenshot_format format,
                    struct screenshot *out_shot, struct error *err)
{
	struct screenshot shot = {
		.width = framebuffer_width(fb),
		.height = framebuffer_height(fb),
		.fd = -1,
	};
	uint64_t started = clock_now_ns();
	size_t rgb_size = framebuffer_rgb_size(fb);
	uint64_t read_done;
	struct scratch rgb = { 0 };
	int rc = scratch_init(&rgb, rgb_size);

	if (rc < 0)
		return error_set(err, rc, "no memory for a picture of %ux%u", shot.width,
		                 shot.height);
	framebuffer_read_rgb(fb, rgb.data);
	shot.hash = XXH3_64bits(rgb.data, rgb_size);
	read_done = clock_now_ns();
	rc = encode(fb, rgb.data, format, &shot, err);
	scratch_finish(&rgb);
	if (rc < 0)
		return rc;
	shot.read_us = (read_done - started) / 1000;
	shot.encode_us = (clock_now_ns() - read_done) / 1000;
	*out_shot = shot;
	return 0;
}

void screenshot_finish(struct screenshot *shot)
{
	close_fd(&shot->fd);
}
