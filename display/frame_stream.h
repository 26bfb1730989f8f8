/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_stream.h - the bytes in which the control verb "frames" sends a screen's changes
 * (cloche-protocol(7)).
 *
 *	frame   u32 magic, u32 count of tiles, u64 number, u64 realtime_ns, u32 width, u32 height
 *	tile    u32 index, u64 hash (tiles_hashes()), and its pixels, u32 each, row after row
 *
 * A frame's tiles follow it, by ascending index. The first frame, and the first of another size, has
 * all of them. Little-endian. No state; any thread. What is decoded is not trusted.
 */
#ifndef CLOCHE_DISPLAY_FRAME_STREAM_H
#define CLOCHE_DISPLAY_FRAME_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define FRAME_STREAM_MAGIC 0x52464c43u /* "CLFR" */
#define FRAME_HEAD_SIZE 32u
#define FRAME_TILE_HEAD_SIZE 12u

struct frame_head {
	uint64_t number; /* the scan's */
	uint64_t realtime_ns;
	unsigned width, height;
	unsigned count; /* tiles that follow */
};

void frame_head_encode(const struct frame_head *head, uint8_t out_bytes[FRAME_HEAD_SIZE]);

/* 0; -EPROTO, with @err: no frame, sides out of range, no tile, or more than such a screen has. */
int frame_head_decode(const uint8_t bytes[FRAME_HEAD_SIZE], struct frame_head *out_head,
                      struct error *err);

void frame_tile_encode(uint32_t index, uint64_t hash, uint8_t out_bytes[FRAME_TILE_HEAD_SIZE]);
void frame_tile_decode(const uint8_t bytes[FRAME_TILE_HEAD_SIZE], uint32_t *out_index,
                       uint64_t *out_hash);

#endif
