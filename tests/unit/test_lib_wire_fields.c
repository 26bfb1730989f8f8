/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_wire_fields.c - fields as bytes, and every way in which they can be too few or too many.
 */
#include "tests/unit/unit.h"

#include "lib/wire_fields.h"

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool no_memory;

void *__wrap_realloc(void *p, size_t size)
{
	return no_memory ? NULL : __real_realloc(p, size);
}

/* The bytes are the contract: little-endian, nothing between them. */
static void test_bytes(void **state)
{
	static const uint8_t expected[] = {
		0x12,                                           /* u8 */
		0x34, 0x12,                                     /* u16 */
		0x78, 0x56, 0x34, 0x12,                         /* u32 */
		0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, /* u64 */
		'r',  'a',  'w',                                /* bytes */
		2,    0,    0,    0,    'a',  'b',              /* blob */
		0,    0,    0,    0,                            /* empty blob */
		1,    0,    0,    0,    'c',                    /* string */
	};
	struct wire_writer w = WIRE_WRITER_INIT;

	(void)state;
	wire_put_u8(&w, 0x12);
	wire_put_u16(&w, 0x1234);
	wire_put_u32(&w, 0x12345678);
	wire_put_u64(&w, 0x123456789abcdef0ull);
	wire_put_bytes(&w, "raw", 3);
	wire_put_bytes(&w, NULL, 0);
	wire_put_blob(&w, "ab", 2);
	wire_put_blob(&w, NULL, 0);
	wire_put_string(&w, "c");
	assert_false(w.failed);
	assert_int_equal(w.size, sizeof(expected));
	assert_memory_equal(w.data, expected, sizeof(expected));

	struct wire_reader r = wire_reader_over(w.data, w.size);
	char raw[3], text[2];
	size_t size = 99;

	assert_int_equal(wire_get_u8(&r), 0x12);
	assert_int_equal(wire_get_u16(&r), 0x1234);
	assert_int_equal(wire_get_u32(&r), 0x12345678);
	assert_int_equal(wire_get_u64(&r), 0x123456789abcdef0ull);
	wire_get_bytes(&r, raw, 3);
	wire_get_bytes(&r, NULL, 0);
	assert_memory_equal(raw, "raw", 3);
	const uint8_t *blob = wire_get_blob(&r, 2, &size);
	assert_int_equal(size, 2);
	assert_memory_equal(blob, "ab", 2);
	assert_false(wire_reader_ended(&r));
	assert_non_null(wire_get_blob(&r, 0, &size));
	assert_int_equal(size, 0);
	wire_get_string(&r, text, sizeof(text));
	assert_string_equal(text, "c");
	assert_true(wire_reader_ended(&r));
	wire_writer_finish(&w);
	assert_null(w.data);
	wire_writer_finish(&w);
}

/* What is cut off gives zeros, from the first field that isn't all there to the end. */
static void test_cut_off(void **state)
{
	static const uint8_t bytes[15] = { 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4 };

	(void)state;
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		/* A block of its own, so that a sanitizer sees a read behind it. */
		uint8_t *copy = malloc(size ? size : 1);
		assert_non_null(copy);
		memcpy(copy, bytes, size);
		struct wire_reader r = wire_reader_over(copy, size);
		char more[4] = "abc";

		assert_int_equal(wire_get_u8(&r), size >= 1 ? 1 : 0);
		assert_int_equal(wire_get_u16(&r), size >= 3 ? 0x0202 : 0);
		assert_int_equal(wire_get_u32(&r), size >= 7 ? 0x03030303 : 0);
		assert_int_equal(wire_get_u64(&r), size >= 15 ? 0x0404040404040404ull : 0);
		assert_int_equal(r.failed, size < sizeof(bytes));
		assert_int_equal(wire_reader_ended(&r), size == sizeof(bytes));
		wire_get_bytes(&r, more, sizeof(more));
		assert_memory_equal(more, "\0\0\0\0", sizeof(more));
		assert_true(r.failed && !wire_reader_ended(&r));
		/* It stays so, though a byte may be left. */
		assert_int_equal(wire_get_u8(&r), 0);
		free(copy);
	}
}

