/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_write.c - see recording_write.h. Single thread.
 */
#include "supervisor/recording_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "lib/log.h"
#include "supervisor/recording_pack.h"
#include "supervisor/recording_seen.h"

/* 100 MiB and 24 MiB when full: the rows and tiles of some 200 pages that have nothing in common. */
#define ROW_SLOTS_MAX ((size_t)1 << 22)
#define TILE_SLOTS_MAX ((size_t)1 << 20)
#define NO_TILE UINT32_MAX

struct recording_writer {
	int fd;      /* owned */
	char *path;  /* owned */
	bool failed; /* nothing more is taken */
	uint64_t begun_ns;
	struct recording_written written;
	uint32_t contents; /* records that brought tiles */
	unsigned width, height;
	uint32_t *shown; /* owned: the tile at each place */
	struct seen tiles, rows;
	struct pack pack;
	struct wire_writer record, places;
};

/* --- the file -------------------------------------------------------------------------------- */

static int fail(struct recording_writer *writer, int code, struct error *err)
{
	writer->failed = true;
	return error_set(err, code, "cannot write %s: %s", writer->path, strerror(-code));
}

/* Appends what .record holds behind the room for a head. */
static int append(struct recording_writer *writer, uint32_t type, struct error *err)
{
	struct wire_writer *record = &writer->record;
	uint64_t offset = writer->written.bytes;

	if (writer->failed)
		return error_set(err, -EIO, "cannot write %s any more", writer->path);
	if (record->failed)
		return fail(writer, -ENOMEM, err);
	const uint8_t *payload = record->data + RECORD_HEAD_SIZE;
	size_t size = record->size - RECORD_HEAD_SIZE;
	ASSERT(size <= RECORD_SIZE_MAX);
	record_head_encode(type, payload, size, offset, record->data);
	int ret = write_full(writer->fd, record->data, record->size);
	if (ret) {
		/* What there is of it would be damage to whoever appends, and no harm to who reads. */
		if (ftruncate(writer->fd, (off_t)offset))
			log_debug("%s: %s", writer->path, strerror(errno));
		return fail(writer, ret, err);
	}
	writer->written.bytes += record->size;
	return 0;
}

/* An empty record with room for its head, and its time. */
static uint64_t begin(struct recording_writer *writer, uint64_t realtime_ns)
{
	static const uint8_t head[RECORD_HEAD_SIZE];
	uint64_t now = realtime_ns > writer->begun_ns ? realtime_ns - writer->begun_ns : 0;

	writer->record.size = 0;
	wire_put_bytes(&writer->record, head, sizeof(head));
	return now > writer->written.last_ns ? now : writer->written.last_ns;
}

static int create_file(struct recording_writer *writer, const struct recording_header *header,
                       struct error *err)
{
	uint8_t bytes[RECORDING_HEADER_SIZE];

	/* No O_TRUNC, no link followed: what is there is somebody's. */
	writer->fd = open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (writer->fd < 0 && errno == EEXIST)
		return error_set(err, -EEXIST, "%s is there already", writer->path);
	if (writer->fd < 0 || fchmod(writer->fd, 0600))
		return fail(writer, -errno, err);
	recording_header_encode(header, bytes);
	int ret = write_full(writer->fd, bytes, sizeof(bytes));
	writer->written.bytes = sizeof(bytes);
	return ret ? fail(writer, ret, err) : 0;
}

int recording_create(const char *path, const struct recording_header *header,
                     struct recording_writer **out_writer, struct error *err)
{
	struct recording_writer *writer = calloc(1, sizeof(*writer));
	int ret;

	if (!writer)
		return error_set(err, -ENOMEM, "no memory to record");
	writer->fd = -1;
	writer->begun_ns = header->begun_ns;
	writer->path = strdup(path);
	if (!writer->path || seen_init(&writer->tiles, TILE_SLOTS_MAX) ||
	    seen_init(&writer->rows, ROW_SLOTS_MAX))
		ret = error_set(err, -ENOMEM, "no memory to record");
	else
		ret = create_file(writer, header, err);
	if (ret) {
		recording_abandon(writer);
		return ret;
	}
	*out_writer = writer;
	return 0;
}

