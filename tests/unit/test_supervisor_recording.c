/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_recording.c - recordings: what is put in comes out, once each, and a disk that is full.
 */
#include "tests/unit/recording_bed.h"

#include <signal.h>
#include <sys/resource.h>

/* Screens as they come: text, scrolled, noise, another size with edges that are no whole tiles. */
static void test_round_trip(void **state)
{
	static const struct {
		unsigned width, height;
		enum paint how;
		unsigned scroll;
	} screens[] = {
		{ 640, 400, PAINT_PLAIN, 0 }, { 640, 400, PAINT_TEXT, 0 },
		{ 640, 400, PAINT_TEXT, 7 },  { 640, 400, PAINT_NOISE, 1 },
		{ 640, 400, PAINT_TEXT, 0 },  { 333, 217, PAINT_TEXT, 3 },
		{ 333, 217, PAINT_NOISE, 2 }, { 640, 400, PAINT_TEXT, 14 },
		{ 1, 1, PAINT_NOISE, 5 },     { 64, 4096, PAINT_NOISE, 5 },
		{ 4096, 33, PAINT_TEXT, 5 },
	};
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };
	unsigned width = 0, height = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(screens); i++) {
		assert_int_equal(picture_resize(&picture, screens[i].width, screens[i].height), 0);
		paint(&picture, screens[i].how, screens[i].scroll);
		put(writer, i, &picture);
	}
	finish_recording(writer, 100);

	struct recording *recording = open_recording();
	const struct recording_info *info = recording_info(recording);
	assert_true(info->whole);
	assert_int_equal(info->duration_ns, 100 * SECOND);
	assert_int_equal(info->frames, ARRAY_SIZE(screens));
	assert_int_equal(info->width, 4096);
	assert_int_equal(info->height, 4096);
	assert_string_equal(info->header.name, "web");
	assert_int_equal(info->header.begun_ns, BEGUN);
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(screens); i++) {
			assert_int_equal(
				picture_resize(&picture, screens[i].width, screens[i].height), 0);
			paint(&picture, screens[i].how, screens[i].scroll);
			if (screens[i].width != width || screens[i].height != height)
				next(recording, RECORDING_SCREEN);
			width = screens[i].width;
			height = screens[i].height;
			struct recording_event event = next(recording, RECORDING_FRAME);
			assert_int_equal(event.time_ns, i * SECOND);
			assert_int_equal(event.number, i);
			assert_shows(recording, &picture);
		}
		assert_no_more(recording);
		recording_rewind(recording);
		width = height = 0;
	}
	recording_close(recording);
}

/* What is drawn last alone is right, too: frames may be passed over. */
static void test_skipped_frames(void **state)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };

	(void)state;
	assert_int_equal(picture_resize(&picture, 640, 400), 0);
	for (unsigned i = 0; i < 40; i++) {
		paint(&picture, PAINT_TEXT, i * 3);
		put(writer, i, &picture);
	}
	finish_recording(writer, 40);
	struct recording *recording = open_recording();
	next(recording, RECORDING_SCREEN);
	for (unsigned i = 0; i < 40; i++)
		next(recording, RECORDING_FRAME);
	assert_shows(recording, &picture);
	recording_close(recording);
}

/* A tile that was seen before takes 6 bytes; a screen that is scrolled brings what is new of it. */
static void test_nothing_twice(void **state)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };
	struct recording_written first, second, third, scrolled;

	(void)state;
	assert_int_equal(picture_resize(&picture, 640, 384), 0); /* 10 x 12 tiles */
	paint(&picture, PAINT_NOISE, 1);
	put(writer, 1, &picture);
	first = recording_written(writer);
	assert_int_equal(first.tiles, 120);
	paint(&picture, PAINT_TEXT, 0);
	put(writer, 2, &picture);
	second = recording_written(writer);
	paint(&picture, PAINT_NOISE, 1);
	put(writer, 3, &picture);
	third = recording_written(writer);
	assert_int_equal(third.tiles, second.tiles);
	assert_int_equal(third.rows, second.rows);
	assert_int_equal(third.bytes - second.bytes,
	                 RECORD_HEAD_SIZE + FRAME_FIXED_SIZE + 120 * FRAME_PLACE_SIZE);
	/* Up by 7 rows of text: at most those are new, each cut into 10. */
	paint(&picture, PAINT_TEXT, 7);
	put(writer, 4, &picture);
	scrolled = recording_written(writer);
	assert_true(scrolled.tiles > third.tiles);
	assert_in_range(scrolled.rows - third.rows, 1, 70);
	finish_recording(writer, 5);
}

