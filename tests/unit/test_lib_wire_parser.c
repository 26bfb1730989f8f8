/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_wire_parser.c - bytes to messages and back, mostly bytes that are up to no good.
 *
 * Wraps malloc and realloc of the module (not of jansson) to run out of memory.
 */
#include "tests/unit/unit.h"

#include "lib/wire.h"

static int allocations_left = -1; /* -1: no limit */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	return allocations_left-- > 0;
}

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return may_allocate() ? __real_realloc(old, size) : NULL;
}

/* Pushes everything and takes messages until more bytes are needed or it fails. */
struct outcome {
	int count;
	int rc;
	size_t blob_bytes;
	struct error err;
};

static struct outcome feed(const void *data, size_t size, size_t step)
{
	struct wire_parser parser;
	struct outcome outcome = { 0 };

	wire_parser_init(&parser);
	for (size_t at = 0; at < size && outcome.rc == 0; at += step) {
		size_t n = size - at < step ? size - at : step;

		outcome.rc = wire_parser_push(&parser, (const char *)data + at, n, &outcome.err);
		while (outcome.rc == 0) {
			struct wire_message message = WIRE_MESSAGE_INIT;

			outcome.rc = wire_parser_next(&parser, &message, &outcome.err);
			if (outcome.rc <= 0)
				break;
			assert_int_equal(message.fd, -1);
			assert_true(json_is_object(message.object));
			outcome.count++;
			outcome.blob_bytes += message.blob_size;
			outcome.rc = 0;
			wire_message_finish(&message);
		}
	}
	if (outcome.rc < 0) {
		struct wire_message message = WIRE_MESSAGE_INIT;

		/* What has failed stays failed, whatever comes. */
		assert_int_equal(wire_parser_push(&parser, "{}\n", 3, NULL), outcome.rc);
		assert_int_equal(wire_parser_next(&parser, &message, NULL), outcome.rc);
		assert_null(message.object);
	}
	wire_parser_finish(&parser);
	return outcome;
}

#define ROW(text, count, rc)                                                                       \
	{                                                                                          \
		text, sizeof(text) - 1, count, rc                                                  \
	}