static void test_blobs(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[8];
		size_t size, max;
		int expected; /* size, or -1 */
	} rows[] = {
		{ "whole", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7, 3, 3 },
		{ "larger limit", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7, SIZE_MAX, 3 },
		{ "above the limit", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7, 2, -1 },
		{ "cut off", { 3, 0, 0, 0, 'a', 'b' }, 6, 3, -1 },
		{ "length cut off", { 3, 0, 0 }, 3, 3, -1 },
		{ "huge", { 0xff, 0xff, 0xff, 0xff, 'a' }, 5, SIZE_MAX, -1 },
		{ "empty", { 0, 0, 0, 0 }, 4, 0, 0 },
		{ "nothing", { 0 }, 0, 8, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_reader r = wire_reader_over(rows[i].bytes, rows[i].size);
		size_t size = 99;
		const uint8_t *blob = wire_get_blob(&r, rows[i].max, &size);

		assert_row(rows[i].name, (blob != NULL) == (rows[i].expected >= 0));
		assert_row(rows[i].name, r.failed == (rows[i].expected < 0));
		assert_row(rows[i].name,
		           size == (rows[i].expected < 0 ? 99 : (size_t)rows[i].expected));
		assert_row(rows[i].name, !blob || blob == rows[i].bytes + 4);
	}
}

static void test_strings(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[8];
		size_t size, room;
		const char *expected; /* NULL: fails */
	} rows[] = {
		{ "fits", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7, 4, "abc" },
		{ "no room for NUL", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7, 3, NULL },
		{ "NUL inside", { 3, 0, 0, 0, 'a', 0, 'c' }, 7, 8, NULL },
		{ "NUL at the end", { 3, 0, 0, 0, 'a', 'b', 0 }, 7, 8, NULL },
		{ "cut off", { 4, 0, 0, 0, 'a', 'b', 'c' }, 7, 8, NULL },
		{ "empty", { 0, 0, 0, 0 }, 4, 1, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_reader r = wire_reader_over(rows[i].bytes, rows[i].size);
		char text[] = "untouched";
		const char *expected = rows[i].expected ? rows[i].expected : "";

		wire_get_string(&r, text, rows[i].room);
		assert_row(rows[i].name, strcmp(text, expected) == 0);
		assert_row(rows[i].name, r.failed == !rows[i].expected);
	}
}

static void test_limits(void **state)
{
	struct wire_writer w = WIRE_WRITER_INIT;
	uint8_t *block = calloc(1, WIRE_FIELDS_MAX);

	(void)state;
	assert_non_null(block);
	wire_put_bytes(&w, block, WIRE_FIELDS_MAX - 1);
	wire_put_u8(&w, 7);
	assert_false(w.failed);
	assert_int_equal(w.size, WIRE_FIELDS_MAX);
	assert_int_equal(w.data[WIRE_FIELDS_MAX - 1], 7);
	wire_put_u8(&w, 8);
	assert_true(w.failed);
	wire_writer_finish(&w);

	/* Lengths that would wrap, and one that doesn't fit a u32. */
	wire_put_u8(&w, 1);
	wire_put_bytes(&w, block, SIZE_MAX);
	assert_true(w.failed);
	assert_int_equal(w.size, 1);
	wire_writer_finish(&w);
	wire_put_blob(&w, block, (size_t)UINT32_MAX + 2);
	assert_true(w.failed);
	assert_int_equal(w.size, 0);
	wire_writer_finish(&w);
	free(block);
}

static void test_no_memory(void **state)
{
	struct wire_writer w = WIRE_WRITER_INIT;

	(void)state;
	no_memory = true;
	wire_put_u32(&w, 1);
	no_memory = false;
	assert_true(w.failed);
	/* Sticky: what comes later would be at the wrong place. */
	wire_put_u32(&w, 2);
	assert_true(w.failed);
	assert_int_equal(w.size, 0);
	wire_writer_finish(&w);
	assert_false(w.failed);
	wire_put_u32(&w, 3);
	assert_int_equal(w.size, 4);
	wire_writer_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),  cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_blobs),  cmocka_unit_test(test_strings),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("lib_wire_fields", tests, NULL, NULL);
}
