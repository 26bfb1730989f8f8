/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_recording.c - recordings that are anything: opened, listed, drawn, and their actions described.
 *
 *	u8     flags: 1 checks are made to fit
 *	then   the file
 *
 * Without the flag hardly a mutation gets beyond a check; with it, all rules behind are met.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "supervisor/recording_describe.h"
#include "supervisor/recording_read.h"
#include "tests/fuzz/fuzz.h"

#define SEALED 1u
#define PIXELS_MAX (1u << 20) /* of a screen that is drawn: larger ones only take longer */

static int memfd;
static char path[32];

void fuzz_init(void)
{
	memfd = memfd_create("recording", MFD_CLOEXEC);
	CHECK(memfd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
}

/* Makes the checks fit, as far as the sizes say where they are. */
static void seal(uint8_t *file, size_t size)
{
	if (size < RECORDING_HEADER_SIZE)
		return;
	uint64_t hash = XXH3_64bits(file, RECORDING_HEADER_SIZE - 8);
	memcpy(file + RECORDING_HEADER_SIZE - 8, &hash, 8);
	for (size_t at = RECORDING_HEADER_SIZE; size - at >= RECORD_HEAD_SIZE;) {
		uint32_t type, length;

		memcpy(&type, file + at, 4);
		memcpy(&length, file + at + 4, 4);
		if (length > size - at - RECORD_HEAD_SIZE)
			return;
		record_head_encode(type, file + at + RECORD_HEAD_SIZE, length, at, file + at);
		at += RECORD_HEAD_SIZE + length;
	}
}

static void check_content(struct recording *recording, const struct recording_event *event)
{
	const struct recording_content *content;
	struct error err = { 0 };
	int ret = recording_get_content(recording, &content, &err);

	CHECK(ret == 0 || (ret == -EBADMSG && err.code == ret && err.msg[0]));
	if (ret || !content)
		return;
	CHECK(content->tiles == event->fields.tiles && content->rows == event->fields.rows);
	for (uint32_t i = 0; i < content->tiles; i++) {
		unsigned rows = 0;

		CHECK(content->starts[i] < content->starts[i + 1]);
		for (uint32_t k = content->starts[i]; k < content->starts[i + 1]; k++) {
			CHECK(run_first(content->runs[k]) + run_rows(content->runs[k]) <=
			      content->first_row + content->rows);
			rows += run_rows(content->runs[k]);
		}
		CHECK(rows <= TILE_HEIGHT);
	}
	for (size_t i = 0; i < (size_t)content->rows * ROW_PIXELS; i++)
		CHECK(content->pixels[i] >> 24 == 0);
}

static void check_action(const struct recording_event *event)
{
	char line[ACTION_LINE_SIZE];

	recording_describe(event->text, event->text_size, line);
	CHECK(line[0] && strlen(line) < sizeof(line));
	json_t *string = json_string(line);
	CHECK(string);
	json_decref(string);
}

static void read_all(struct recording *recording)
{
	const struct recording_info *info = recording_info(recording);
	uint64_t frames = 0, actions = 0, time_ns = 0;
	struct recording_event event;
	const struct picture *picture;
	struct error err = { 0 };
	bool small = (uint64_t)info->width * info->height <= PIXELS_MAX;
	int ret;

	while ((ret = recording_next(recording, &event, &err)) > 0) {
		CHECK(event.time_ns >= time_ns);
		time_ns = event.time_ns;
		if (event.kind == RECORDING_ACTION) {
			check_action(&event);
			actions++;
		} else if (event.kind == RECORDING_FRAME) {
			check_content(recording, &event);
			frames++;
		}
		int drawn = small ? recording_draw(recording, &picture, &err) : -ENODATA;
		CHECK(drawn == 0 || drawn == -EBADMSG || drawn == -ENODATA);
	}
	/* Opening has read all of it. */
	CHECK(ret == 0);
	CHECK(frames == info->frames && actions == info->actions);
}

void fuzz_one(struct input *in)
{
	struct recording *recording = NULL;
	struct error err = { 0 };
	uint8_t flags = input_u8(in);
	uint8_t *copy = malloc(in->size + 1);

	CHECK(copy);
	memcpy(copy, in->data, in->size);
	if (flags & SEALED)
		seal(copy, in->size);
	CHECK(ftruncate(memfd, 0) == 0);
	CHECK(pwrite(memfd, copy, in->size, 0) == (ssize_t)in->size);
	free(copy);
	int ret = recording_open(path, &recording, &err);
	if (ret) {
		CHECK(!recording && ret == err.code && err.msg[0]);
		return;
	}
	read_all(recording);
	recording_rewind(recording);
	read_all(recording);
	recording_close(recording);
}
