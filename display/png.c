/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * png.c - see png.h. No state, any thread.
 */
#include "display/png.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "display/deflate.h"
#include "display/scratch.h"
#include "lib/log.h"
#include "lib/proto.h"

#define PIXEL_SIZE 3u

/* Around a chunk's data: length and type before, CRC behind. */
#define CHUNK_HEAD 8u
#define CHUNK_TAIL 4u
#define SIGNATURE_SIZE 8u
#define IHDR_SIZE 13u
#define OVERHEAD (SIGNATURE_SIZE + 3 * (CHUNK_HEAD + CHUNK_TAIL) + IHDR_SIZE)

enum filter_type { FILTER_NONE = 0, FILTER_UP = 2 };

/*
 * What deflate works in, filtered rows, then the file, which has room for the worst case but touches
 * only what the picture needs.
 */
struct workspace {
	struct scratch scratch; /* begins with deflate's */
	uint8_t *rows;
	size_t rows_size;
	uint8_t *file;
};

static void put_be32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

/* Puts length, type and CRC around the @size bytes of data at @at + CHUNK_HEAD. The chunk's end. */
static uint8_t *close_chunk(uint8_t *at, const char *type, size_t size)
{
	put_be32(at, (uint32_t)size);
	memcpy(at + 4, type, 4);
	put_be32(at + CHUNK_HEAD + size, crc32_gzip_refl(0, at + 4, 4 + size));
	return at + CHUNK_HEAD + size + CHUNK_TAIL;
}

static uint8_t *put_head(uint8_t *at, unsigned width, unsigned height)
{
	static const uint8_t signature[SIGNATURE_SIZE] = "\x89PNG\r\n\x1a\n";
	/* Eight bits, RGB, deflate, the five basic filters, not interlaced. */
	static const uint8_t format[] = { 8, 2, 0, 0, 0 };
	uint8_t *ihdr = at + SIGNATURE_SIZE + CHUNK_HEAD;

	memcpy(at, signature, SIGNATURE_SIZE);
	put_be32(ihdr, width);
	put_be32(ihdr + 4, height);
	memcpy(ihdr + 8, format, sizeof(format));
	return close_chunk(at + SIGNATURE_SIZE, "IHDR", IHDR_SIZE);
}

/*
 * True for a row in which fewer than a quarter of the pixels equal their left neighbour. Looks at
 * the green byte of every fourth one: to look at all took a tenth of the whole encoding.
 */
static bool is_noisy(const uint8_t *row, size_t size)
{
	size_t looked = 0, same = 0;

	for (size_t i = PIXEL_SIZE + 1; i < size; i += 4 * PIXEL_SIZE) {
		looked++;
		same += row[i] == row[i - PIXEL_SIZE];
	}
	return same < looked / 4;
}

/* Rows as deflate gets them: a filter type, then the filtered bytes. */
static void filter_rows(const uint8_t *rgb, size_t row_size, unsigned height, uint8_t *out)
{
	for (unsigned y = 0; y < height; y++, rgb += row_size, out += 1 + row_size) {
		if (y == 0 || !is_noisy(rgb, row_size)) {
			out[0] = FILTER_NONE;
			memcpy(out + 1, rgb, row_size);
			continue;
		}
		out[0] = FILTER_UP;
		for (size_t i = 0; i < row_size; i++)
			out[1 + i] = (uint8_t)(rgb[i] - (rgb - row_size)[i]);
	}
}

static int workspace_init(struct workspace *work, size_t rows_size)
{
	size_t file_room = OVERHEAD + deflate_bound(rows_size);

	if (scratch_init(&work->scratch, deflate_work_size + rows_size + file_room) < 0)
		return -ENOMEM;
	work->rows = (uint8_t *)work->scratch.data + deflate_work_size;
	work->rows_size = rows_size;
	work->file = work->rows + rows_size;
	return 0;
}

/* The whole file into work->file. Its size. */
static size_t encode_file(struct workspace *work, const uint8_t *rgb, unsigned width,
                          unsigned height)
{
	uint8_t *idat = put_head(work->file, width, height);
	uint8_t *end;
	size_t size;

	filter_rows(rgb, (size_t)PIXEL_SIZE * width, height, work->rows);
	size = deflate_pack(work->rows, work->rows_size, work->scratch.data, idat + CHUNK_HEAD);
	end = close_chunk(idat, "IDAT", size);
	end = close_chunk(end, "IEND", 0);
	return (size_t)(end - work->file);
}

int png_encode_rgb(const uint8_t *rgb, unsigned width, unsigned height, void **out_png,
                   size_t *out_size, struct error *err)
{
	struct workspace work;
	size_t size;
	void *png;

	ASSERT(width >= 1 && width <= PROTO_DISPLAY_SIDE_MAX);
	ASSERT(height >= 1 && height <= PROTO_DISPLAY_SIDE_MAX);
	if (workspace_init(&work, (1 + (size_t)PIXEL_SIZE * width) * height) < 0)
		return error_set(err, -ENOMEM, "PNG: no memory for %ux%u pixels", width, height);
	size = encode_file(&work, rgb, width, height);
	png = malloc(size);
	if (png)
		memcpy(png, work.file, size);
	scratch_finish(&work.scratch);
	if (!png)
		return error_set(err, -ENOMEM, "PNG: no memory for %zu bytes", size);
	*out_png = png;
	*out_size = size;
	return 0;
}
