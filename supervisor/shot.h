/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shot.h - a session's screen as a PNG, and its hash. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_SHOT_H
#define CLOCHE_SUPERVISOR_SHOT_H

#include "supervisor/client.h"

#define SHOT_SIZE_MAX ((size_t)128 << 20) /* bytes of a PNG that are believed */
#define SHOT_TIMEOUT_MS 10000u

struct shot {
	uint32_t width, height;
	char hash[17]; /* of the pixels, 16 hexadecimal digits */
	uint64_t read_us, encode_us;
	uint64_t taken_ms; /* the whole request, as seen from here */
	uint8_t *png;      /* owned; NULL when only the hash was asked for */
	size_t png_size;
};

void shot_finish(struct shot *shot);
#define cleanup_shot __attribute__((cleanup(shot_finish)))

/* Takes the picture, or with @hash_only just its hash. */
int shot_take(struct client *client, bool hash_only, struct shot *out_shot,
              struct failure *failure);

/* The members that every answer with a shot has. False without memory. */
bool shot_describe(const struct shot *shot, json_t *answer);

/* Takes the picture and writes it to @path, whole or not at all; "-" is stdout. */
int shot_save(struct client *client, const char *path, struct shot *out_shot,
              struct failure *failure);

#endif
