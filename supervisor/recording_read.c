/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_read.c - see recording_read.h: the file and its records. Single thread.
 *
 * Opening goes through all events once: what recording_next() finds then has been seen to be in order.
 * It is checked all the same, since the file may change meanwhile.
 */
#include "supervisor/recording_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"

int recording_damaged(const struct recording *recording, uint64_t offset, const char *what,
                      struct error *err)
{
	return error_set(err, -EBADMSG, "%s is damaged at byte %llu: %s", recording->path,
	                 (unsigned long long)offset, what);
}

/* --- records --------------------------------------------------------------------------------- */

/* 1; 0: the file ends before that; -errno. */
static int read_at(const struct recording *recording, uint64_t offset, void *out, size_t size,
                   struct error *err)
{
	ssize_t n = pread_full(recording->fd, out, size, offset);

	if (n < 0)
		return error_set(err, (int)n, "cannot read %s: %s", recording->path,
		                 strerror((int)-n));
	return (size_t)n == size;
}

static int make_room(struct recording *recording, size_t size, struct error *err)
{
	if (size <= recording->payload_room)
		return 0;
	uint8_t *payload = realloc(recording->payload, size);
	if (!payload)
		return error_set(err, -ENOMEM, "no memory for a record of %zu bytes", size);
	recording->payload = payload;
	recording->payload_room = size;
	return 0;
}

int recording_read_record(struct recording *recording, uint64_t offset,
                          struct record_head *out_head, struct error *err)
{
	uint8_t bytes[RECORD_HEAD_SIZE];
	struct record_head head;

	if (recording->size - offset < RECORD_HEAD_SIZE)
		return 0;
	int ret = read_at(recording, offset, bytes, sizeof(bytes), err);
	if (ret <= 0)
		return ret;
	if (!record_head_decode(bytes, offset, &head))
		return recording_damaged(recording, offset, "that is no record's head", err);
	if (recording->size - offset - RECORD_HEAD_SIZE < head.size)
		return 0;
	ret = make_room(recording, head.size, err);
	if (ret == 0)
		ret = read_at(recording, offset + RECORD_HEAD_SIZE, recording->payload, head.size,
		              err);
	if (ret <= 0)
		return ret;
	if (!record_is_sound(&head, recording->payload, offset))
		return recording_damaged(recording, offset, "a record isn't as it was written",
		                         err);
	*out_head = head;
	return 1;
}

/* --- what they say --------------------------------------------------------------------------- */

static const char *take_screen(struct recording *recording, struct wire_reader *reader)
{
	struct recording_event *event = &recording->event;
	unsigned width = wire_get_u32(reader), height = wire_get_u32(reader);

	if (!wire_reader_ended(reader) || width < 1 || width > PROTO_DISPLAY_SIDE_MAX ||
	    height < 1 || height > PROTO_DISPLAY_SIDE_MAX)
		return "a screen of no such size";
	struct grid grid = grid_of(width, height);
	unsigned count = grid_count(&grid);
	uint32_t *shown = realloc(recording->shown, count * sizeof(*shown));
	if (shown)
		recording->shown = shown;
	uint8_t *stale = realloc(recording->stale, count);
	if (stale)
		recording->stale = stale;
	uint32_t *places = realloc(recording->places, 2 * count * sizeof(*places));
	if (places)
		recording->places = places;
	if (!shown || !stale || !places) {
		recording->width = recording->height = 0;
		return "no memory for its screen";
	}
	memset(shown, 0xff, count * sizeof(*shown));
	memset(stale, 1, count);
	recording->width = event->width = width;
	recording->height = event->height = height;
	event->kind = RECORDING_SCREEN;
	return NULL;
}

/* Puts the frame's tiles in their places. */
static const char *take_places(struct recording *recording, const struct frame_fields *fields,
                               struct wire_reader *reader)
{
	struct grid grid = grid_of(recording->width, recording->height);
	unsigned count = grid_count(&grid), least = 0;

