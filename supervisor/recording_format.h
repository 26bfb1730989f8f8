/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_format.h - the bytes of a recording (cloche-recording(5)), and the theory of its form.
 *
 * A recording is what a screen showed and what was done to it, appended record by record:
 *
 *	header, { head of a record, payload }…
 *
 *	SCREEN  a screen of this size begins, all of it black
 *	FRAME   some places of the screen show other tiles from now on
 *	ACTION  what was done, as JSON
 *	END     nothing comes after it; without it, whoever recorded was killed
 *
 * Nothing is ever written twice, at two levels. Tiles are numbered in the order of their appearance, and a
 * place that shows a tile that was seen before takes 6 bytes. A tile is rows of 64 pixels, which are
 * numbered likewise: a page that is scrolled is made of new tiles, as no tile's height divides the way it
 * went, but of old rows, next to each other as before. So a tile is told as runs of rows:
 *
 *	run     u32: first row << 5 | rows - 1
 *
 * Hardly a row of a page has many colours, and neighbours have the same. So rows are one byte a pixel, an
 * index into one of the record's palettes; those of a tile with more than 256 colours are R, G, B. All that
 * a frame brings is one LZ4 block:
 *
 *	tile    u8 runs - 1, runs
 *	…
 *	u8 palettes, each u8 colours - 1, colours × R G B
 *	rows × u8, the row's palette, or ROW_RGB
 *	rows × 64 bytes or 192 bytes
 *
 * Pixels beyond the screen's right edge are zero. A tile at the lower edge has fewer rows.
 *
 * The checks of a record cover its place in the file: records can't be lost or change places unseen. They
 * are written whole, so after a kill -9 the file ends with a part of one at most; that its head has a check
 * of its own tells such an end from a length that was damaged.
 *
 * No state, no I/O. What is decoded is not trusted.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_FORMAT_H
#define CLOCHE_SUPERVISOR_RECORDING_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "display/picture.h"
#include "lib/error.h"
#include "lib/wire_fields.h"

#define RECORDING_VERSION 1u
#define RECORDING_HEADER_SIZE 96u
#define RECORDING_NAME_SIZE 40u /* a session's name and zeros */
#define RECORDING_WITH_TEXT 1u  /* flags: typed text was kept */

#define RECORD_HEAD_SIZE 20u
/* A screen of 4096x4096 pixels of noise takes 48.3 MiB. */
#define RECORD_SIZE_MAX ((size_t)60 << 20) /* of a payload */
#define RECORD_BLOCK_MAX ((size_t)56 << 20)
#define RECORD_ACTION_MAX ((size_t)16 << 10)

#define TILES_MAX ((uint32_t)1 << 26)    /* of a recording */
#define ROWS_MAX ((uint32_t)1 << 27)     /* likewise; what a run can name */
#define CONTENTS_MAX ((uint32_t)1 << 22) /* records that bring tiles: 38 hours at 30 Hz */

#define ROW_PIXELS TILE_WIDTH
#define ROW_RGB 255u /* in place of a palette's number */
#define PALETTES_MAX 254u
#define PALETTE_COLOURS 256u

enum record_type { RECORD_SCREEN = 1, RECORD_FRAME, RECORD_ACTION, RECORD_END };
#define RECORD_OPTIONAL 0x10000u /* types from here on may be passed over */

struct recording_header {
	uint32_t flags;
	uint64_t begun_ns; /* CLOCK_REALTIME */
	char name[RECORDING_NAME_SIZE];
};

void recording_header_encode(const struct recording_header *header,
                             uint8_t out_bytes[RECORDING_HEADER_SIZE]);

/* -EINVAL: no recording; -ENOTSUP: another version; -EBADMSG: damaged. */
int recording_header_decode(const uint8_t *bytes, size_t size, struct recording_header *out_header,
                            struct error *err);

struct record_head {
	uint32_t type, size;
	uint64_t check; /* of the payload */
};

/* The head of a record with @payload that lies at @offset of the file. */
void record_head_encode(uint32_t type, const void *payload, size_t size, uint64_t offset,
                        uint8_t out_bytes[RECORD_HEAD_SIZE]);

/* False: it is damaged, or larger than a record can be. */
bool record_head_decode(const uint8_t bytes[RECORD_HEAD_SIZE], uint64_t offset,
                        struct record_head *out_head);

/* False: the payload is damaged. */
bool record_is_sound(const struct record_head *head, const void *payload, uint64_t offset);

/* What a FRAME's payload begins with. */
#define FRAME_FIXED_SIZE 36u
#define FRAME_PLACE_SIZE 6u

struct frame_fields {
	uint64_t time_ns; /* since the recording began */
	uint64_t number;  /* the VMM's */
	uint16_t places, tiles;
	uint32_t rows;
	uint32_t first_tile, first_row; /* how many there were before */
	uint32_t block_size;            /* unpacked */
};

void frame_fields_encode(const struct frame_fields *fields, struct wire_writer *out);

/* Zeros once the reader has failed. */
struct frame_fields frame_fields_decode(struct wire_reader *reader);

static inline uint32_t run_make(uint32_t first, unsigned rows)
{
	return first << 5 | (rows - 1);
}

static inline uint32_t run_first(uint32_t run)
{
	return run >> 5;
}

static inline unsigned run_rows(uint32_t run)
{
	return (run & 31) + 1;
}

/* What the block of a frame says, unpacked. */
struct recording_content {
	uint32_t first_tile, tiles;
	uint32_t first_row, rows;
	uint32_t *runs;   /* owned: of all tiles */
	uint32_t *starts; /* owned: tiles + 1 indices into .runs */
	uint32_t *pixels; /* owned: rows * ROW_PIXELS, 0x00RRGGBB */
};

void recording_content_finish(struct recording_content *content);

/* Bytes that it takes. */
size_t recording_content_size(const struct recording_content *content);

/*
 * Unpacks the block of @fields: @data of @size bytes. Afterwards every run names rows that have been
 * stored up to then, and no tile is higher than TILE_HEIGHT. -EBADMSG, -ENOMEM; *out_content, which is
 * empty, is filled on success only.
 */
int recording_content_decode(const struct frame_fields *fields, const uint8_t *data, size_t size,
                             struct recording_content *out_content, struct error *err);

#endif
