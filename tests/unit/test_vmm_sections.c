/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_sections.c - sections as bytes, and every way in which they can be wrong.
 */
#include "tests/unit/unit.h"

#include <xxhash.h>

#include "vmm/snapshot/sections.h"

#define AT_VERSION 8
#define AT_FLAGS 10
#define AT_RESERVED 12
#define AT_LENGTH 16
#define AT_HASH 24
#define UNKNOWN_TYPE 0x7777u

static struct sections_writer writer;

static int finish(void **state)
{
	(void)state;
	sections_writer_finish(&writer);
	return 0;
}

static void add(unsigned type, uint32_t instance, uint16_t version, bool required, const char *text)
{
	struct wire_writer *out =
		sections_begin(&writer, (enum snapshot_section)type, instance, version, required);

	wire_put_bytes(out, text, strlen(text));
	sections_end(&writer);
}

/* Three sections: 0 a required one, 1 an optional unknown one, 2 an empty one. */
static const size_t at[] = { 0, 32 + 5, 32 + 5 + 32 + 7, 32 + 5 + 32 + 7 + 32 };

static int make(void **state)
{
	(void)state;
	writer = (struct sections_writer)SECTIONS_WRITER_INIT;
	add(SECTION_VCPU, 1, 3, true, "first");
	add(UNKNOWN_TYPE, 0, 9, false, "unknown");
	add(SECTION_VCPU, 0, 1, true, "");
	return 0;
}

/* After a change on purpose: the hash of the section at @offset is made to fit. */
static void seal(uint8_t *section)
{
	uint64_t length = 0;

	for (int i = 7; i >= 0; i--)
		length = length << 8 | section[AT_LENGTH + i];
	uint64_t hash = XXH3_64bits_withSeed(section + SECTIONS_HEADER_SIZE, length,
	                                     XXH3_64bits(section, AT_HASH));
	for (int i = 0; i < 8; i++)
		section[AT_HASH + i] = (uint8_t)(hash >> (8 * i));
}

static int check(const uint8_t *data, size_t size, struct error *err)
{
	/* A block of its own, so that a sanitizer sees a read behind it. */
	uint8_t *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, data, size);
	*err = (struct error){ 0 };
	int ret = sections_check(copy, size, err);
	free(copy);
	assert_int_equal(ret, err->code);
	assert_true(ret == 0 || err->msg[0]);
	return ret;
}

static void test_bytes(void **state)
{
	static const uint8_t expected[] = {
		3,    0,    0,    0,    1,    0,    0,    0,    3,   0,   1,   0,   0,
		0,    0,    0,    5,    0,    0,    0,    0,    0,   0,   0, /* hash: */
		0x20, 0xdb, 0xf8, 0x13, 0x4d, 0xea, 0x21, 0x34, 'f', 'i', 'r', 's', 't',
	};
	struct error err;

	(void)state;
	assert_false(writer.out.failed);
	assert_int_equal(writer.out.size, at[3]);
	assert_memory_equal(writer.out.data, expected, sizeof(expected));
	assert_int_equal(check(writer.out.data, writer.out.size, &err), 0);
	assert_int_equal(check(writer.out.data, 0, &err), 0);
}

static void test_find(void **state)
{
	const uint8_t *data = writer.out.data;
	size_t size = writer.out.size;
	struct wire_reader r = { .left = 99 };
	uint16_t version = 99;
	struct error err = { 0 };
	char text[5];

	(void)state;
	assert_int_equal(sections_find(data, size, SECTION_VCPU, 1, 3, &r, &version, &err), 0);
	assert_int_equal(version, 3);
	assert_int_equal(r.left, 5);
	wire_get_bytes(&r, text, 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(sections_find(data, size, SECTION_VCPU, 0, 3, &r, &version, &err), 0);
	assert_int_equal(version, 1);
	assert_true(wire_reader_ended(&r));

	r.left = version = 99;
	assert_int_equal(sections_find(data, size, SECTION_VCPU, 1, 2, &r, &version, &err),
	                 -ENOTSUP);
	assert_string_equal(err.msg, "section vcpu 1 has version 3, this cloche reads up to 2");
	assert_int_equal(sections_find(data, size, SECTION_VCPU, 2, 3, &r, &version, &err),
	                 -ENOENT);
	assert_string_equal(err.msg, "there is no section vcpu 2");
	assert_int_equal(sections_find(data, size, SECTION_VM, 0, 3, &r, &version, &err), -ENOENT);
	assert_int_equal(sections_find(data, 0, SECTION_VM, 0, 3, &r, &version, NULL), -ENOENT);
	assert_int_equal(r.left, 99);
	assert_int_equal(version, 99);
}

static void test_walk(void **state)
{
	static const struct {
		uint32_t type, instance;
		uint16_t version;
		bool required;
		const char *payload;
	} rows[] = { { SECTION_VCPU, 1, 3, true, "first" },
		     { UNKNOWN_TYPE, 0, 9, false, "unknown" },
		     { SECTION_VCPU, 0, 1, true, "" } };
	struct section s;
	size_t offset = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(offset, at[i]);
		assert_true(sections_next(writer.out.data, writer.out.size, &offset, &s));
		assert_int_equal(s.type, rows[i].type);
		assert_int_equal(s.instance, rows[i].instance);
		assert_int_equal(s.version, rows[i].version);
		assert_int_equal(s.required, rows[i].required);
		assert_int_equal(s.size, strlen(rows[i].payload));
		assert_memory_equal(s.payload, rows[i].payload, s.size);
	}
	assert_false(sections_next(writer.out.data, writer.out.size, &offset, &s));
	offset = SIZE_MAX;
	assert_false(sections_next(writer.out.data, writer.out.size, &offset, &s));
}

