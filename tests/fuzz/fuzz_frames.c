/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_frames.c - supervisor/frames.c: a stream of frames that is anything, and however it is cut.
 *
 *	u8     flags: 1 the tiles' hashes are made to fit
 *	u8     how the stream is cut: pieces of so many bytes, 0: 256
 *	then   the stream
 */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "supervisor/frames.h"
#include "tests/fuzz/fuzz.h"

#define SEALED 1u
#define PIXELS_MAX (1u << 20) /* of a screen: larger ones only take longer */

void fuzz_init(void)
{
}

/* How many tiles the head at @at says there are. False: it is none, or of a screen too large for us. */
static bool read_head(const uint8_t *at, struct frame_head *out_head)
{
	return frame_head_decode(at, out_head, NULL) == 0 &&
	       (uint64_t)out_head->width * out_head->height <= PIXELS_MAX;
}

/* Where the stream ends that is followed; makes hashes fit on the way if @sealed. */
static size_t follow(uint8_t *data, size_t size, bool sealed)
{
	size_t at = 0;

	while (size - at >= FRAME_HEAD_SIZE) {
		struct frame_head head;

		if (!read_head(data + at, &head))
			return at;
		struct grid grid = grid_of(head.width, head.height);
		at += FRAME_HEAD_SIZE;
		for (unsigned i = 0; i < head.count && size - at >= FRAME_TILE_HEAD_SIZE; i++) {
			uint32_t index;
			uint64_t hash;

			frame_tile_decode(data + at, &index, &hash);
			if (index >= grid_count(&grid))
				return size;
			struct rectangle tile = grid_tile(&grid, index);
			size_t bytes = (size_t)tile.width * tile.height * 4;
			if (size - at - FRAME_TILE_HEAD_SIZE < bytes)
				return size;
			uint8_t *pixels = data + at + FRAME_TILE_HEAD_SIZE;
			for (size_t k = 3; sealed && k < bytes; k += 4)
				pixels[k] = 0;
			if (sealed)
				frame_tile_encode(index, XXH3_64bits(pixels, bytes), data + at);
			at += FRAME_TILE_HEAD_SIZE + bytes;
		}
	}
	return size;
}

struct sum {
	unsigned frames;
	uint64_t hash;
};

static int on_frame(struct frames *frames, void *arg)
{
	const struct picture *picture = &frames->picture;
	struct sum *sum = arg;
	unsigned changed = 0;

	for (unsigned i = 0; i < picture_tile_count(picture); i++)
		changed += picture->changed[i];
	CHECK(changed == frames->head.count);
	CHECK(frames_between(frames));
	sum->frames++;
	sum->hash = XXH3_64bits_withSeed(
		picture->pixels, (size_t)picture->grid.width * picture->grid.height * 4, sum->hash);
	return 0;
}

static int push(const uint8_t *data, size_t size, size_t piece, struct sum *sum)
{
	struct frames *frames = calloc(1, sizeof(*frames));
	struct error err = { 0 };
	int ret = 0;

	CHECK(frames);
	for (size_t at = 0; at < size && ret == 0; at += piece)
		ret = frames_push(frames, data + at, size - at < piece ? size - at : piece,
		                  on_frame, sum, &err);
	CHECK(ret == 0 || (ret == -EPROTO && err.code == ret && err.msg[0]));
	frames_finish(frames);
	free(frames);
	return ret;
}

void fuzz_one(struct input *in)
{
	uint8_t flags = input_u8(in), cut = input_u8(in);
	struct sum whole = { 0 }, pieces = { 0 };
	uint8_t *copy = malloc(in->size + 1);

	CHECK(copy);
	memcpy(copy, in->data, in->size);
	size_t size = follow(copy, in->size, flags & SEALED);
	int ret = push(copy, size, size + 1, &whole);
	CHECK(push(copy, size, cut ? cut : 256, &pieces) == ret);
	CHECK(whole.frames == pieces.frames && whole.hash == pieces.hash);
	free(copy);
}
