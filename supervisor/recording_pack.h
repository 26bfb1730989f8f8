/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_pack.h - what a frame brings, packed: the other way of recording_content_decode().
 *
 * Order of calls: pack_begin(); for each new tile pack_tile(); pack_end(). Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_PACK_H
#define CLOCHE_SUPERVISOR_RECORDING_PACK_H

#include "supervisor/recording_format.h"

struct pack_palette {
	unsigned size;
	uint32_t colours[PALETTE_COLOURS];
	uint16_t slots[1024]; /* by the colour's hash: its index + 1; 0: free */
};

struct pack {
	struct wire_writer tiles, kinds, pixels, block;
	struct pack_palette *palettes; /* owned: PALETTES_MAX + 1, the last for the tile at hand */
	unsigned palette_count;
	uint32_t tile_count, row_count;
	size_t rgb_rows;
	char *packed; /* owned */
	size_t packed_room;
};

/* 0 or -ENOMEM. Takes one that is all zeros; pack_finish() too. */
int pack_begin(struct pack *pack);
void pack_finish(struct pack *pack);

/*
 * A tile of @count runs; @rows rows of @pixels, ROW_PIXELS each, are the new ones among them. Failure is
 * told by pack_end().
 */
void pack_tile(struct pack *pack, const uint32_t *runs, unsigned count, const uint32_t *pixels,
               unsigned rows);

/* The block: *out_data is borrowed until the next pack_begin(). 0 or -ENOMEM. */
int pack_end(struct pack *pack, const void **out_data, size_t *out_size, uint32_t *out_block_size);

#endif
