/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_recording_golden.c - a recording of format version 1 as it is for all time: written and read;
 * and what its actions are told as.
 *
 * With CLOCHE_WRITE_GOLDEN in the environment golden/recording-v1.rec is written anew, which only a new
 * version of the format gives a reason for. Run from the top of the tree.
 */
#include <jansson.h>
#include <lz4.h>

#include "supervisor/recording_describe.h"
#include "tests/unit/recording_bed.h"

#define GOLDEN "tests/unit/golden/recording-v1.rec"
#define MS 1000000ull

static const struct {
	const char *text, *line;
} actions[] = {
	{ "{\"event\":\"action\",\"by\":\"agent\",\"verb\":\"input\",\"steps\":[{\"move\":[90,75]},"
	  "{\"button\":1}]}",
	  "left click 90,75" },
	{ "{\"event\":\"action\",\"by\":\"agent\",\"verb\":\"input\",\"steps\":[{\"characters\":7},"
	  "{\"key\":\"Return\"}]}",
	  "type 7 characters, key Return" },
	{ "{\"event\":\"action\",\"by\":\"viewer\",\"verb\":\"input\",\"steps\":[{\"keysym\":65293,"
	  "\"down\":true}]}",
	  "key 0xff0d (down), by a viewer" },
	{ "{\"event\":\"action\",\"by\":\"agent\",\"verb\":\"browser\",\"op\":\"navigate\","
	  "\"url\":\"http://a.example/\"}",
	  "navigate http://a.example/" },
	{ "{\"event\":\"alert\",\"name\":\"vault\",\"x\":1,\"y\":2}", "alert: vault" },
};

