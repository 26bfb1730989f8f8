/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_stream.c - see frame_stream.h. No state, any thread.
 */
#include "display/frame_stream.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "display/grid.h"
#include "lib/proto.h"

static void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

void frame_head_encode(const struct frame_head *head, uint8_t out_bytes[FRAME_HEAD_SIZE])
{
	put32(out_bytes, FRAME_STREAM_MAGIC);
	put32(out_bytes + 4, head->count);
	put64(out_bytes + 8, head->number);
	put64(out_bytes + 16, head->realtime_ns);
	put32(out_bytes + 24, head->width);
	put32(out_bytes + 28, head->height);
}

int frame_head_decode(const uint8_t bytes[FRAME_HEAD_SIZE], struct frame_head *out_head,
                      struct error *err)
{
	struct frame_head head = { .count = get32(bytes + 4),
		                   .number = get64(bytes + 8),
		                   .realtime_ns = get64(bytes + 16),
		                   .width = get32(bytes + 24),
		                   .height = get32(bytes + 28) };

	if (get32(bytes) != FRAME_STREAM_MAGIC)
		return error_set(err, -EPROTO, "no frame where one should begin");
	if (head.width < 1 || head.width > PROTO_DISPLAY_SIDE_MAX || head.height < 1 ||
	    head.height > PROTO_DISPLAY_SIDE_MAX)
		return error_set(err, -EPROTO, "a frame of %ux%u pixels", head.width, head.height);
	struct grid grid = grid_of(head.width, head.height);
	if (head.count < 1 || head.count > grid_count(&grid))
		return error_set(err, -EPROTO, "a frame of %ux%u pixels with %u tiles", head.width,
		                 head.height, head.count);
	*out_head = head;
	return 0;
}

void frame_tile_encode(uint32_t index, uint64_t hash, uint8_t out_bytes[FRAME_TILE_HEAD_SIZE])
{
	put32(out_bytes, index);
	put64(out_bytes + 4, hash);
}

void frame_tile_decode(const uint8_t bytes[FRAME_TILE_HEAD_SIZE], uint32_t *out_index,
                       uint64_t *out_hash)
{
	*out_index = get32(bytes);
	*out_hash = get64(bytes + 4);
}