void recording_abandon(struct recording_writer *writer)
{
	if (!writer)
		return;
	close_fd(&writer->fd);
	seen_finish(&writer->tiles);
	seen_finish(&writer->rows);
	pack_finish(&writer->pack);
	wire_writer_finish(&writer->record);
	wire_writer_finish(&writer->places);
	free(writer->shown);
	free(writer->path);
	free(writer);
}

struct recording_written recording_written(const struct recording_writer *writer)
{
	return writer->written;
}

/* --- frames ---------------------------------------------------------------------------------- */

/* Another size than before: a SCREEN, on which nothing is shown yet. */
static int put_screen(struct recording_writer *writer, uint64_t realtime_ns,
                      const struct picture *picture, struct error *err)
{
	unsigned count = picture_tile_count(picture);
	uint32_t *shown = malloc(count * sizeof(*shown));

	if (!shown)
		return fail(writer, -ENOMEM, err);
	free(writer->shown);
	writer->shown = shown;
	for (unsigned i = 0; i < count; i++)
		shown[i] = NO_TILE;
	uint64_t time_ns = begin(writer, realtime_ns);
	wire_put_u64(&writer->record, time_ns);
	wire_put_u32(&writer->record, picture->grid.width);
	wire_put_u32(&writer->record, picture->grid.height);
	int ret = append(writer, RECORD_SCREEN, err);
	if (ret == 0) {
		writer->width = picture->grid.width;
		writer->height = picture->grid.height;
		writer->written.last_ns = time_ns;
	}
	return ret;
}

/* A tile as it is stored: rows of ROW_PIXELS, zeros beyond the screen's edge. Its height. */
static unsigned read_tile(const struct picture *picture, unsigned index,
                          uint32_t out_pixels[PICTURE_TILE_PIXELS])
{
	struct rectangle tile = picture_tile(picture, index);

	for (unsigned y = 0; y < tile.height; y++) {
		uint32_t *row = out_pixels + (size_t)y * ROW_PIXELS;

		memcpy(row, picture->pixels + (size_t)(tile.y + y) * picture->grid.width + tile.x,
		       tile.width * sizeof(*row));
		memset(row + tile.width, 0, (ROW_PIXELS - tile.width) * sizeof(*row));
	}
	return tile.height;
}

/* Packs a tile that is new: its rows as runs, and those that are new, too. */
static void pack_new_tile(struct recording_writer *writer, const uint32_t *pixels, unsigned height)
{
	uint32_t fresh[PICTURE_TILE_PIXELS];
	uint32_t first[TILE_HEIGHT];
	unsigned length[TILE_HEIGHT], count = 0, rows = 0;

	for (unsigned y = 0; y < height; y++) {
		const uint32_t *row = pixels + (size_t)y * ROW_PIXELS;
		uint32_t next = (uint32_t)writer->written.rows + rows, number = next;

		if (!seen_look(&writer->rows, row, ROW_PIXELS * sizeof(*row), next, &number))
			memcpy(fresh + (size_t)rows++ * ROW_PIXELS, row, ROW_PIXELS * sizeof(*row));
		if (count > 0 && first[count - 1] + length[count - 1] == number) {
			length[count - 1]++;
			continue;
		}
		first[count] = number;
		length[count++] = 1;
	}
	uint32_t runs[TILE_HEIGHT];
	for (unsigned i = 0; i < count; i++)
		runs[i] = run_make(first[i], length[i]);
	pack_tile(&writer->pack, runs, count, fresh, rows);
	writer->written.rows += rows;
}

/* Goes through the places that have changed: .places, .pack. Their number. */
static unsigned collect(struct recording_writer *writer, const struct picture *picture, bool all)
{
	unsigned places = 0;

	writer->places.size = 0;
	for (unsigned i = 0; i < picture_tile_count(picture); i++) {
		uint32_t pixels[PICTURE_TILE_PIXELS];
		uint32_t next = (uint32_t)writer->written.tiles, number = next;

		if (!all && !picture->changed[i])
			continue;
		unsigned height = read_tile(picture, i, pixels);
		if (!seen_look(&writer->tiles, pixels,
		               (size_t)height * ROW_PIXELS * sizeof(*pixels), next, &number)) {
			pack_new_tile(writer, pixels, height);
			writer->written.tiles++;
		}
		if (writer->shown[i] == number)
			continue;
		writer->shown[i] = number;
		wire_put_u16(&writer->places, (uint16_t)i);
		wire_put_u32(&writer->places, number);
		places++;
	}
	return places;
}

