/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_bed.h - what the tests of recordings share: a folder, screens that are painted by number, and
 * a short recording of them.
 */
#ifndef CLOCHE_TESTS_UNIT_RECORDING_BED_H
#define CLOCHE_TESTS_UNIT_RECORDING_BED_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/recording_read.h"
#include "supervisor/recording_write.h"
#include "tests/unit/unit.h"

#define BEGUN 1700000000000000000ull /* ns */
#define SECOND 1000000000ull

static struct {
	char folder[32];
	char path[64];
} bed;

static inline int bed_open(void **state)
{
	(void)state;
	strcpy(bed.folder, "/tmp/recording.XXXXXX");
	assert_non_null(mkdtemp(bed.folder));
	snprintf(bed.path, sizeof(bed.path), "%s/a.rec", bed.folder);
	return 0;
}

static inline int bed_close(void **state)
{
	(void)state;
	unlink(bed.path);
	assert_int_equal(rmdir(bed.folder), 0);
	return 0;
}

static inline uint32_t mix(uint32_t value)
{
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	return value ^ (value >> 16);
}

enum paint { PAINT_PLAIN, PAINT_TEXT, PAINT_NOISE };

/* Lines of "text" in three colours, moved up by @scroll pixels; or noise, another for each @scroll. */
static inline void paint(struct picture *picture, enum paint how, unsigned scroll)
{
	for (unsigned y = 0; y < picture->grid.height; y++)
		for (unsigned x = 0; x < picture->grid.width; x++) {
			uint32_t *pixel = &picture->pixels[(size_t)y * picture->grid.width + x];
			uint32_t at = mix((y + scroll) * 4099u + x / 2);

			*pixel = 0xffffff;
			if (how == PAINT_NOISE)
				*pixel = mix(at + scroll * 7919u) & 0xffffff;
			else if (how == PAINT_TEXT && (y + scroll) % 20 > 8)
				*pixel = at % 3 == 0 ? 0x202020 : at % 3 == 1 ? 0xffffff : 0x0040c0;
		}
	memset(picture->changed, 1, grid_count(&picture->grid));
}

static inline struct recording_writer *begin_recording(void)
{
	const struct recording_header header = { .begun_ns = BEGUN, .name = "web" };
	struct recording_writer *writer;
	struct error err = { 0 };

	if (recording_create(bed.path, &header, &writer, &err))
		fail_msg("%s", err.msg);
	return writer;
}

static inline void put(struct recording_writer *writer, uint64_t number,
                       const struct picture *picture)
{
	struct error err = { 0 };

	if (recording_put_frame(writer, number, BEGUN + number * SECOND, picture, &err))
		fail_msg("%s", err.msg);
}

static inline void finish_recording(struct recording_writer *writer, uint64_t second)
{
	struct recording_written written;
	struct error err = { 0 };
	struct stat st;

	if (recording_finish(writer, BEGUN + second * SECOND, &written, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(stat(bed.path, &st), 0);
	assert_int_equal(written.bytes, st.st_size);
}

static inline struct recording *open_recording(void)
{
	struct recording *recording;
	struct error err = { 0 };

	if (recording_open(bed.path, &recording, &err))
		fail_msg("%s", err.msg);
	return recording;
}

/* The next event, which must be a @kind. */
static inline struct recording_event next(struct recording *recording,
                                          enum recording_event_kind kind)
{
	struct recording_event event;
	struct error err = { 0 };

	if (recording_next(recording, &event, &err) <= 0)
		fail_msg("no event: %s", err.msg);
	assert_int_equal(event.kind, kind);
	return event;
}

static inline void assert_shows(struct recording *recording, const struct picture *expected)
{
	const struct picture *drawn;
	struct error err = { 0 };

	if (recording_draw(recording, &drawn, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(drawn->grid.width, expected->grid.width);
	assert_int_equal(drawn->grid.height, expected->grid.height);
	assert_memory_equal(drawn->pixels, expected->pixels,
	                    (size_t)expected->grid.width * expected->grid.height * 4);
}

static inline void assert_no_more(struct recording *recording)
{
	struct recording_event event;
	struct error err = { 0 };

	assert_int_equal(recording_next(recording, &event, &err), 0);
}

#endif
