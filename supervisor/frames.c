/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.c - see frames.h. Single thread.
 */
#include "supervisor/frames.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

void frames_finish(struct frames *frames)
{
	picture_finish(&frames->picture);
	*frames = (struct frames){ 0 };
}

bool frames_between(const struct frames *frames)
{
	return frames->left == 0 && frames->used == 0 && frames->failed == 0;
}

/* A frame of another size than the last one, and the first, must bring every tile. */
static int begin_frame(struct frames *frames, struct error *err)
{
	struct picture *picture = &frames->picture;
	struct frame_head *head = &frames->head;
	int ret = frame_head_decode(frames->bytes, head, err);

	if (ret)
		return ret;
	if (head->width != picture->grid.width || head->height != picture->grid.height) {
		if (picture_resize(picture, head->width, head->height))
			return error_set(err, -ENOMEM, "no memory for %ux%u pixels", head->width,
			                 head->height);
		if (head->count != picture_tile_count(picture))
			return error_set(err, -EPROTO, "a new screen with %u of its %u tiles",
			                 head->count, picture_tile_count(picture));
	}
	memset(picture->changed, 0, picture_tile_count(picture));
	frames->left = head->count;
	frames->next_index = 0;
	return 0;
}

/* How many bytes the tile takes whose head is there; 0: it can't be. */
static size_t tile_size(const struct frames *frames)
{
	uint32_t index;
	uint64_t hash;

	frame_tile_decode(frames->bytes, &index, &hash);
	if (index < frames->next_index || index >= picture_tile_count(&frames->picture))
		return 0;
	struct rectangle tile = picture_tile(&frames->picture, index);
	return FRAME_TILE_HEAD_SIZE + (size_t)tile.width * tile.height * 4;
}

static int take_tile(struct frames *frames, struct error *err)
{
	size_t count = (frames->used - FRAME_TILE_HEAD_SIZE) / 4;
	uint32_t pixels[PICTURE_TILE_PIXELS];
	uint32_t index;
	uint64_t hash;

	frame_tile_decode(frames->bytes, &index, &hash);
	memcpy(pixels, frames->bytes + FRAME_TILE_HEAD_SIZE, count * 4);
	for (size_t i = 0; i < count; i++) {
		pixels[i] = le32toh(pixels[i]);
		if (pixels[i] >> 24)
			return error_set(err, -EPROTO, "tile %u has a pixel that is no colour",
			                 index);
	}
	if (XXH3_64bits(pixels, count * 4) != hash)
		return error_set(err, -EPROTO, "tile %u isn't what its hash says", index);
	picture_put_tile(&frames->picture, index, pixels);
	frames->picture.changed[index] = 1;
	frames->next_index = index + 1;
	frames->left--;
	return 0;
}

/* Bytes that what is in the making has when it is whole, as far as one can tell yet. 0: none can. */
static size_t wanted(const struct frames *frames)
{
	if (frames->left == 0)
		return FRAME_HEAD_SIZE;
	return frames->used < FRAME_TILE_HEAD_SIZE ? FRAME_TILE_HEAD_SIZE : tile_size(frames);
}

/* What is in the making is whole. */
static int take(struct frames *frames, frames_done *done, void *arg, struct error *err)
{
	int ret = frames->left == 0 ? begin_frame(frames, err) : take_tile(frames, err);

	frames->used = 0;
	if (ret == 0 && frames->left == 0 && done(frames, arg) < 0)
		ret = error_set(err, -ECANCELED, "stopped");
	return ret;
}

static int push(struct frames *frames, const uint8_t *data, size_t size, frames_done *done,
                void *arg, struct error *err)
{
	while (size > 0) {
		size_t piece = wanted(frames) - frames->used;

		if (piece > size)
			piece = size;
		memcpy(frames->bytes + frames->used, data, piece);
		frames->used += piece;
		data += piece;
		size -= piece;
		size_t whole = wanted(frames);
		if (whole == 0)
			return error_set(err, -EPROTO, "a tile out of its place");
		if (frames->used < whole)
			continue;
		int ret = take(frames, done, arg, err);
		if (ret)
			return ret;
	}
	return 0;
}

int frames_push(struct frames *frames, const void *data, size_t size, frames_done *done, void *arg,
                struct error *err)
{
	if (frames->failed)
		return error_set(err, frames->failed, "the stream has failed before");
	return frames->failed = push(frames, data, size, done, arg, err);
}
