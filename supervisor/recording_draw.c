/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_draw.c - see recording_read.h: from the numbers of tiles to pixels. Single thread.
 *
 * The rows of a tile may have come with any records before it. Records are unpacked whole; the last ones
 * are kept, as what is on the screen came with few of them.
 */
#include "supervisor/recording_private.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"

struct frame_fields recording_frame_block(const uint8_t *payload, size_t size,
                                          const uint8_t **out_data, size_t *out_size)
{
	struct wire_reader reader = wire_reader_over(payload, size);
	struct frame_fields fields = frame_fields_decode(&reader);
	size_t places = (size_t)fields.places * FRAME_PLACE_SIZE;

	if (reader.failed || reader.left < places)
		return (struct frame_fields){ 0 };
	*out_data = reader.at + places;
	*out_size = reader.left - places;
	return fields;
}

/* --- what was unpacked ----------------------------------------------------------------------- */

static void forget(struct recording *recording, struct cached_content *cached)
{
	if (cached->last_use == 0)
		return;
	recording->cache_bytes -= recording_content_size(&cached->content);
	recording_content_finish(&cached->content);
	cached->last_use = 0;
}

void recording_forget_contents(struct recording *recording)
{
	for (unsigned i = 0; i < CACHE_SIZE; i++)
		forget(recording, &recording->cache[i]);
}

static struct cached_content *find_oldest(struct recording *recording)
{
	struct cached_content *oldest = &recording->cache[0];

	for (unsigned i = 1; i < CACHE_SIZE; i++)
		if (recording->cache[i].last_use > 0 &&
		    (oldest->last_use == 0 || recording->cache[i].last_use < oldest->last_use))
			oldest = &recording->cache[i];
	return oldest;
}

/* A free place in the cache, with room for @bytes as far as there can be. */
static struct cached_content *make_place(struct recording *recording, size_t bytes)
{
	struct cached_content *place = NULL;

	while (recording->cache_bytes > 0 && recording->cache_bytes + bytes > CACHE_BYTES_MAX)
		forget(recording, find_oldest(recording));
	for (unsigned i = 0; i < CACHE_SIZE && !place; i++)
		if (recording->cache[i].last_use == 0)
			place = &recording->cache[i];
	if (!place) {
		place = find_oldest(recording);
		forget(recording, place);
	}
	return place;
}

/* What record @index brings; borrowed until the next call. */
static int get_content(struct recording *recording, uint32_t index,
                       const struct recording_content **out_content, struct error *err)
{
	struct recording_content content = { 0 };
	const uint8_t *data = NULL;
	struct record_head head;
	size_t size = 0;

	for (unsigned i = 0; i < CACHE_SIZE; i++)
		if (recording->cache[i].last_use > 0 && recording->cache[i].record == index) {
			recording->cache[i].last_use = ++recording->uses;
			*out_content = &recording->cache[i].content;
			return 0;
		}
	const struct content_place *place = &recording->contents[index];
	int ret = recording_read_record(recording, place->offset, &head, err);
	if (ret < 0)
		return ret;
	struct frame_fields fields = { 0 };
	if (ret > 0 && head.type == RECORD_FRAME)
		fields = recording_frame_block(recording->payload, head.size, &data, &size);
	if (fields.tiles == 0 || fields.first_tile != place->first_tile ||
	    fields.first_row != place->first_row)
		return recording_damaged(recording, place->offset, "a frame is gone", err);
	ret = recording_content_decode(&fields, data, size, &content, err);
	if (ret == -EBADMSG)
		return recording_damaged(recording, place->offset, err->msg, err);
	if (ret)
		return ret;
	struct cached_content *cached = make_place(recording, recording_content_size(&content));
	*cached = (struct cached_content){ content, index, ++recording->uses };
	recording->cache_bytes += recording_content_size(&content);
	*out_content = &cached->content;
	return 0;
}

