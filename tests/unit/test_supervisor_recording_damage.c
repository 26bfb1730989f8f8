/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_recording_damage.c - recordings that were cut off, damaged, or are something else.
 */
#include "tests/unit/recording_bed.h"

#include <xxhash.h>

static uint8_t *whole;
static size_t whole_size;
static size_t ends[8]; /* of the records, in bytes */
static unsigned end_count;

static void note_end(struct recording_writer *writer)
{
	ends[end_count++] = (size_t)recording_written(writer).bytes;
}

/* Three frames, one after another size, an action: small enough to be damaged byte by byte. */
static int setup(void **state)
{
	cleanup_picture struct picture picture = { 0 };
	struct error err = { 0 };
	struct stat st;

	bed_open(state);
	end_count = 0;
	struct recording_writer *writer = begin_recording();
	note_end(writer);
	assert_int_equal(picture_resize(&picture, 130, 70), 0);
	paint(&picture, PAINT_PLAIN, 0);
	put(writer, 1, &picture);
	note_end(writer);
	picture.pixels[0] = 0x123456;
	put(writer, 2, &picture);
	note_end(writer);
	assert_int_equal(recording_put_action(writer, BEGUN + 3 * SECOND, "{\"x\":1}", &err), 0);
	note_end(writer);
	paint(&picture, PAINT_TEXT, 4);
	put(writer, 4, &picture);
	note_end(writer);
	finish_recording(writer, 5);

	int fd = open(bed.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	whole_size = (size_t)st.st_size;
	whole = malloc(whole_size);
	assert_int_equal(read(fd, whole, whole_size), whole_size);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	free(whole);
	return bed_close(state);
}

static void write_file(const uint8_t *data, size_t size)
{
	int fd = open(bed.path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

/* Opens and draws all. 0, or the error; what can be opened must be read to its end. */
static int read_all(struct error *err, struct recording_info *out_info)
{
	struct recording *recording = NULL;
	struct recording_event event;
	const struct picture *picture;
	int ret = recording_open(bed.path, &recording, err);

	if (ret) {
		assert_null(recording);
		return ret;
	}
	while ((ret = recording_next(recording, &event, err)) > 0) {
		ret = event.kind == RECORDING_FRAME ? recording_draw(recording, &picture, err) : 0;
		if (ret)
			break;
	}
	if (out_info)
		*out_info = *recording_info(recording);
	recording_close(recording);
	return ret;
}

/* kill -9 at any moment: all that was whole is there, and it is told that more is missing. */
static void test_cut_off(void **state)
{
	(void)state;
	for (size_t size = RECORDING_HEADER_SIZE; size < whole_size; size++) {
		struct recording_info info;
		struct error err = { 0 };
		unsigned frames = 0;

		write_file(whole, size);
		if (read_all(&err, &info))
			fail_msg("at %zu: %s", size, err.msg);
		assert_false(info.whole);
		for (unsigned i = 1; i < end_count; i++)
			frames += i != 3 && ends[i] <= size;
		assert_int_equal(info.frames, frames);
		assert_int_equal(info.actions, size >= ends[3]);
		assert_true(info.bytes <= size);
	}
}

/* Any byte that isn't what it was: one error, which names the file, and nothing of it is shown. */
static void test_flipped_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < whole_size; i++) {
		struct error err = { 0 };

		whole[i] ^= (uint8_t)(1u << i % 8);
		write_file(whole, whole_size);
		whole[i] ^= (uint8_t)(1u << i % 8);
		int ret = read_all(&err, NULL);
		if (ret == 0)
			fail_msg("byte %zu can be anything", i);
		assert_true(ret == -EBADMSG || ret == -ENOTSUP || ret == -EINVAL);
		assert_memory_equal(err.msg, bed.path, strlen(bed.path));
	}
}

static void test_records_out_of_place(void **state)
{
	size_t size = ends[3] - ends[2];
	uint8_t *data = malloc(whole_size + size);
	struct error err = { 0 };

	(void)state;
	/* The action once more, and without it. */
	memcpy(data, whole, ends[3]);
	memcpy(data + ends[3], whole + ends[2], size);
	memcpy(data + ends[3] + size, whole + ends[3], whole_size - ends[3]);
	write_file(data, whole_size + size);
	assert_int_equal(read_all(&err, NULL), -EBADMSG);
	memcpy(data, whole, ends[2]);
	memcpy(data + ends[2], whole + ends[3], whole_size - ends[3]);
	write_file(data, whole_size - size);
	assert_int_equal(read_all(&err, NULL), -EBADMSG);
	/* Something behind the end. */
	memcpy(data, whole, whole_size);
	data[whole_size] = 0;
	write_file(data, whole_size + 1);
	assert_int_equal(read_all(&err, NULL), -EBADMSG);
	free(data);
}

static void test_no_recordings(void **state)
{
	struct recording *recording = NULL;
	struct error err = { 0 };

	(void)state;
	write_file((const uint8_t *)"", 0);
	assert_int_equal(read_all(&err, NULL), -EINVAL);
	write_file((const uint8_t *)"\x89PNG and more", 12);
	assert_int_equal(read_all(&err, NULL), -EINVAL);
	write_file(whole, 50);
	assert_int_equal(read_all(&err, NULL), -EBADMSG);
	assert_int_equal(recording_open("/nowhere", &recording, &err), -ENOENT);
	assert_int_equal(recording_open(bed.folder, &recording, &err), -EINVAL);
	assert_int_equal(recording_open("/dev/null", &recording, &err), -EINVAL);
	unlink(bed.path);
	assert_int_equal(mkfifo(bed.path, 0600), 0);
	assert_int_equal(recording_open(bed.path, &recording, &err), -EINVAL);
	assert_null(recording);
}

/* --- records that are sound and lie ---------------------------------------------------------- */

static struct wire_writer lie = WIRE_WRITER_INIT;

static void begin_lie(void)
{
	lie.size = 0;
	wire_put_bytes(&lie, whole, RECORDING_HEADER_SIZE);
}

static void add_record(uint32_t type, const struct wire_writer *payload)
{
	uint8_t head[RECORD_HEAD_SIZE];

	record_head_encode(type, payload->data, payload->size, lie.size, head);
	wire_put_bytes(&lie, head, sizeof(head));
	wire_put_bytes(&lie, payload->data, payload->size);
}

static void add_screen(uint32_t width, uint32_t height)
{
	struct wire_writer payload = WIRE_WRITER_INIT;

	wire_put_u64(&payload, 0);
	wire_put_u32(&payload, width);
	wire_put_u32(&payload, height);
	add_record(RECORD_SCREEN, &payload);
	wire_writer_finish(&payload);
}

/* A frame with one place, which shows @tile, and a block. */
static void add_frame(struct frame_fields fields, unsigned place, uint32_t tile, const void *block,
                      size_t size)
{
	struct wire_writer payload = WIRE_WRITER_INIT;

	frame_fields_encode(&fields, &payload);
	if (fields.places > 0) {
		wire_put_u16(&payload, (uint16_t)place);
		wire_put_u32(&payload, tile);
	}
	wire_put_bytes(&payload, block, size);
	add_record(RECORD_FRAME, &payload);
	wire_writer_finish(&payload);
}

/* A tile of one run of @rows rows from @first on; one palette of one colour; @stored rows. */
static size_t make_block(uint8_t *block, uint32_t first, unsigned rows, unsigned stored,
                         uint8_t kind, uint8_t index)
{
	uint32_t run = run_make(first, rows);
	size_t used = 0;

	block[used++] = 0;
	for (unsigned i = 0; i < 4; i++)
		block[used++] = (uint8_t)(run >> 8 * i);
	block[used++] = 1; /* palettes */
	block[used++] = 0; /* colours - 1 */
	memset(block + used, 0xff, 3);
	used += 3;
	memset(block + used, kind, stored);
	used += stored;
	memset(block + used, index, (size_t)stored * ROW_PIXELS);
	return used + (size_t)stored * ROW_PIXELS;
}

static void test_lies(void **state)
{
	static const struct {
		const char *name;
		unsigned width, height;
		struct frame_fields fields;
		unsigned place;
		uint32_t tile;
		uint32_t first;
		unsigned rows, stored;
		uint8_t kind, index;
		int expected;
	} cases[] = {
		{ "honest",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  0 },
		{ "no screen",
		  0,
		  0,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "wide screen",
		  4097,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "place that isn't",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  1,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "tile that isn't",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  1,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "low tile",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 31 },
		  0,
		  0,
		  0,
		  31,
		  31,
		  0,
		  0,
		  -EBADMSG },
		{ "row that isn't",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 31 },
		  0,
		  0,
		  0,
		  32,
		  31,
		  0,
		  0,
		  -EBADMSG },
		{ "row far off",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  ROWS_MAX - 1,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "palette that isn't",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  1,
		  0,
		  -EBADMSG },
		{ "short RGB",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  ROW_RGB,
		  0,
		  -EBADMSG },
		{ "colour that isn't",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  1,
		  -EBADMSG },
		{ "later tile",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32, .first_tile = 1 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "later row",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = 32, .first_row = 1 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "rows without tiles",
		  64,
		  32,
		  { .places = 1, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "too many rows",
		  64,
		  32,
		  { .places = 1, .tiles = 1, .rows = UINT32_MAX },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
		{ "more tiles than block",
		  64,
		  32,
		  { .places = 1, .tiles = 65535, .rows = 32 },
		  0,
		  0,
		  0,
		  32,
		  32,
		  0,
		  0,
		  -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t block[4096];
		struct frame_fields fields = cases[i].fields;
		struct error err = { 0 };
		size_t size = make_block(block, cases[i].first, cases[i].rows, cases[i].stored,
		                         cases[i].kind, cases[i].index);

		fields.block_size = (uint32_t)size;
		begin_lie();
		if (cases[i].width)
			add_screen(cases[i].width, cases[i].height);
		add_frame(fields, cases[i].place, cases[i].tile, block, size);
		write_file(lie.data, lie.size);
		int ret = read_all(&err, NULL);
		if (ret != cases[i].expected)
			fail_msg("%s: %d %s", cases[i].name, ret, err.msg);
	}
	wire_writer_finish(&lie);
}

/* LZ4 that unpacks to more, to less, or not at all; sizes beyond all bounds take no memory. */
static void test_lying_blocks(void **state)
{
	static const struct {
		const char *name;
		uint32_t block_size;
		size_t size;
	} cases[] = {
		{ "too long", RECORD_BLOCK_MAX + 1, 64 },
		{ "larger than said", 2300, 2400 },
		{ "no LZ4", 4096, 64 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t block[4096];
		struct error err = { 0 };

		memset(block, 0xf7, sizeof(block));
		begin_lie();
		add_screen(64, 32);
		add_frame((struct frame_fields){ .places = 1,
		                                 .tiles = 1,
		                                 .rows = 32,
		                                 .block_size = cases[i].block_size },
		          0, 0, block, cases[i].size);
		write_file(lie.data, lie.size);
		assert_row(cases[i].name, read_all(&err, NULL) == -EBADMSG);
	}
	wire_writer_finish(&lie);
}

/* Records of later versions: what may be passed over is, the rest is refused. */
static void test_unknown_records(void **state)
{
	struct wire_writer payload = WIRE_WRITER_INIT;
	struct error err = { 0 };

	(void)state;
	wire_put_u64(&payload, 0);
	begin_lie();
	add_record(RECORD_OPTIONAL + 7, &payload);
	write_file(lie.data, lie.size);
	assert_int_equal(read_all(&err, NULL), 0);
	add_record(99, &payload);
	write_file(lie.data, lie.size);
	assert_int_equal(read_all(&err, NULL), -ENOTSUP);
	wire_writer_finish(&payload);
	wire_writer_finish(&lie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_out_of_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_recordings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lying_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_records, setup, teardown),
	};

	return cmocka_run_group_tests_name("supervisor_recording_damage", tests, NULL, NULL);
}
