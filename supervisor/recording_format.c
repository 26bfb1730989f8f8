/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_format.c - see recording_format.h. No state, no I/O.
 */
#include "supervisor/recording_format.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/log.h"

static const uint8_t magic[8] = "CLOREC\x1a\n";

static void put_le(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = size; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

/* --- header ---------------------------------------------------------------------------------- */

#define CHECKED_SIZE (RECORDING_HEADER_SIZE - 8)

void recording_header_encode(const struct recording_header *header,
                             uint8_t out_bytes[RECORDING_HEADER_SIZE])
{
	memset(out_bytes, 0, RECORDING_HEADER_SIZE);
	memcpy(out_bytes, magic, sizeof(magic));
	put_le(out_bytes + 8, RECORDING_VERSION, 4);
	put_le(out_bytes + 12, header->flags, 4);
	put_le(out_bytes + 16, header->begun_ns, 8);
	put_le(out_bytes + 24, TILE_WIDTH, 2);
	put_le(out_bytes + 26, TILE_HEIGHT, 2);
	memcpy(out_bytes + 32, header->name, strnlen(header->name, RECORDING_NAME_SIZE - 1));
	put_le(out_bytes + CHECKED_SIZE, XXH3_64bits(out_bytes, CHECKED_SIZE), 8);
}

int recording_header_decode(const uint8_t *bytes, size_t size, struct recording_header *out_header,
                            struct error *err)
{
	size_t known = size < sizeof(magic) ? size : sizeof(magic);

	if (known == 0 || memcmp(bytes, magic, known) != 0)
		return error_set(err, -EINVAL, "no recording");
	if (size < RECORDING_HEADER_SIZE)
		return error_set(err, -EBADMSG, "damaged: cut off in its header");
	if (get_le(bytes + 8, 4) != RECORDING_VERSION)
		return error_set(err, -ENOTSUP, "of format version %u; this is %u",
		                 (unsigned)get_le(bytes + 8, 4), RECORDING_VERSION);
	if (get_le(bytes + CHECKED_SIZE, 8) != XXH3_64bits(bytes, CHECKED_SIZE))
		return error_set(err, -EBADMSG, "damaged in its header");
	if (get_le(bytes + 24, 2) != TILE_WIDTH || get_le(bytes + 26, 2) != TILE_HEIGHT)
		return error_set(err, -ENOTSUP, "damaged: its tiles are of another size");
	for (const uint8_t *c = bytes + 32; c < bytes + 32 + RECORDING_NAME_SIZE && *c; c++)
		if (*c <= ' ' || *c > '~')
			return error_set(err, -EBADMSG, "damaged: its session has no such name");
	out_header->flags = (uint32_t)get_le(bytes + 12, 4);
	out_header->begun_ns = get_le(bytes + 16, 8);
	memcpy(out_header->name, bytes + 32, RECORDING_NAME_SIZE);
	out_header->name[RECORDING_NAME_SIZE - 1] = '\0';
	return 0;
}

/* --- records --------------------------------------------------------------------------------- */

#define PLACE_SIZE 16u /* type, size, offset: what both checks begin with */

static uint64_t hash_place(uint32_t type, size_t size, uint64_t offset)
{
	uint8_t place[PLACE_SIZE];

	put_le(place, type, 4);
	put_le(place + 4, size, 4);
	put_le(place + 8, offset, 8);
	return XXH3_64bits(place, sizeof(place));
}

void record_head_encode(uint32_t type, const void *payload, size_t size, uint64_t offset,
                        uint8_t out_bytes[RECORD_HEAD_SIZE])
{
	uint64_t place = hash_place(type, size, offset);

	put_le(out_bytes, type, 4);
	put_le(out_bytes + 4, size, 4);
	put_le(out_bytes + 8, place, 4);
	put_le(out_bytes + 12, XXH3_64bits_withSeed(payload, size, place), 8);
}

bool record_head_decode(const uint8_t bytes[RECORD_HEAD_SIZE], uint64_t offset,
                        struct record_head *out_head)
{
	const struct record_head head = { .type = (uint32_t)get_le(bytes, 4),
		                          .size = (uint32_t)get_le(bytes + 4, 4),
		                          .check = get_le(bytes + 12, 8) };

	if ((uint32_t)hash_place(head.type, head.size, offset) != get_le(bytes + 8, 4) ||
	    head.size > RECORD_SIZE_MAX)
		return false;
	*out_head = head;
	return true;
}

bool record_is_sound(const struct record_head *head, const void *payload, uint64_t offset)
{
	return XXH3_64bits_withSeed(payload, head->size,
	                            hash_place(head->type, head->size, offset)) == head->check;
}

void frame_fields_encode(const struct frame_fields *fields, struct wire_writer *out)
{
	wire_put_u64(out, fields->time_ns);
	wire_put_u64(out, fields->number);
	wire_put_u16(out, fields->places);
	wire_put_u16(out, fields->tiles);
	wire_put_u32(out, fields->rows);
	wire_put_u32(out, fields->first_tile);
	wire_put_u32(out, fields->first_row);
	wire_put_u32(out, fields->block_size);
}

struct frame_fields frame_fields_decode(struct wire_reader *reader)
{
	struct frame_fields fields = { .time_ns = wire_get_u64(reader) };

	fields.number = wire_get_u64(reader);
	fields.places = wire_get_u16(reader);
	fields.tiles = wire_get_u16(reader);
	fields.rows = wire_get_u32(reader);
	fields.first_tile = wire_get_u32(reader);
	fields.first_row = wire_get_u32(reader);
	fields.block_size = wire_get_u32(reader);
	return fields;
}

/* --- what a frame brings --------------------------------------------------------------------- */

void recording_content_finish(struct recording_content *content)
{
	free(content->runs);
	free(content->starts);
	free(content->pixels);
	*content = (struct recording_content){ 0 };
}

size_t recording_content_size(const struct recording_content *content)
{
	return sizeof(*content) + ((size_t)content->tiles + 1) * 4 +
	       (content->starts ? content->starts[content->tiles] : 0) * 4ul +
	       (size_t)content->rows * ROW_PIXELS * 4;
}

/* All of the tiles' runs. False: a tile is too high, or has rows that nobody has stored. */
static bool decode_tiles(struct recording_content *content, struct wire_reader *reader)
{
	uint32_t known = content->first_row + content->rows, used = 0;

	for (uint32_t i = 0; i < content->tiles; i++) {
		unsigned count = wire_get_u8(reader) + 1u, height = 0;

		content->starts[i] = used;
		for (unsigned k = 0; k < count && !reader->failed; k++) {
			uint32_t run = wire_get_u32(reader);

			height += run_rows(run);
			if (height > TILE_HEIGHT || run_first(run) >= known ||
			    known - run_first(run) < run_rows(run))
				return false;
			content->runs[used++] = run;
		}
	}
	content->starts[content->tiles] = used;
	return !reader->failed;
}

struct palettes {
	unsigned count;
	unsigned sizes[PALETTES_MAX];
	uint32_t colours[PALETTES_MAX][PALETTE_COLOURS];
};

static uint32_t get_rgb(struct wire_reader *reader)
{
	uint8_t rgb[3];

	wire_get_bytes(reader, rgb, sizeof(rgb));
	return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

static bool decode_palettes(struct palettes *palettes, struct wire_reader *reader)
{
	palettes->count = wire_get_u8(reader);
	if (palettes->count > PALETTES_MAX)
		return false;
	for (unsigned i = 0; i < palettes->count; i++) {
		palettes->sizes[i] = wire_get_u8(reader) + 1u;
		for (unsigned k = 0; k < palettes->sizes[i]; k++)
			palettes->colours[i][k] = get_rgb(reader);
	}
	return !reader->failed;
}

static bool decode_row(const struct palettes *palettes, unsigned kind, struct wire_reader *reader,
                       uint32_t *out_pixels)
{
	uint8_t indices[ROW_PIXELS];

	if (kind == ROW_RGB) {
		for (unsigned i = 0; i < ROW_PIXELS; i++)
			out_pixels[i] = get_rgb(reader);
		return !reader->failed;
	}
	if (kind >= palettes->count)
		return false;
	wire_get_bytes(reader, indices, sizeof(indices));
	for (unsigned i = 0; i < ROW_PIXELS; i++) {
		if (indices[i] >= palettes->sizes[kind])
			return false;
		out_pixels[i] = palettes->colours[kind][indices[i]];
	}
	return !reader->failed;
}

static bool decode_rows(struct recording_content *content, struct palettes *palettes,
                        struct wire_reader *reader)
{
	if (!decode_palettes(palettes, reader) || reader->left < content->rows)
		return false;
	const uint8_t *kinds = reader->at;
	reader->at += content->rows;
	reader->left -= content->rows;
	for (uint32_t i = 0; i < content->rows; i++)
		if (!decode_row(palettes, kinds[i], reader,
		                content->pixels + (size_t)i * ROW_PIXELS))
			return false;
	return true;
}

/* The block as it was before it was packed; one that is as long as that wasn't. NULL: it can't be. */
static const uint8_t *unpack(const uint8_t *data, size_t size, size_t block_size, uint8_t *room)
{
	if (size == block_size)
		return data;
	int got = LZ4_decompress_safe((const char *)data, (char *)room, (int)size, (int)block_size);
	return got >= 0 && (size_t)got == block_size ? room : NULL;
}

/* The least that a block of so many tiles and rows takes; what claims more than it holds is refused first. */
static bool sizes_fit(const struct frame_fields *fields, size_t size)
{
	size_t least = (size_t)fields->tiles * 5 + 1 + (size_t)fields->rows * (1 + ROW_PIXELS);

	return fields->block_size <= RECORD_BLOCK_MAX && size <= fields->block_size &&
	       fields->block_size >= least && fields->first_row <= ROWS_MAX &&
	       fields->rows <= ROWS_MAX - fields->first_row;
}

int recording_content_decode(const struct frame_fields *fields, const uint8_t *data, size_t size,
                             struct recording_content *out_content, struct error *err)
{
	if (!sizes_fit(fields, size))
		return error_set(err, -EBADMSG, "a frame's sizes don't fit each other");
	struct recording_content content = { .first_tile = fields->first_tile,
		                             .tiles = fields->tiles,
		                             .first_row = fields->first_row,
		                             .rows = fields->rows };
	cleanup_free uint8_t *room = malloc(fields->block_size);
	cleanup_free struct palettes *palettes = malloc(sizeof(*palettes));
	content.runs = malloc(((size_t)content.tiles * TILE_HEIGHT + 1) * 4);
	content.starts = malloc(((size_t)content.tiles + 1) * 4);
	content.pixels = malloc((size_t)content.rows * ROW_PIXELS * 4 + 1);
	if (!room || !palettes || !content.runs || !content.starts || !content.pixels) {
		recording_content_finish(&content);
		return error_set(err, -ENOMEM, "no memory for a frame");
	}
	const uint8_t *block = unpack(data, size, fields->block_size, room);
	struct wire_reader reader = wire_reader_over(block ?: room, block ? fields->block_size : 0);
	if (!block || !decode_tiles(&content, &reader) ||
	    !decode_rows(&content, palettes, &reader) || !wire_reader_ended(&reader)) {
		recording_content_finish(&content);
		return error_set(err, -EBADMSG, "a frame is not what it should be");
	}
	*out_content = content;
	return 0;
}