static int put_places(struct recording_writer *writer, uint64_t number, uint64_t realtime_ns,
                      const struct recording_written *before, unsigned places, struct error *err)
{
	struct frame_fields fields = { .number = number,
		                       .places = (uint16_t)places,
		                       .tiles = (uint16_t)(writer->written.tiles - before->tiles),
		                       .rows = (uint32_t)(writer->written.rows - before->rows),
		                       .first_tile = (uint32_t)before->tiles,
		                       .first_row = (uint32_t)before->rows };
	const void *block = NULL;
	size_t size = 0;

	if (fields.tiles > 0) {
		if (pack_end(&writer->pack, &block, &size, &fields.block_size))
			return fail(writer, -ENOMEM, err);
		writer->contents++;
	}
	fields.time_ns = begin(writer, realtime_ns);
	frame_fields_encode(&fields, &writer->record);
	wire_put_bytes(&writer->record, writer->places.data, writer->places.size);
	wire_put_bytes(&writer->record, block, size);
	int ret = append(writer, RECORD_FRAME, err);
	if (ret == 0) {
		writer->written.frames++;
		writer->written.last_ns = fields.time_ns;
	}
	return ret;
}

static bool is_full(const struct recording_writer *writer, const struct picture *picture)
{
	uint64_t tiles = picture_tile_count(picture);

	return writer->written.tiles + tiles > TILES_MAX ||
	       writer->written.rows + tiles * TILE_HEIGHT > ROWS_MAX ||
	       writer->contents == CONTENTS_MAX;
}

int recording_put_frame(struct recording_writer *writer, uint64_t number, uint64_t realtime_ns,
                        const struct picture *picture, struct error *err)
{
	const struct recording_written before = writer->written;
	bool all = picture->grid.width != writer->width || picture->grid.height != writer->height;

	if (is_full(writer, picture))
		return error_set(err, -EFBIG, "%s is as long as a recording can be", writer->path);
	int ret = all ? put_screen(writer, realtime_ns, picture, err) : 0;
	if (ret)
		return ret;
	if (pack_begin(&writer->pack))
		return fail(writer, -ENOMEM, err);
	unsigned places = collect(writer, picture, all);
	if (writer->places.failed)
		return fail(writer, -ENOMEM, err);
	if (places == 0)
		return 0;
	return put_places(writer, number, realtime_ns, &before, places, err);
}

/* --- actions and the end --------------------------------------------------------------------- */

int recording_put_action(struct recording_writer *writer, uint64_t realtime_ns, const char *text,
                         struct error *err)
{
	size_t size = strlen(text);

	if (size > RECORD_ACTION_MAX)
		return 0;
	uint64_t time_ns = begin(writer, realtime_ns);
	wire_put_u64(&writer->record, time_ns);
	wire_put_bytes(&writer->record, text, size);
	int ret = append(writer, RECORD_ACTION, err);
	if (ret == 0) {
		writer->written.actions++;
		writer->written.last_ns = time_ns;
	}
	return ret;
}

static int put_end(struct recording_writer *writer, uint64_t realtime_ns, struct error *err)
{
	uint64_t time_ns = begin(writer, realtime_ns);

	wire_put_u64(&writer->record, time_ns);
	wire_put_u64(&writer->record, writer->written.frames);
	wire_put_u64(&writer->record, writer->written.actions);
	return append(writer, RECORD_END, err);
}

int recording_finish(struct recording_writer *writer, uint64_t realtime_ns,
                     struct recording_written *out_written, struct error *err)
{
	int ret = put_end(writer, realtime_ns, err);

	/* A pipe or the like has nothing to sync. */
	if (ret == 0 && fsync(writer->fd) && errno != EINVAL && errno != EROFS)
		ret = fail(writer, -errno, err);
	*out_written = writer->written;
	recording_abandon(writer);
	return ret;
}
