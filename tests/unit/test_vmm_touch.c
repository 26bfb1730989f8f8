/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_vmm_touch.c - first-touch orders: what is written is what is read, anything else is refused. */
#include "tests/unit/vmm_snapshot_bed.h"

#include "lib/clock.h"
#include "vmm/snapshot/touch.h"
#include "vmm/snapshot/touch_record.h"

#define CHUNKS 40u
#define COUNT_AT 40u /* in the file */
#define ORDER_AT 44u

static const struct snapshot_id id = { { 7, 1, 9 } };
static uint32_t order_chunks[] = { 39, 0, 17, 4, 5, 6 };
static const struct touch_order order = { order_chunks, ARRAY_SIZE(order_chunks) };

static void assert_order(const struct touch_order *is, const uint32_t *chunks, size_t count)
{
	assert_int_equal(is->count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(is->chunks[i], chunks[i]);
}

static void test_round_trip(void **state)
{
	struct wire_writer out = WIRE_WRITER_INIT;
	struct touch_order back;
	struct error err = { 0 };

	(void)state;
	for (size_t count = 0; count <= order.count; count++) {
		const struct touch_order some = { order_chunks, count };

		touch_encode(&id, CHUNKS, &some, &out);
		assert_false(out.failed);
		if (touch_decode(out.data, out.size, &id, CHUNKS, &back, &err))
			fail_msg("%s", err.msg);
		assert_order(&back, order_chunks, count);
		touch_order_finish(&back);
		wire_writer_finish(&out);
	}
}

static void test_every_byte_counts(void **state)
{
	struct wire_writer out = WIRE_WRITER_INIT;
	struct touch_order back = { 0 };
	struct error err = { 0 };

	(void)state;
	touch_encode(&id, CHUNKS, &order, &out);
	for (size_t at = 0; at < out.size * 8; at++) {
		out.data[at / 8] ^= (uint8_t)(1u << at % 8);
		assert_int_equal(touch_decode(out.data, out.size, &id, CHUNKS, &back, &err),
		                 -EBADMSG);
		out.data[at / 8] ^= (uint8_t)(1u << at % 8);
	}
	for (size_t size = 0; size < out.size; size++)
		assert_int_equal(touch_decode(out.data, size, &id, CHUNKS, &back, &err), -EBADMSG);
	assert_null(back.chunks);
	wire_writer_finish(&out);
}

/* Hashes that fit: the lie itself is found. */
static void test_lies(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		uint32_t value;
	} rows[] = {
		{ "a chunk beyond RAM", ORDER_AT, CHUNKS },
		{ "a chunk far beyond", ORDER_AT + 8, UINT32_MAX },
		{ "a chunk twice", ORDER_AT + 4, 39 },
		{ "more chunks than there are", COUNT_AT, 7 },
		{ "fewer", COUNT_AT, 5 },
		{ "very many", COUNT_AT, UINT32_MAX },
		{ "another version", 8, 2 },
		{ "another chunk size", 12, 4096 },
		{ "another snapshot", 16, 0 },
		{ "another RAM size", 32, CHUNKS + 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_writer out = WIRE_WRITER_INIT;
		struct touch_order back = { 0 };
		struct error err = { 0 };

		touch_encode(&id, CHUNKS, &order, &out);
		put_le(out.data + rows[i].at, rows[i].value, 4);
		put_le(out.data + out.size - 8, XXH3_64bits(out.data, out.size - 8), 8);
		assert_row(rows[i].name,
		           touch_decode(out.data, out.size, &id, CHUNKS, &back, &err) == -EBADMSG);
		assert_row(rows[i].name, err.code == -EBADMSG && !back.chunks);
		wire_writer_finish(&out);
	}
}

static void test_files(void **state)
{
	const char *path = bed_path("order");
	struct touch_order back = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_clear(&err, touch_read(path, &id, CHUNKS, &back, &err), path);
	assert_int_equal(err.code, -ENOENT);
	unsigned fds = count_fds();
	/* The second time in the place of the first. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(touch_write(path, &id, CHUNKS, &order, &err), 0);
		assert_int_equal(bed_count_files(), 1);
		if (touch_read(path, &id, CHUNKS, &back, &err))
			fail_msg("%s", err.msg);
		assert_order(&back, order_chunks, order.count);
		touch_order_finish(&back);
	}
	err = (struct error){ 0 };
	assert_clear(&err, touch_read(path, &id, CHUNKS + 1, &back, &err), path);

	write_whole(path, (const uint8_t *)"", 0);
	err = (struct error){ 0 };
	assert_clear(&err, touch_read(path, &id, CHUNKS, &back, &err), path);
	assert_int_equal(err.code, -EBADMSG);
	assert_int_equal(truncate(path, 1 << 20), 0);
	err = (struct error){ 0 };
	assert_clear(&err, touch_read(path, &id, CHUNKS, &back, &err), path);
	assert_int_equal(err.code, -EBADMSG);

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	err = (struct error){ 0 };
	assert_clear(&err, touch_read(path, &id, CHUNKS, &back, &err), path);
	assert_int_equal(err.code, -EINVAL);
	assert_null(back.chunks);
	assert_int_equal(count_fds(), fds);
}

static void test_files_that_cant_be_written(void **state)
{
	char longer[PATH_MAX + 16];
	struct error err = { 0 };

	(void)state;
	/* The partial one is a folder, the place itself is, there is no folder, no such name. */
	assert_int_equal(mkdir(bed_path("a.partial"), 0700), 0);
	assert_clear(&err, touch_write(bed_path("a"), &id, CHUNKS, &order, &err), "/a");
	assert_int_equal(rmdir(bed_path("a.partial")), 0);
	assert_int_equal(mkdir(bed_path("b"), 0700), 0);
	err = (struct error){ 0 };
	assert_clear(&err, touch_write(bed_path("b"), &id, CHUNKS, &order, &err), "/b");
	assert_int_equal(bed_count_files(), 1);
	err = (struct error){ 0 };
	assert_clear(&err, touch_write(bed_path("c/d"), &id, CHUNKS, &order, &err), "/c/d");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	err = (struct error){ 0 };
	assert_int_equal(touch_write(longer, &id, CHUNKS, &order, &err), -ENAMETOOLONG);
	assert_int_equal(bed_count_files(), 1);
}

static void test_record(void **state)
{
	static const uint32_t wanted[] = { 3, 1, 6, 0, 2 };
	uint32_t before_chunks[] = { 6, 0, 1, 2 };
	const struct touch_order before = { before_chunks, ARRAY_SIZE(before_chunks) };
	struct touch_record *record;
	struct snapshot_file *file;
	struct touch_order back;
	struct error err = { 0 };

	(void)state;
	bed_fill("abcdefg", CHUNK);
	bed_write("snapshot", NULL);
	assert_int_equal(snapshot_file_open(bed_path("snapshot"), &file, &err), 0);
	uint64_t began_ns = clock_now_ns();
	assert_int_equal(touch_record_create(bed_path("order"), file, &record), 0);
	assert_true(touch_record_last_ns(record) >= began_ns);
	touch_record_note(record, 3, 111);
	touch_record_note(record, 1, 222);
	touch_record_note(record, 3, 333);
	touch_record_note(record, 6, 444);
	assert_int_equal(touch_record_last_ns(record), 444);
	touch_record_end(record, &before);
	/* Too late. */
	touch_record_note(record, 4, 555);
	assert_int_equal(touch_record_last_ns(record), 444);
	touch_record_destroy(record);
	if (touch_read(bed_path("order"), snapshot_file_id(file), 7, &back, &err))
		fail_msg("%s", err.msg);
	assert_order(&back, wanted, ARRAY_SIZE(wanted));
	touch_order_finish(&back);

	/* One that wasn't ended leaves no file. */
	assert_int_equal(touch_record_create(bed_path("other"), file, &record), 0);
	touch_record_note(record, 3, 111);
	touch_record_destroy(record);
	touch_record_destroy(NULL);
	assert_int_equal(access(bed_path("other"), F_OK), -1);
	snapshot_file_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_lies),
		cmocka_unit_test_setup_teardown(test_files, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_files_that_cant_be_written, bed_open,
		                                bed_close),
		cmocka_unit_test_setup_teardown(test_record, bed_open, bed_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
