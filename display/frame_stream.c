/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_stream.c - see frame_stream.h. No state, any thread.
 */
#include "display/frame_stream.h"

#include <errno.h>

#include "display/grid.h"
#include "lib/little_endian.h"
#include "lib/proto.h"

void frame_head_encode(const struct frame_head *head, uint8_t out_bytes[FRAME_HEAD_SIZE])
{
	put_le32(out_bytes, FRAME_STREAM_MAGIC);
	put_le32(out_bytes + 4, head->count);
	put_le64(out_bytes + 8, head->number);
	put_le64(out_bytes + 16, head->realtime_ns);
	put_le32(out_bytes + 24, head->width);
	put_le32(out_bytes + 28, head->height);
}

int frame_head_decode(const uint8_t bytes[FRAME_HEAD_SIZE], struct frame_head *out_head,
                      struct error *err)
{
	struct frame_head head = { .count = get_le32(bytes + 4),
		                   .number = get_le64(bytes + 8),
		                   .realtime_ns = get_le64(bytes + 16),
		                   .width = get_le32(bytes + 24),
		                   .height = get_le32(bytes + 28) };

	if (get_le32(bytes) != FRAME_STREAM_MAGIC)
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
	put_le32(out_bytes, index);
	put_le64(out_bytes + 4, hash);
}

void frame_tile_decode(const uint8_t bytes[FRAME_TILE_HEAD_SIZE], uint32_t *out_index,
                       uint64_t *out_hash)
{
	*out_index = get_le32(bytes);
	*out_hash = get_le64(bytes + 4);
}