/* The record that brought tile or row @number: the last one that begins with it or before. */
static uint32_t find_record(const struct recording *recording, uint32_t number, bool row)
{
	uint32_t low = 0, high = recording->content_count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		const struct content_place *place = &recording->contents[middle];

		if ((row ? place->first_row : place->first_tile) <= number)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* --- drawing --------------------------------------------------------------------------------- */

/* The runs of @tile. Their number, or -errno. */
static int get_runs(struct recording *recording, uint32_t tile, uint32_t out_runs[TILE_HEIGHT],
                    struct error *err)
{
	const struct recording_content *content = NULL;

	ASSERT(recording->content_count > 0); /* who has a tile has a record that brought it */
	int ret = get_content(recording, find_record(recording, tile, false), &content, err);
	if (ret)
		return ret;
	uint32_t i = tile - content->first_tile;
	if (i >= content->tiles)
		return recording_damaged(recording, recording->offset, "a tile is gone", err);
	uint32_t count = content->starts[i + 1] - content->starts[i];
	ASSERT(count <= TILE_HEIGHT);
	memcpy(out_runs, content->runs + content->starts[i], count * sizeof(*out_runs));
	return (int)count;
}

/* Copies rows @first to @first + @count - 1. They may have come with several records. */
static int get_rows(struct recording *recording, uint32_t first, unsigned count,
                    uint32_t *out_pixels, struct error *err)
{
	while (count > 0) {
		const struct recording_content *content = NULL;
		int ret =
			get_content(recording, find_record(recording, first, true), &content, err);

		if (ret)
			return ret;
		uint32_t at = first - content->first_row;
		if (at >= content->rows)
			return recording_damaged(recording, recording->offset, "a row is gone",
			                         err);
		unsigned here = content->rows - at < count ? content->rows - at : count;
		memcpy(out_pixels, content->pixels + (size_t)at * ROW_PIXELS,
		       (size_t)here * ROW_PIXELS * sizeof(*out_pixels));
		out_pixels += (size_t)here * ROW_PIXELS;
		first += here;
		count -= here;
	}
	return 0;
}

/* Cuts the rows that are stored down to what a place shows of them. */
static void put_rows(struct picture *picture, unsigned place, const uint32_t *pixels)
{
	struct rectangle tile = picture_tile(picture, place);

	for (unsigned y = 0; y < tile.height; y++)
		memcpy(picture->pixels + (size_t)(tile.y + y) * picture->grid.width + tile.x,
		       pixels + (size_t)y * ROW_PIXELS, tile.width * sizeof(*pixels));
}

static int draw_tile(struct recording *recording, unsigned place, struct error *err)
{
	uint32_t pixels[PICTURE_TILE_PIXELS] = { 0 };
	uint32_t runs[TILE_HEIGHT];
	unsigned height = 0;

	if (recording->shown[place] == NO_TILE) {
		put_rows(&recording->picture, place, pixels);
		return 0;
	}
	int count = get_runs(recording, recording->shown[place], runs, err);
	if (count < 0)
		return count;
	for (int i = 0; i < count; i++) {
		int ret = get_rows(recording, run_first(runs[i]), run_rows(runs[i]),
		                   pixels + (size_t)height * ROW_PIXELS, err);

		if (ret)
			return ret;
		height += run_rows(runs[i]);
	}
	if (height != picture_tile(&recording->picture, place).height)
		return recording_damaged(recording, recording->offset, "a tile of another height",
		                         err);
	put_rows(&recording->picture, place, pixels);
	return 0;
}

int recording_draw(struct recording *recording, const struct picture **out_picture,
                   struct error *err)
{
	struct picture *picture = &recording->picture;

	if (recording->width == 0)
		return error_set(err, -ENODATA, "%s has no picture up to there", recording->path);
	if ((recording->width != picture->grid.width ||
	     recording->height != picture->grid.height) &&
	    picture_resize(picture, recording->width, recording->height))
		return error_set(err, -ENOMEM, "no memory for %ux%u pixels", recording->width,
		                 recording->height);
	memcpy(picture->changed, recording->stale, picture_tile_count(picture));
	for (unsigned i = 0; i < picture_tile_count(picture); i++) {
		int ret = recording->stale[i] ? draw_tile(recording, i, err) : 0;

		if (ret)
			return ret;
		recording->stale[i] = 0;
	}
	*out_picture = picture;
	return 0;
}

int recording_get_content(struct recording *recording, const struct recording_content **out_content,
                          struct error *err)
{
	const struct frame_fields *fields = &recording->event.fields;

	*out_content = NULL;
	if (recording->event.kind != RECORDING_FRAME || fields->tiles == 0)
		return 0;
	return get_content(recording, find_record(recording, fields->first_tile, false),
	                   out_content, err);
}