	for (unsigned i = 0; i < fields->places; i++) {
		unsigned place = wire_get_u16(reader);
		uint32_t tile = wire_get_u32(reader);

		if (reader->failed || place < least || place >= count || tile >= recording->tiles)
			return "a tile that isn't, or a place that isn't";
		least = place + 1;
		recording->shown[place] = tile;
		recording->stale[place] = 1;
		recording->places[2 * i] = place;
		recording->places[2 * i + 1] = tile;
	}
	return NULL;
}

static const char *take_frame(struct recording *recording, uint64_t time_ns,
                              struct wire_reader *reader)
{
	struct recording_event *event = &recording->event;
	struct wire_reader again = wire_reader_over(recording->payload, FRAME_FIXED_SIZE);

	wire_get_bytes(reader, (uint8_t[FRAME_FIXED_SIZE - 8]){ 0 }, FRAME_FIXED_SIZE - 8);
	if (reader->failed)
		return "a frame that is too short";
	struct frame_fields fields = frame_fields_decode(&again);
	if (recording->width == 0)
		return "a frame without a screen";
	if (fields.first_tile != recording->tiles || fields.first_row != recording->rows ||
	    fields.rows > ROWS_MAX - recording->rows || fields.tiles > TILES_MAX - recording->tiles)
		return "a frame that doesn't follow the one before it";
	if (fields.tiles == 0 && (fields.rows > 0 || fields.block_size > 0))
		return "a frame of rows without tiles";
	recording->tiles += fields.tiles;
	recording->rows += fields.rows;
	const char *wrong = take_places(recording, &fields, reader);
	if (wrong)
		return wrong;
	if (fields.tiles == 0 && reader->left > 0)
		return "a frame that is too long";
	event->kind = RECORDING_FRAME;
	event->number = fields.number;
	event->fields = fields;
	event->places = recording->places;
	event->place_count = fields.places;
	event->time_ns = time_ns;
	return NULL;
}

static const char *take_action(struct recording *recording, struct wire_reader *reader)
{
	struct recording_event *event = &recording->event;

	if (reader->left > RECORD_ACTION_MAX)
		return "an action that is too long";
	event->kind = RECORDING_ACTION;
	event->text = (const char *)reader->at;
	event->text_size = reader->left;
	return NULL;
}

/* 1: an event; 0: none, look on; -errno. */
static int take(struct recording *recording, const struct record_head *head, struct error *err)
{
	struct wire_reader reader = wire_reader_over(recording->payload, head->size);
	const char *wrong;

	if (head->type >= RECORD_OPTIONAL)
		return 0;
	if (head->type < RECORD_SCREEN || head->type > RECORD_END)
		return error_set(err, -ENOTSUP, "%s has a record of type %u, which isn't known",
		                 recording->path, head->type);
	uint64_t time_ns = wire_get_u64(&reader);
	recording->event = (struct recording_event){ .time_ns = time_ns };
	if (reader.failed || time_ns < recording->time_ns)
		wrong = "time runs backwards";
	else if (head->type == RECORD_SCREEN)
		wrong = take_screen(recording, &reader);
	else if (head->type == RECORD_FRAME)
		wrong = take_frame(recording, time_ns, &reader);
	else if (head->type == RECORD_ACTION)
		wrong = take_action(recording, &reader);
	else
		wrong = recording->size != recording->at ? "something follows the end" : NULL;
	if (wrong)
		return recording_damaged(recording, recording->offset, wrong, err);
	recording->time_ns = time_ns;
	recording->ended = head->type == RECORD_END;
	return recording->ended ? 0 : 1;
}

int recording_next(struct recording *recording, struct recording_event *out_event,
                   struct error *err)
{
	while (!recording->ended) {
		struct record_head head;
		int ret = recording_read_record(recording, recording->at, &head, err);

		if (ret <= 0)
			return ret;
		recording->offset = recording->at;
		recording->at += RECORD_HEAD_SIZE + head.size;
		ret = take(recording, &head, err);
		if (ret < 0)
			return ret;
		if (ret > 0) {
			*out_event = recording->event;
			return 1;
		}
	}
	return 0;
}

