/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shot.h - a session's screen as a PNG, and its hash. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_SHOT_H
#define CLOCHE_SUPERVISOR_SHOT_H

#include "supervisor/client.h"

#define SHOT_SIZE_MAX ((size_t)128 << 20) /* bytes of a PNG that are believed */
#define SHOT_TIMEOUT_MS 10000u
#define SHOT_FRAME_MAX 40 /* bytes of a frame's name, with NUL */

/* What to take; all zero: the whole screen as it is. */
struct shot_wish {
	bool hash_only;
	uint32_t x, y, width, height;   /* the part of the screen; no width: all of it */
	uint64_t max_width, max_pixels; /* made smaller to fit; 0: no limit */
};

struct shot {
	uint32_t width, height;     /* of the picture */
	char hash[17];              /* of the pixels, 16 hexadecimal digits */
	char frame[SHOT_FRAME_MAX]; /* the screen's name, for compare */
	uint32_t region[4];         /* x, y, width, height: what of the screen it shows */
	uint64_t read_us, encode_us;
	uint64_t taken_ms; /* the whole request, as seen from here */
	uint8_t *png;      /* owned; NULL when only the hash was asked for */
	size_t png_size;
};

void shot_finish(struct shot *shot);
#define cleanup_shot __attribute__((cleanup(shot_finish)))

int shot_take(struct client *client, const struct shot_wish *wish, struct shot *out_shot,
              struct failure *failure);

/* The members that every answer with a shot has. False without memory. */
bool shot_describe(const struct shot *shot, json_t *answer);

/* Takes the picture and writes it to @path, whole or not at all; "-" is stdout. */
int shot_save(struct client *client, const struct shot_wish *wish, const char *path,
              struct shot *out_shot, struct failure *failure);

/*
 * Copies a PNG of @size bytes out of the VMM's @fd (-1: none came): -1 unless all of it is there and at most
 * SHOT_SIZE_MAX. *out_png is owned by the caller.
 */
int shot_read(int fd, size_t size, uint8_t **out_png, struct failure *failure);

/* Copies the name of a frame out of a reply. False: it is none. */
bool shot_frame(const json_t *reply, char out_frame[SHOT_FRAME_MAX]);

/* Reads [x, y, width, height] out of a reply. False: it is none. */
bool shot_rectangle(const json_t *array, uint32_t out_rectangle[4]);

#endif