static void test_streams(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		int count, rc;
	} rows[] = {
		ROW("{\"id\":1}\n", 1, 0),
		ROW("{\"id\":1}\n{\"id\":2}\n{\"id\"", 2, 0),
		ROW("  { \"a\" : [ 1 , 2 ] } \r\n", 1, 0),
		ROW("{\"blob\":5}\nhello{\"id\":2}\n", 2, 0),
		ROW("{\"blob\":5}\n\n\n\n\n\n{}\n", 2, 0),
		ROW("{\"blob\":3}\na\0b{}\n", 2, 0),
		ROW("{\"blob\":5}\nhell", 0, 0),
		ROW("", 0, 0),
		ROW("{\"s\":\"\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82 \\u00e9\\n\"}\n", 1, 0),
		/* no object */
		ROW("\n", 0, -EPROTO),
		ROW("garbage\n", 0, -EPROTO),
		ROW("[]\n", 0, -EPROTO),
		ROW("1\n", 0, -EPROTO),
		ROW("\"x\"\n", 0, -EPROTO),
		ROW("null\n", 0, -EPROTO),
		ROW("{\"a\":1}{\"b\":2}\n", 0, -EPROTO),
		ROW("{\"a\":1} x\n", 0, -EPROTO),
		ROW("{\"a\":1\n}\n", 0, -EPROTO),
		ROW("{'a':1}\n", 0, -EPROTO),
		ROW("{\"a\":1,}\n", 0, -EPROTO),
		ROW("\xef\xbb\xbf{}\n", 0, -EPROTO),
		/* ambiguous or boundless */
		ROW("{\"a\":1,\"a\":2}\n", 0, -EPROTO),
		ROW("{\"x\":{\"a\":1,\"a\":2}}\n", 0, -EPROTO),
		ROW("{\"a\":1,\"\\u0061\":2}\n", 0, -EPROTO),
		ROW("{\"a\":9223372036854775807}\n", 1, 0),
		ROW("{\"a\":9223372036854775808}\n", 0, -EPROTO),
		ROW("{\"a\":1e400}\n", 0, -EPROTO),
		ROW("{\"a\":NaN}\n", 0, -EPROTO),
		/* bytes that are no text */
		ROW("{\"a\":\"\0\"}\n", 0, -EPROTO),
		ROW("{\"a\":1}\0\n", 0, -EPROTO),
		ROW("\0{\"a\":1}\n", 0, -EPROTO),
		ROW("{\"a\":\"\\u0000\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\t\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\xff\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\xc3\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\xc0\x80\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\xed\xa0\x80\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\xf4\x90\x80\x80\"}\n", 0, -EPROTO),
		ROW("{\"a\":\"\\ud800\"}\n", 0, -EPROTO),
		/* blobs that lie */
		ROW("{\"blob\":0}\n", 0, -EPROTO),
		ROW("{\"blob\":-1}\n", 0, -EPROTO),
		ROW("{\"blob\":-9223372036854775808}\n", 0, -EPROTO),
		ROW("{\"blob\":1048577}\n", 0, -EPROTO),
		ROW("{\"blob\":4294967297}\n", 0, -EPROTO),
		ROW("{\"blob\":9223372036854775807}\n", 0, -EPROTO),
		ROW("{\"blob\":9223372036854775808}\n", 0, -EPROTO),
		ROW("{\"blob\":5.0}\n", 0, -EPROTO),
		ROW("{\"blob\":\"5\"}\n", 0, -EPROTO),
		ROW("{\"blob\":null}\n", 0, -EPROTO),
		ROW("{\"blob\":true}\n", 0, -EPROTO),
		ROW("{\"blob\":[5]}\n", 0, -EPROTO),
		ROW("{}\n{\"blob\":5}\nhello-there\n{}\n", 2, -EPROTO),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* Cut at every place: byte by byte, in twos, …, in one piece. */
		for (size_t step = 1; step <= rows[i].size + 1; step++) {
			struct outcome outcome = feed(rows[i].text, rows[i].size, step);

			assert_row(rows[i].text, outcome.rc == rows[i].rc);
			assert_row(rows[i].text, outcome.count == rows[i].count);
			assert_int_equal(outcome.err.code, rows[i].rc);
		}
	}
}

/* A line of @size bytes, LF included: {"a":"xxx…"}. */
static char *make_line(size_t size)
{
	char *line = test_malloc(size);

	memset(line, 'x', size);
	memcpy(line, "{\"a\":\"", 6);
	memcpy(line + size - 3, "\"}\n", 3);
	return line;
}

static void test_line_limit(void **state)
{
	static const size_t steps[] = { 1000, 4096, WIRE_LINE_MAX - 1, WIRE_LINE_MAX,
		                        2 * WIRE_LINE_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		char *line = make_line(WIRE_LINE_MAX);

		assert_int_equal(feed(line, WIRE_LINE_MAX, steps[i]).count, 1);
		test_free(line);
		line = make_line(WIRE_LINE_MAX + 1);
		assert_int_equal(feed(line, WIRE_LINE_MAX + 1, steps[i]).rc, -EMSGSIZE);
		test_free(line);
	}
}

static void test_endless_line(void **state)
{
	struct wire_parser parser;
	char piece[1000];
	int pushes = 0;

	(void)state;
	memset(piece, '[', sizeof(piece));
	wire_parser_init(&parser);
	while (wire_parser_push(&parser, piece, sizeof(piece), NULL) == 0)
		assert_true(++pushes < 100);
	assert_int_equal(parser.failed, -EMSGSIZE);
	assert_true(parser.size <= 2 * WIRE_LINE_MAX);
	wire_parser_finish(&parser);
}