/* A screen on which nothing changes costs nothing, whatever is marked; a caret costs its tile's place. */
static void test_still_screen(void **state)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };

	(void)state;
	assert_int_equal(picture_resize(&picture, 640, 400), 0);
	paint(&picture, PAINT_TEXT, 0);
	put(writer, 1, &picture);
	uint64_t bytes = recording_written(writer).bytes;
	put(writer, 2, &picture);
	memset(picture.changed, 0, grid_count(&picture.grid));
	put(writer, 3, &picture);
	assert_int_equal(recording_written(writer).bytes, bytes);
	assert_int_equal(recording_written(writer).frames, 1);

	memset(picture.changed, 0, grid_count(&picture.grid));
	picture.changed[0] = 1;
	for (unsigned i = 0; i < 10; i++) {
		picture.pixels[5] ^= 0xffffff;
		put(writer, 4 + i, &picture);
	}
	assert_int_equal(recording_written(writer).frames, 11);
	assert_true(recording_written(writer).bytes - bytes <
	            10 * (RECORD_HEAD_SIZE + FRAME_FIXED_SIZE + FRAME_PLACE_SIZE) + 400);
	finish_recording(writer, 20);
}

static void test_actions(void **state)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };
	struct error err = { 0 };
	char *long_text = calloc(1, RECORD_ACTION_MAX + 2);

	(void)state;
	assert_int_equal(picture_resize(&picture, 64, 32), 0);
	put(writer, 1, &picture);
	/* The clock was set back: time stands still until it has caught up. */
	assert_int_equal(recording_put_action(writer, BEGUN - 5, "{\"a\":1}", &err), 0);
	assert_int_equal(recording_put_action(writer, BEGUN + 3 * SECOND, "{}", &err), 0);
	memset(long_text, 'x', RECORD_ACTION_MAX + 1);
	assert_int_equal(recording_put_action(writer, BEGUN, long_text, &err), 0);
	free(long_text);
	finish_recording(writer, 4);

	struct recording *recording = open_recording();
	assert_int_equal(recording_info(recording)->actions, 2);
	next(recording, RECORDING_SCREEN);
	next(recording, RECORDING_FRAME);
	struct recording_event event = next(recording, RECORDING_ACTION);
	assert_int_equal(event.time_ns, SECOND);
	assert_int_equal(event.text_size, 7);
	assert_memory_equal(event.text, "{\"a\":1}", 7);
	assert_int_equal(next(recording, RECORDING_ACTION).time_ns, 3 * SECOND);
	assert_no_more(recording);
	recording_close(recording);
}

static void test_file(void **state)
{
	const struct recording_header header = { .begun_ns = BEGUN };
	struct recording_writer *writer = begin_recording(), *other = NULL;
	struct error err = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(stat(bed.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(recording_create(bed.path, &header, &other, &err), -EEXIST);
	assert_null(other);
	finish_recording(writer, 0);
	assert_int_equal(recording_create("/nowhere/at/all", &header, &other, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nowhere/at/all"));

	struct recording *recording = open_recording();
	const struct picture *picture;
	assert_no_more(recording);
	assert_int_equal(recording_draw(recording, &picture, &err), -ENODATA);
	recording_close(recording);
}

/* A file that may not grow: the frame that doesn't fit is taken back, what was there can be read. */
static void test_full_disk(void **state)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };
	struct rlimit limit, old;
	struct error err = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(picture_resize(&picture, 640, 400), 0);
	paint(&picture, PAINT_TEXT, 0);
	put(writer, 1, &picture);
	uint64_t bytes = recording_written(writer).bytes;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = bytes + 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	paint(&picture, PAINT_NOISE, 0);
	assert_int_equal(recording_put_frame(writer, 2, BEGUN, &picture, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(stat(bed.path, &st), 0);
	assert_int_equal(st.st_size, bytes);
	/* It stays so: numbers were given that nothing was stored for. */
	assert_int_equal(recording_put_action(writer, BEGUN, "{}", &err), -EIO);
	recording_abandon(writer);

	struct recording *recording = open_recording();
	assert_false(recording_info(recording)->whole);
	paint(&picture, PAINT_TEXT, 0);
	next(recording, RECORDING_SCREEN);
	next(recording, RECORDING_FRAME);
	assert_shows(recording, &picture);
	assert_no_more(recording);
	recording_close(recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_skipped_frames, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_nothing_twice, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_still_screen, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_actions, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_file, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_full_disk, bed_open, bed_close),
	};

	return cmocka_run_group_tests_name("supervisor_recording", tests, NULL, NULL);
}