/* Every kind of row: plain, of a palette, RGB; seen before; another size; all kinds of records. */
static void write_recording(void)
{
	struct recording_writer *writer = begin_recording();
	cleanup_picture struct picture picture = { 0 };
	struct error err = { 0 };

	assert_int_equal(picture_resize(&picture, 200, 100), 0);
	paint(&picture, PAINT_PLAIN, 0);
	assert_int_equal(recording_put_frame(writer, 1, BEGUN + 10 * MS, &picture, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		assert_int_equal(recording_put_action(writer, BEGUN + (100 + i) * MS,
		                                      actions[i].text, &err),
		                 0);
	paint(&picture, PAINT_TEXT, 0);
	assert_int_equal(recording_put_frame(writer, 5, BEGUN + 500 * MS, &picture, &err), 0);
	paint(&picture, PAINT_TEXT, 5);
	assert_int_equal(recording_put_frame(writer, 6, BEGUN + 533 * MS, &picture, &err), 0);
	paint(&picture, PAINT_NOISE, 5);
	assert_int_equal(recording_put_frame(writer, 7, BEGUN + 566 * MS, &picture, &err), 0);
	assert_int_equal(picture_resize(&picture, 130, 70), 0);
	paint(&picture, PAINT_TEXT, 0);
	assert_int_equal(recording_put_frame(writer, 9, BEGUN + 2000 * MS, &picture, &err), 0);
	finish_recording(writer, 3);
}

static uint8_t *read_whole(const char *path, size_t *out_size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *data = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	*out_size = (size_t)st.st_size;
	return data;
}

static void test_writer(void **state)
{
	size_t size, golden_size;

	(void)state;
	write_recording();
	uint8_t *written = read_whole(bed.path, &size);
	if (getenv("CLOCHE_WRITE_GOLDEN")) {
		int fd = open(GOLDEN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		assert_int_equal(write(fd, written, size), size);
		close(fd);
	}
	uint8_t *golden = read_whole(GOLDEN, &golden_size);
	/* Other versions of LZ4 may find shorter blocks for the same bytes; what they say stays right. */
	if (LZ4_versionNumber() == 10904) {
		assert_int_equal(size, golden_size);
		assert_memory_equal(written, golden, size);
	} else {
		print_message("this LZ4 (%s) may encode otherwise than 1.9.4\n",
		              LZ4_versionString());
	}
	free(written);
	free(golden);
}

/* The bytes that the manual page numbers, by hand. */
static void test_bytes(void **state)
{
	static const uint8_t start[] = { 'C', 'L', 'O', 'R', 'E', 'C', 0x1a, '\n',
		                         1,   0,   0,   0,   0,   0,   0,    0 };
	static const uint8_t sides[] = { 64, 0, 32, 0, 0, 0, 0, 0, 'w', 'e', 'b', 0 };
	/* A SCREEN of 16 bytes at 96: its head, 10 ms, 200 x 100. */
	static const uint8_t screen[] = { 1, 0, 0, 0, 16, 0, 0, 0 };
	static const uint8_t payload[] = { 0x80, 0x96, 0x98, 0, 0,   0, 0, 0,
		                           200,  0,    0,    0, 100, 0, 0, 0 };
	/* A FRAME: 10 ms, number 1, 16 places, 2 tiles (one is lower), 1 row. */
	static const uint8_t frame[] = { 0x80, 0x96, 0x98, 0, 0, 0, 0,  0, 1, 0,
		                         0,    0,    0,    0, 0, 0, 16, 0, 2, 0 };
	size_t size;
	uint8_t *golden = read_whole(GOLDEN, &size);

	(void)state;
	assert_memory_equal(golden, start, sizeof(start));
	assert_memory_equal(golden + 24, sides, sizeof(sides));
	assert_memory_equal(golden + 96, screen, sizeof(screen));
	assert_memory_equal(golden + 96 + 20, payload, sizeof(payload));
	assert_int_equal(golden[132], 2);
	assert_memory_equal(golden + 132 + 20, frame, 18);
	free(golden);
}

static void test_reader(void **state)
{
	static const struct {
		unsigned width, height;
		enum paint how;
		unsigned scroll;
	} screens[] = { { 200, 100, PAINT_PLAIN, 0 },
		        { 200, 100, PAINT_TEXT, 0 },
		        { 200, 100, PAINT_TEXT, 5 },
		        { 200, 100, PAINT_NOISE, 5 },
		        { 130, 70, PAINT_TEXT, 0 } };
	struct recording *recording;
	struct recording_event event;
	struct error err = { 0 };
	unsigned screen = 0, action = 0;

	(void)state;
	close(open(bed.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); /* for the bed to remove */
	assert_int_equal(recording_open(GOLDEN, &recording, &err), 0);
	assert_true(recording_info(recording)->whole);
	while (recording_next(recording, &event, &err) > 0) {
		cleanup_picture struct picture picture = { 0 };
		char line[ACTION_LINE_SIZE];

		if (event.kind == RECORDING_ACTION) {
			recording_describe(event.text, event.text_size, line);
			assert_string_equal(line, actions[action++].line);
		} else if (event.kind == RECORDING_FRAME) {
			assert_int_equal(picture_resize(&picture, screens[screen].width,
			                                screens[screen].height),
			                 0);
			paint(&picture, screens[screen].how, screens[screen].scroll);
			assert_shows(recording, &picture);
			screen++;
		}
	}
	assert_int_equal(screen, ARRAY_SIZE(screens));
	assert_int_equal(action, ARRAY_SIZE(actions));
	recording_close(recording);
}

/* Whatever an action says: one line, without control characters, valid UTF-8, and never too long. */
static void test_descriptions(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{ "", "?" },
		{ "nonsense", "?" },
		{ "[]", "?" },
		{ "{}", "?" },
		{ "{\"event\":\"\\u001b[2Jx\"}", " [2Jx" },
		{ "{\"event\":\"action\",\"verb\":\"input\",\"steps\":7}", "?" },
		{ "{\"event\":\"action\",\"verb\":\"input\",\"steps\":[{\"move\":7}]}",
		  "move 0,0" },
		{ "{\"event\":\"action\",\"verb\":\"input\",\"steps\":[{\"move\":[1,2]},{\"move\":["
		  "3,4]}],"
		  "\"more\":9}",
		  "move 3,4, ..." },
		{ "{\"event\":\"action\",\"verb\":\"input\",\"steps\":[{\"button\":5},{\"button\":"
		  "5},"
		  "{\"button\":1,\"down\":true},{\"move\":[3,4]},{\"button\":1,\"down\":false}]}",
		  "scroll down x2, left click (down), left click 3,4 (up)" },
		{ "{\"event\":\"action\",\"verb\":\"input\",\"steps\":[{\"move\":[3,4]},"
		  "{\"button\":1,\"down\":true},{\"button\":1,\"down\":false},"
		  "{\"button\":1,\"down\":true},{\"button\":1,\"down\":false},"
		  "{\"button\":3,\"down\":true},{\"button\":1,\"down\":false}]}",
		  "left click 3,4 x2, right click (down), left click (up)" },
		{ "{\"event\":\"control\",\"holder\":2}", "viewer 2 takes control" },
		{ "{\"event\":\"control\"}", "control is given back" },
	};
	char line[ACTION_LINE_SIZE];
	char text[4096] = "{\"event\":\"action\",\"verb\":\"input\",\"steps\":[";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		recording_describe(cases[i].text, strlen(cases[i].text), line);
		assert_string_equal(line, cases[i].line);
	}
	/* Characters of three bytes, cut anywhere. */
	for (unsigned i = 0; i < 30; i++)
		strcat(text,
		       "{\"text\":"
		       "\"x漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢\"},");
	strcpy(text + strlen(text) - 1, "]}");
	recording_describe(text, strlen(text), line);
	assert_in_range(strlen(line), 200, ACTION_LINE_SIZE - 1);
	json_t *string = json_string(line); /* takes nothing but UTF-8 */
	assert_non_null(string);
	json_decref(string);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writer, bed_open, bed_close),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test_setup_teardown(test_reader, bed_open, bed_close),
		cmocka_unit_test(test_descriptions),
	};

	return cmocka_run_group_tests_name("supervisor_recording_golden", tests, NULL, NULL);
}