/* Every size but the ends of sections is wrong. */
static void test_cut_off(void **state)
{
	(void)state;
	for (size_t size = 0; size < at[3]; size++) {
		bool at_end = size == at[0] || size == at[1] || size == at[2];
		struct error err;

		assert_int_equal(check(writer.out.data, size, &err), at_end ? 0 : -EPROTO);
	}
}

/* There is no bit whose flip isn't seen. */
static void test_flips(void **state)
{
	uint8_t *data = writer.out.data;

	(void)state;
	for (size_t bit = 0; bit < 8 * writer.out.size; bit++) {
		struct error err;

		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		int ret = check(data, writer.out.size, &err);
		assert_true(ret == -EPROTO || ret == -EBADMSG);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* With hashes that fit: somebody means it. */
static void test_broken_rules(void **state)
{
	static const struct {
		const char *name;
		unsigned section, offset;
		uint8_t value;
		int ret;
		const char *message;
	} rows[] = {
		{ "flag", 0, AT_FLAGS, 3, -ENOTSUP, "section vcpu 1 has flags" },
		{ "high flag", 1, AT_FLAGS + 1, 0x80, -ENOTSUP, "section of type 30583" },
		{ "reserved", 0, AT_RESERVED, 1, -EPROTO, "section vcpu 1 has a header" },
		{ "reserved, last byte", 2, AT_RESERVED + 3, 1, -EPROTO, "section vcpu 0" },
		{ "version 0", 0, AT_VERSION, 0, -EPROTO, "section vcpu 1 has a header" },
		{ "required and unknown", 1, AT_FLAGS, 1, -ENOTSUP,
		  "section of type 30583, instance 0, is required and unknown" },
		{ "type 0", 0, 0, 0, -ENOTSUP, "section of type 0, instance 1, is required" },
		{ "twice", 2, 4, 1, -EPROTO, "section vcpu 1 is there twice" },
		{ "one byte longer", 2, AT_LENGTH, 1, -EPROTO, "section vcpu 0 is longer" },
		{ "far longer", 2, AT_LENGTH + 7, 0xff, -EPROTO, "section vcpu 0 is longer" },
		{ "wraps", 0, AT_LENGTH + 7, 0xff, -EPROTO, "section vcpu 1 is longer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err;

		uint8_t *section = writer.out.data + at[rows[i].section];
		section[rows[i].offset] = rows[i].value;
		if (rows[i].offset < AT_LENGTH)
			seal(section);
		assert_row(rows[i].name,
		           check(writer.out.data, writer.out.size, &err) == rows[i].ret);
		assert_row(rows[i].name,
		           strncmp(err.msg, rows[i].message, strlen(rows[i].message)) == 0);
		finish(state);
		make(state);
	}
}

static void test_too_many(void **state)
{
	struct error err;

	(void)state;
	for (unsigned i = 3; i < SECTIONS_MAX; i++)
		add(SECTION_VIRTIO, i, 1, true, "");
	assert_int_equal(check(writer.out.data, writer.out.size, &err), 0);
	add(SECTION_INFO, 0, 1, true, "");
	assert_int_equal(check(writer.out.data, writer.out.size, &err), -EPROTO);
	assert_string_equal(err.msg, "more than 256 sections");
}

/* A writer that has failed takes all calls, and says so at the end. */
static void test_beyond_the_limit(void **state)
{
	uint8_t *block = calloc(1, WIRE_FIELDS_MAX);

	(void)state;
	assert_non_null(block);
	struct wire_writer *out = sections_begin(&writer, SECTION_SCREEN, 0, 1, false);
	wire_put_bytes(out, block, WIRE_FIELDS_MAX);
	sections_end(&writer);
	add(SECTION_INFO, 0, 1, true, "more");
	assert_true(writer.out.failed);
	free(block);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(sections_name(SECTION_CONFIG), "config");
	assert_string_equal(sections_name(SECTION_INFO), "info");
	for (uint32_t type = SECTION_VCPU; type <= SECTION_INFO; type++)
		assert_non_null(sections_name(type));
	assert_null(sections_name(2));
	assert_null(sections_name(0));
	assert_null(sections_name(SECTION_INFO + 1));
	assert_null(sections_name(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes, make, finish),
		cmocka_unit_test_setup_teardown(test_find, make, finish),
		cmocka_unit_test_setup_teardown(test_walk, make, finish),
		cmocka_unit_test_setup_teardown(test_cut_off, make, finish),
		cmocka_unit_test_setup_teardown(test_flips, make, finish),
		cmocka_unit_test_setup_teardown(test_broken_rules, make, finish),
		cmocka_unit_test_setup_teardown(test_too_many, make, finish),
		cmocka_unit_test_setup_teardown(test_beyond_the_limit, make, finish),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("vmm_sections", tests, NULL, NULL);
}