void recording_rewind(struct recording *recording)
{
	recording->at = RECORDING_HEADER_SIZE;
	recording->time_ns = 0;
	recording->tiles = recording->rows = 0;
	recording->ended = false;
	recording->width = recording->height = 0;
}

/* --- opening --------------------------------------------------------------------------------- */

static int note_content(struct recording *recording, struct error *err)
{
	const struct frame_fields *fields = &recording->event.fields;

	if (recording->content_count == CONTENTS_MAX)
		return recording_damaged(recording, recording->offset, "too many frames", err);
	if (recording->content_count == recording->content_room) {
		uint32_t room = recording->content_room ? recording->content_room * 2 : 256;
		struct content_place *contents =
			realloc(recording->contents, room * sizeof(*contents));

		if (!contents)
			return error_set(err, -ENOMEM, "no memory for %s", recording->path);
		recording->contents = contents;
		recording->content_room = room;
	}
	recording->contents[recording->content_count++] =
		(struct content_place){ recording->offset, fields->first_tile, fields->first_row };
	return 0;
}

static int note(struct recording *recording, const struct recording_event *event, struct error *err)
{
	struct recording_info *info = &recording->info;

	info->duration_ns = event->time_ns;
	switch (event->kind) {
	case RECORDING_SCREEN:
		info->width = event->width > info->width ? event->width : info->width;
		info->height = event->height > info->height ? event->height : info->height;
		return 0;
	case RECORDING_ACTION:
		info->actions++;
		return 0;
	case RECORDING_FRAME:
		info->frames++;
		return event->fields.tiles > 0 ? note_content(recording, err) : 0;
	}
	return 0;
}

static int scan(struct recording *recording, struct error *err)
{
	struct recording_event event;
	int ret;

	recording_rewind(recording);
	while ((ret = recording_next(recording, &event, err)) > 0) {
		ret = note(recording, &event, err);
		if (ret)
			return ret;
	}
	recording->info.whole = recording->ended;
	recording->info.bytes = recording->at;
	if (recording->ended)
		recording->info.duration_ns = recording->time_ns;
	recording->info.tiles = recording->tiles;
	recording->info.rows = recording->rows;
	recording_rewind(recording);
	return ret;
}

static int open_file(struct recording *recording, const char *path, struct error *err)
{
	uint8_t header[RECORDING_HEADER_SIZE];
	struct stat st;

	recording->path = strdup(path);
	/* A FIFO in its place doesn't hold us up. */
	recording->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (recording->fd < 0 || fstat(recording->fd, &st) < 0 || !recording->path)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file", path);
	recording->size = (uint64_t)st.st_size;
	size_t size = st.st_size < (off_t)sizeof(header) ? (size_t)st.st_size : sizeof(header);
	int ret = read_at(recording, 0, header, size, err);
	if (ret == 0)
		return error_set(err, -EBADMSG, "%s is damaged: it shrinks", path);
	if (ret < 0)
		return ret;
	ret = recording_header_decode(header, size, &recording->info.header, err);
	return ret ? error_prefix(err, ret, "%s", path) : 0;
}

int recording_open(const char *path, struct recording **out_recording, struct error *err)
{
	struct recording *recording = calloc(1, sizeof(*recording));

	if (!recording)
		return error_set(err, -ENOMEM, "no memory for %s", path);
	recording->fd = -1;
	int ret = open_file(recording, path, err);
	if (ret == 0)
		ret = scan(recording, err);
	if (ret) {
		recording_close(recording);
		return ret;
	}
	*out_recording = recording;
	return 0;
}

void recording_close(struct recording *recording)
{
	if (!recording)
		return;
	close_fd(&recording->fd);
	recording_forget_contents(recording);
	picture_finish(&recording->picture);
	free(recording->contents);
	free(recording->payload);
	free(recording->places);
	free(recording->shown);
	free(recording->stale);
	free(recording->path);
	free(recording);
}

const struct recording_info *recording_info(const struct recording *recording)
{
	return &recording->info;
}
