/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_private.h - what recording_read.c (the file, its records) and recording_draw.c (its tiles)
 * know of each other. Nobody else includes it.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_PRIVATE_H
#define CLOCHE_SUPERVISOR_RECORDING_PRIVATE_H

#include "supervisor/recording_read.h"

#define CACHE_SIZE 64u                      /* unpacked records */
#define CACHE_BYTES_MAX ((size_t)128 << 20) /* in all of them, but for the newest */

/* A record that brings tiles. */
struct content_place {
	uint64_t offset;
	uint32_t first_tile, first_row;
};

struct cached_content {
	struct recording_content content;
	uint32_t record;   /* index into .contents */
	uint64_t last_use; /* 0: free */
};

struct recording {
	int fd;     /* owned */
	char *path; /* owned */
	uint64_t size;
	struct recording_info info;
	struct content_place *contents; /* owned */
	uint32_t content_count, content_room;

	/* Where the events are. */
	uint64_t at;
	uint64_t time_ns;
	uint64_t tiles, rows; /* that have come */
	bool ended;
	struct recording_event event;
	uint8_t *payload; /* owned: of the last record */
	size_t payload_room;
	uint32_t *places; /* owned: event.places */
	uint64_t offset;  /* of the last record */

	/* The screen after the last event; no width: none yet. */
	unsigned width, height;
	uint32_t *shown; /* owned: the tile at each place, NO_TILE where all is black */
	uint8_t *stale;  /* owned: places whose pixels aren't drawn */
	struct picture picture;

	struct cached_content cache[CACHE_SIZE];
	size_t cache_bytes;
	uint64_t uses;
};

#define NO_TILE UINT32_MAX

/* Reads the record at @offset into .payload and checks it. 1; 0: the file ends before its end. */
int recording_read_record(struct recording *recording, uint64_t offset,
                          struct record_head *out_head, struct error *err);

/* "FILE is damaged at byte N: WHAT". Returns -EBADMSG. */
int recording_damaged(const struct recording *recording, uint64_t offset, const char *what,
                      struct error *err);

/* A frame's fixed fields and what of its payload is behind the places; checked by the scan. */
struct frame_fields recording_frame_block(const uint8_t *payload, size_t size,
                                          const uint8_t **out_data, size_t *out_size);

/* Forgets what was unpacked. */
void recording_forget_contents(struct recording *recording);

#endif