/* A good message and an endless line in one push: the good one still comes. */
static void test_endless_line_behind_message(void **state)
{
	size_t size = 3 + WIRE_LINE_MAX + 10;
	char *data = test_malloc(size);
	struct outcome outcome;

	(void)state;
	memset(data, 'x', size);
	memcpy(data, "{}\n", 3);
	outcome = feed(data, size, size);
	assert_int_equal(outcome.count, 1);
	assert_int_equal(outcome.rc, -EMSGSIZE);
	test_free(data);
}

static void test_nesting(void **state)
{
	static const struct {
		size_t depth;
		int rc;
	} rows[] = { { 2000, 0 }, { 2048, -EPROTO }, { 30000, -EPROTO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t depth = rows[i].depth;
		size_t size = 5 + 2 * depth + 2;
		char *line = test_malloc(size);

		memcpy(line, "{\"a\":", 5);
		memset(line + 5, '[', depth);
		memset(line + 5 + depth, ']', depth);
		memcpy(line + 5 + 2 * depth, "}\n", 2);
		assert_int_equal(feed(line, size, size).rc, rows[i].rc);
		test_free(line);
	}
}

static void test_largest_blob(void **state)
{
	char head[64];
	size_t line = (size_t)snprintf(head, sizeof(head), "{\"blob\":%zu}\n", WIRE_BLOB_MAX);
	size_t size = line + WIRE_BLOB_MAX + 3;
	char *data = test_malloc(size);
	struct outcome outcome;

	(void)state;
	memset(data, '\n', size);
	memcpy(data, head, line);
	memcpy(data + size - 3, "{}\n", 3);
	outcome = feed(data, size, 5000);
	assert_int_equal(outcome.rc, 0);
	assert_int_equal(outcome.count, 2);
	assert_int_equal(outcome.blob_bytes, WIRE_BLOB_MAX);
	test_free(data);
}

/* Announcing costs the peer a line, not us a megabyte; and what was large is given back. */
static void test_memory_follows_bytes(void **state)
{
	struct wire_parser parser;
	struct wire_message message = WIRE_MESSAGE_INIT;
	char *blob = test_calloc(1, WIRE_BLOB_MAX);

	(void)state;
	wire_parser_init(&parser);
	assert_int_equal(wire_parser_push(&parser, "{\"blob\":1048576}\n", 17, NULL), 0);
	assert_int_equal(wire_parser_next(&parser, &message, NULL), 0);
	assert_true(parser.size <= 4096);
	assert_int_equal(wire_parser_push(&parser, blob, WIRE_BLOB_MAX, NULL), 0);
	assert_int_equal(wire_parser_next(&parser, &message, NULL), 1);
	assert_int_equal(message.blob_size, WIRE_BLOB_MAX);
	assert_int_equal(parser.size, 0);
	assert_int_equal(parser.consumed, 17 + WIRE_BLOB_MAX);
	wire_message_finish(&message);
	assert_null(message.object);
	wire_message_finish(&message);
	wire_parser_finish(&parser);
	test_free(blob);
}

static void test_undrained(void **state)
{
	struct wire_parser parser;
	char *data = test_malloc(WIRE_PENDING_MAX + 1);

	(void)state;
	memset(data, '\n', WIRE_PENDING_MAX + 1);
	wire_parser_init(&parser);
	assert_int_equal(wire_parser_push(&parser, data, WIRE_PENDING_MAX, NULL), 0);
	assert_int_equal(wire_parser_push(&parser, data, 1, NULL), -EMSGSIZE);
	wire_parser_finish(&parser);
	wire_parser_init(&parser);
	assert_int_equal(wire_parser_push(&parser, data, WIRE_PENDING_MAX + 1, NULL), -EMSGSIZE);
	wire_parser_finish(&parser);
	test_free(data);
}

/* Whichever allocation fails, it is -ENOMEM, nothing leaks, the stream is dead. */
static void test_no_memory(void **state)
{
	static const char stream[] = "{\"blob\":5}\nhello{}\n";

	(void)state;
	for (int n = 0;; n++) {
		struct outcome outcome;

		allocations_left = n;
		outcome = feed(stream, sizeof(stream) - 1, sizeof(stream) - 1);
		if (allocations_left > 0 || outcome.rc == 0) {
			allocations_left = -1;
			assert_int_equal(outcome.count, 2);
			assert_true(n >= 2);
			break;
		}
		allocations_left = -1;
		assert_int_equal(outcome.rc, -ENOMEM);
		assert_int_equal(outcome.count, 0);
	}
}

static void test_encode(void **state)
{
	json_t *object = json_pack("{s:i,s:s}", "id", 7, "text", "a\nb\xc3\xa9");
	static const char line[] = "{\"id\":7,\"text\":\"a\\nb\xc3\xa9\",\"blob\":3}\nx\ny";
	uint8_t *data;
	size_t size;

	(void)state;
	assert_int_equal(wire_encode(object, "x\ny", 3, &data, &size), 0);
	assert_int_equal(size, sizeof(line) - 1);
	assert_memory_equal(data, line, size);
	assert_int_equal(feed(data, size, 1).count, 1);
	free(data);

	/* A "blob" left over, of a message that is passed on, goes. */
	assert_int_equal(wire_encode(object, NULL, 0, &data, &size), 0);
	assert_null(memmem(data, size, "blob", 4));
	free(data);
	json_decref(object);
}

static void test_encode_limits(void **state)
{
	json_t *object = json_object();
	size_t room = WIRE_LINE_MAX - 1 - strlen("{\"a\":\"\"}");
	char *text = test_malloc(room + 2);
	uint8_t *data = NULL;
	size_t size = 0;

	(void)state;
	memset(text, 'x', room + 1);
	json_object_set_new(object, "a", json_stringn(text, room));
	assert_int_equal(wire_encode(object, NULL, 0, &data, &size), 0);
	assert_int_equal(size, WIRE_LINE_MAX);
	free(data);
	data = NULL;
	json_object_set_new(object, "a", json_stringn(text, room + 1));
	assert_int_equal(wire_encode(object, NULL, 0, &data, &size), -EMSGSIZE);
	json_object_clear(object);
	assert_int_equal(wire_encode(object, text, WIRE_BLOB_MAX + 1, &data, &size), -EMSGSIZE);
	allocations_left = 0;
	assert_int_equal(wire_encode(object, NULL, 0, &data, &size), -ENOMEM);
	allocations_left = -1;
	assert_null(data);
	json_decref(object);
	test_free(text);
}

static void test_replies(void **state)
{
	json_t *ok = wire_reply_ok(9007199254740992);
	json_t *error;
	char *text = json_dumps(ok, JSON_COMPACT);
	static const struct {
		const char *said, *heard;
	} rows[] = {
		{ "plain", "plain" },
		{ "\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82",
		  "\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82" },
		{ "a\xff"
		  "b\x80"
		  "c",
		  "a?b?c" },
		{ "cut \xe6\xbc", "cut ??" },
		{ "\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", "?????????" },
		{ "\xf5\xe6\xbc\xa2", "?\xe6\xbc\xa2" },
		{ "", "" },
	};

	(void)state;
	assert_string_equal(text, "{\"id\":9007199254740992,\"ok\":true}");
	free(text);
	json_decref(ok);

	error = wire_reply_error(3, "busy", "%d under way", 32);
	text = json_dumps(error, JSON_COMPACT);
	assert_string_equal(text, "{\"id\":3,\"ok\":false,\"error\":"
	                          "{\"code\":\"busy\",\"message\":\"32 under way\"}}");
	free(text);
	json_decref(error);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *message;

		error = wire_reply_error(1, "failed", "%s", rows[i].said);
		assert_non_null(error);
		message = json_string_value(
			json_object_get(json_object_get(error, "error"), "message"));
		assert_string_equal(message, rows[i].heard);
		json_decref(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_endless_line_behind_message),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_largest_blob),
		cmocka_unit_test(test_memory_follows_bytes),
		cmocka_unit_test(test_undrained),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_encode_limits),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests_name("lib_wire_parser", tests, NULL, NULL);
}
