/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_pack.c - see recording_pack.h. Single thread.
 *
 * A tile's rows get one palette: of the last few, the one that lacks the fewest of its colours and has
 * room for them, so that what looks alike has the same bytes. Measured for a page of text at 1280x800
 * (687 colours) in LZ4's high compression, level 3: 110 KB; with a palette a tile 270 KB, as R, G, B 210 KB.
 */
#include "supervisor/recording_pack.h"

#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <string.h>

/*
 * Above the lowest level time doubles for each two per cent. What has no palette has hardly a match
 * either, and high compression looks for it at 30 MB/s.
 */
#define LEVEL LZ4HC_CLEVEL_MIN
#define PALETTES_TRIED 8u
#define SLOTS (sizeof(((struct pack_palette *)NULL)->slots) / sizeof(uint16_t))

static void reset(struct wire_writer *writer)
{
	writer->size = 0;
}

int pack_begin(struct pack *pack)
{
	reset(&pack->tiles);
	reset(&pack->kinds);
	reset(&pack->pixels);
	reset(&pack->block);
	pack->palette_count = 0;
	pack->tile_count = pack->row_count = 0;
	pack->rgb_rows = 0;
	if (!pack->palettes)
		pack->palettes = calloc(PALETTES_MAX + 1, sizeof(*pack->palettes));
	return pack->palettes ? 0 : -ENOMEM;
}

void pack_finish(struct pack *pack)
{
	wire_writer_finish(&pack->tiles);
	wire_writer_finish(&pack->kinds);
	wire_writer_finish(&pack->pixels);
	wire_writer_finish(&pack->block);
	free(pack->palettes);
	free(pack->packed);
	*pack = (struct pack){ 0 };
}

/* --- palettes -------------------------------------------------------------------------------- */

/* Where @colour's index is, or would be put. */
static uint16_t *find_slot(struct pack_palette *palette, uint32_t colour)
{
	size_t i = (colour * 2654435761u) >> 22;

	while (palette->slots[i] && palette->colours[palette->slots[i] - 1] != colour)
		i = (i + 1) % SLOTS;
	return &palette->slots[i];
}

/* False: it is full. */
static bool add_colour(struct pack_palette *palette, uint32_t colour)
{
	uint16_t *slot = find_slot(palette, colour);

	if (*slot)
		return true;
	if (palette->size == PALETTE_COLOURS)
		return false;
	palette->colours[palette->size++] = colour;
	*slot = (uint16_t)palette->size;
	return true;
}

static void clear_palette(struct pack_palette *palette)
{
	palette->size = 0;
	memset(palette->slots, 0, sizeof(palette->slots));
}

/* The colours of @pixels. False: too many. */
static bool collect(struct pack_palette *palette, const uint32_t *pixels, size_t count)
{
	clear_palette(palette);
	for (size_t i = 0; i < count; i++)
		if ((i == 0 || pixels[i] != pixels[i - 1]) && !add_colour(palette, pixels[i]))
			return false;
	return true;
}

static unsigned count_missing(struct pack_palette *palette, const struct pack_palette *of)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < of->size; i++)
		missing += *find_slot(palette, of->colours[i]) == 0;
	return missing;
}

/* The palette for @pixels, with all of their colours in it; ROW_RGB: none will do. */
static unsigned choose_palette(struct pack *pack, const uint32_t *pixels, size_t count)
{
	struct pack_palette *here = &pack->palettes[PALETTES_MAX];
	unsigned best = ROW_RGB, fewest = PALETTE_COLOURS + 1, tried = 0;

	if (!collect(here, pixels, count))
		return ROW_RGB;
	for (unsigned i = pack->palette_count; i-- > 0 && tried++ < PALETTES_TRIED;) {
		unsigned missing = count_missing(&pack->palettes[i], here);

		if (missing < fewest && pack->palettes[i].size + missing <= PALETTE_COLOURS) {
			best = i;
			fewest = missing;
		}
	}
	if (best == ROW_RGB) {
		if (pack->palette_count == PALETTES_MAX)
			return ROW_RGB;
		best = pack->palette_count++;
		clear_palette(&pack->palettes[best]);
	}
	for (unsigned i = 0; i < here->size; i++)
		add_colour(&pack->palettes[best], here->colours[i]);
	return best;
}

