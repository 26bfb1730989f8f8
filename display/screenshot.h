/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screenshot.h - one picture of a screen, from guest pages to a sealed file, with its timings.
 *
 * Any thread; no state. Blocks for as long as reading and encoding take (see png.h), so the VMM's
 * display thread calls it and the I/O thread doesn't.
 */
#ifndef CLOCHE_DISPLAY_SCREENSHOT_H
#define CLOCHE_DISPLAY_SCREENSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "display/framebuffer.h"
#include "display/grid.h"
#include "display/rectangle.h"
#include "lib/error.h"

enum screenshot_format {
	SCREENSHOT_PNG,
	SCREENSHOT_RGB,  /* packed rows, three bytes a pixel */
	SCREENSHOT_HASH, /* no file at all */
};

/* What is wished for; all 0: the whole screen as PNG, pixel by pixel. */
struct screenshot_wish {
	enum screenshot_format format;
	struct rectangle region; /* of the screen; .width 0: all of it */
	unsigned max_width;      /* of the picture, pixels; 0: any */
	uint64_t max_pixels;     /* likewise */
};

struct screenshot {
	uint32_t width, height;  /* pixels of the picture */
	struct rectangle region; /* of the screen, that it shows */
	uint64_t hash;           /* XXH3-64 of the picture's RGB rows, whatever the format */
	size_t size;             /* bytes of the file; 0 for SCREENSHOT_HASH */
	int fd;                  /* owned: sealed memfd; -1 for SCREENSHOT_HASH */
	struct grid grid;        /* the whole screen's, of that moment */
	uint64_t *hashes;        /* owned: of its tiles (tiles.h) */
	uint64_t read_us;        /* guest memory to RGB, and its hash */
	uint64_t encode_us;      /* RGB to file */
};

/* "png", "rgb" or "hash" (control verb "screenshot", proto.h). 0 or -EINVAL. */
int screenshot_parse_format(const char *name, enum screenshot_format *out_format);

/*
 * Takes one. 0, or with @err filled: -ERANGE, the region isn't within the screen; -ENOMEM or another -errno.
 */
int screenshot_take(const struct framebuffer *fb, const struct screenshot_wish *wish,
                    struct screenshot *out_shot, struct error *err);

/* Closes the file, unless its fd was taken (-1), and forgets the screen. */
void screenshot_finish(struct screenshot *shot);

#endif