/* --- tiles and rows -------------------------------------------------------------------------- */

static void put_rgb(struct wire_writer *out, uint32_t colour)
{
	const uint8_t rgb[3] = { (uint8_t)(colour >> 16), (uint8_t)(colour >> 8), (uint8_t)colour };

	wire_put_bytes(out, rgb, sizeof(rgb));
}

static void put_row(struct pack *pack, unsigned kind, const uint32_t *pixels)
{
	uint8_t bytes[ROW_PIXELS * 3];
	size_t used = 0;

	for (unsigned i = 0; i < ROW_PIXELS; i++) {
		if (kind != ROW_RGB) {
			bytes[used++] = (uint8_t)(*find_slot(&pack->palettes[kind], pixels[i]) - 1);
			continue;
		}
		bytes[used++] = (uint8_t)(pixels[i] >> 16);
		bytes[used++] = (uint8_t)(pixels[i] >> 8);
		bytes[used++] = (uint8_t)pixels[i];
	}
	wire_put_u8(&pack->kinds, (uint8_t)kind);
	wire_put_bytes(&pack->pixels, bytes, used);
}

void pack_tile(struct pack *pack, const uint32_t *runs, unsigned count, const uint32_t *pixels,
               unsigned rows)
{
	wire_put_u8(&pack->tiles, (uint8_t)(count - 1));
	for (unsigned i = 0; i < count; i++)
		wire_put_u32(&pack->tiles, runs[i]);
	pack->tile_count++;
	if (rows == 0)
		return;
	unsigned kind = choose_palette(pack, pixels, (size_t)rows * ROW_PIXELS);
	for (unsigned i = 0; i < rows; i++)
		put_row(pack, kind, pixels + (size_t)i * ROW_PIXELS);
	pack->row_count += rows;
	pack->rgb_rows += kind == ROW_RGB ? rows : 0;
}

static void join(struct pack *pack)
{
	struct wire_writer *block = &pack->block;

	wire_put_bytes(block, pack->tiles.data, pack->tiles.size);
	wire_put_u8(block, (uint8_t)pack->palette_count);
	for (unsigned i = 0; i < pack->palette_count; i++) {
		wire_put_u8(block, (uint8_t)(pack->palettes[i].size - 1));
		for (unsigned k = 0; k < pack->palettes[i].size; k++)
			put_rgb(block, pack->palettes[i].colours[k]);
	}
	wire_put_bytes(block, pack->kinds.data, pack->kinds.size);
	wire_put_bytes(block, pack->pixels.data, pack->pixels.size);
}

static int compress(struct pack *pack, int *out_size)
{
	const char *data = (const char *)pack->block.data;
	int size = (int)pack->block.size, bound = LZ4_compressBound(size);

	if ((size_t)bound > pack->packed_room) {
		free(pack->packed);
		pack->packed = malloc((size_t)bound);
		pack->packed_room = pack->packed ? (size_t)bound : 0;
		if (!pack->packed)
			return -ENOMEM;
	}
	if (pack->rgb_rows > pack->row_count / 2)
		*out_size = LZ4_compress_default(data, pack->packed, size, bound);
	else
		*out_size = LZ4_compress_HC(data, pack->packed, size, bound, LEVEL);
	return *out_size > 0 ? 0 : -ENOMEM;
}

int pack_end(struct pack *pack, const void **out_data, size_t *out_size, uint32_t *out_block_size)
{
	int size = 0;

	join(pack);
	if (pack->tiles.failed || pack->kinds.failed || pack->pixels.failed || pack->block.failed ||
	    compress(pack, &size))
		return -ENOMEM;
	bool shorter = (size_t)size < pack->block.size;
	*out_data = shorter ? pack->packed : (const char *)pack->block.data;
	*out_size = shorter ? (size_t)size : pack->block.size;
	*out_block_size = (uint32_t)pack->block.size;
	return 0;
}
