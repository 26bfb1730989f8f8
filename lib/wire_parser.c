/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_parser.c - bytes to messages and back; see wire.h. One thread an object, no file descriptors.
 *
 *	            LF, object without "blob"
 *	         ┌────────────────────────────▶ message
 *	    line ┤                                 ▲
 *	      ▲  └───────▶ blob ───────────────────┘
 *	      │   LF, "blob":N      N bytes
 *	      └──────── every message
 *
 * Invariants:
 *  1. buffer[start..used) is the stream from the end of the last message (or of the announcing
 *     line) on; scanned never exceeds used - start.
 *  2. Memory follows bytes that have come, never bytes that were announced.
 *  3. failed is set once and never cleared: what follows a broken line has no meaning.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/wire.h"

#define BUFFER_FIRST ((size_t)4 << 10)
#define BUFFER_KEPT WIRE_LINE_MAX /* a drained buffer that is larger goes back to the heap */

void wire_message_finish(struct wire_message *message)
{
	json_decref(message->object);
	free(message->blob);
	close_fd(&message->fd);
	*message = (struct wire_message)WIRE_MESSAGE_INIT;
}

void wire_parser_init(struct wire_parser *parser)
{
	*parser = (struct wire_parser){ 0 };
}

void wire_parser_finish(struct wire_parser *parser)
{
	free(parser->buffer);
	json_decref(parser->object);
	*parser = (struct wire_parser){ .failed = parser->failed };
}

static int parser_fail(struct wire_parser *parser, struct error *err, int code, const char *why)
{
	if (!parser->failed)
		parser->failed = code;
	return error_set(err, parser->failed, "%s", why);
}

static int parser_failed_before(const struct wire_parser *parser, struct error *err)
{
	return error_set(err, parser->failed, "the stream has failed before");
}

/* Makes room for @size more bytes behind used: moves to the front first, then grows. */
static int parser_reserve(struct wire_parser *parser, size_t size)
{
	size_t pending = parser->used - parser->start;
	size_t grown = parser->size ? parser->size : BUFFER_FIRST;
	uint8_t *buffer;

	if (parser->start > 0) {
		memmove(parser->buffer, parser->buffer + parser->start, pending);
		parser->start = 0;
		parser->used = pending;
	}
	if (parser->size - pending >= size)
		return 0;
	while (grown - pending < size || grown < pending)
		grown *= 2;
	buffer = realloc(parser->buffer, grown);
	if (!buffer)
		return -ENOMEM;
	parser->buffer = buffer;
	parser->size = grown;
	return 0;
}

/* The length of the first line, LF included, or 0 when it isn't complete. */
static size_t parser_find_line(struct wire_parser *parser)
{
	size_t pending = parser->used - parser->start;
	const uint8_t *lf = NULL;

	if (pending > parser->scanned)
		lf = memchr(parser->buffer + parser->start + parser->scanned, '\n',
		            pending - parser->scanned);
	if (!lf) {
		parser->scanned = pending;
		return 0;
	}
	parser->scanned = (size_t)(lf - (parser->buffer + parser->start));
	return parser->scanned + 1;
}

static void parser_consume(struct wire_parser *parser, size_t size)
{
	parser->start += size;
	parser->scanned = 0;
	parser->consumed += size;
	if (parser->start < parser->used)
		return;
	parser->start = 0;
	parser->used = 0;
	if (parser->size > BUFFER_KEPT) {
		free(parser->buffer);
		parser->buffer = NULL;
		parser->size = 0;
	}
}

int wire_parser_push(struct wire_parser *parser, const void *data, size_t size, struct error *err)
{
	size_t pending = parser->used - parser->start;

	if (parser->failed)
		return parser_failed_before(parser, err);
	if (size == 0)
		return 0;
	if (size > WIRE_PENDING_MAX || pending > WIRE_PENDING_MAX - size)
		return parser_fail(parser, err, -EMSGSIZE, "more bytes are pending than allowed");
	if (parser_reserve(parser, size) < 0)
		return parser_fail(parser, err, -ENOMEM, "no memory for a message");
	memcpy(parser->buffer + parser->used, data, size);
	parser->used += size;
	if (parser->blob_expected == 0 && parser_find_line(parser) == 0 &&
	    parser->used - parser->start >= WIRE_LINE_MAX)
		return parser_fail(parser, err, -EMSGSIZE, "a line is longer than allowed");
	return 0;
}

/*
 * Parses the line at the front into parser->object and notes the blob it announces.
 * jansson refuses what would be ambiguous or boundless: duplicate names, invalid UTF-8, NUL, more
 * than 2048 levels, integers beyond 64 bits, reals that overflow, anything behind the object.
 */
static int parser_take_line(struct wire_parser *parser, size_t size, struct error *err)
{
	const char *line = (const char *)parser->buffer + parser->start;
	json_error_t why;
	json_t *blob;
	json_int_t announced;

	parser->object = json_loadb(line, size - 1, JSON_REJECT_DUPLICATES, &why);
	if (!parser->object && json_error_code(&why) == json_error_out_of_memory)
		return parser_fail(parser, err, -ENOMEM, "no memory for a message");
	if (!parser->object || !json_is_object(parser->object))
		return parser_fail(parser, err, -EPROTO, "a line is no JSON object");
	parser_consume(parser, size);

	blob = json_object_get(parser->object, "blob");
	if (!blob)
		return 0;
	announced = json_integer_value(blob); /* 0 when it is none */
	if (announced < 1 || announced > (json_int_t)WIRE_BLOB_MAX)
		return parser_fail(parser, err, -EPROTO, "a blob's size is out of range");
	parser->blob_expected = (size_t)announced;
	return 0;
}

int wire_parser_next(struct wire_parser *parser, struct wire_message *out_message,
                     struct error *err)
{
	cleanup_free uint8_t *blob = NULL;
	size_t blob_size, line;
	int rc;

	if (parser->failed)
		return parser_failed_before(parser, err);
	if (!parser->object) {
		line = parser_find_line(parser);
		if (line > WIRE_LINE_MAX ||
		    (line == 0 && parser->used - parser->start >= WIRE_LINE_MAX))
			return parser_fail(parser, err, -EMSGSIZE, "a line is longer than allowed");
		if (line == 0)
			return 0;
		rc = parser_take_line(parser, line, err);
		if (rc < 0)
			return rc;
	}
	blob_size = parser->blob_expected;
	if (parser->used - parser->start < blob_size)
		return 0;
	if (blob_size > 0) {
		blob = malloc(blob_size);
		if (!blob)
			return parser_fail(parser, err, -ENOMEM, "no memory for a blob");
		memcpy(blob, parser->buffer + parser->start, blob_size);
		parser_consume(parser, blob_size);
		parser->blob_expected = 0;
	}
	*out_message = (struct wire_message){
		.object = parser->object,
		.blob = steal_pointer(&blob),
		.blob_size = blob_size,
		.fd = -1,
	};
	parser->object = NULL;
	return 1;
}

int wire_encode(json_t *object, const void *blob, size_t blob_size, uint8_t **out_data,
                size_t *out_size)
{
	cleanup_free uint8_t *data = NULL;
	size_t line;

	ASSERT(json_is_object(object));
	ASSERT(blob || blob_size == 0);
	if (blob_size > WIRE_BLOB_MAX)
		return -EMSGSIZE;
	if (blob_size == 0)
		json_object_del(object, "blob");
	else if (json_object_set_new(object, "blob", json_integer((json_int_t)blob_size)) < 0)
		return -ENOMEM;
	/* Compact output has no raw LF: inside strings it is written \n. */
	line = json_dumpb(object, NULL, 0, JSON_COMPACT);
	if (line == 0)
		return -ENOMEM;
	if (line >= WIRE_LINE_MAX)
		return -EMSGSIZE;
	data = malloc(line + 1 + blob_size);
	if (!data || json_dumpb(object, (char *)data, line, JSON_COMPACT) != line)
		return -ENOMEM;
	data[line] = '\n';
	if (blob_size > 0)
		memcpy(data + line + 1, blob, blob_size);
	*out_data = steal_pointer(&data);
	*out_size = line + 1 + blob_size;
	return 0;
}

json_t *wire_reply_ok(json_int_t id)
{
	return json_pack("{s:I,s:b}", "id", id, "ok", 1);
}

/* The length of the well-formed UTF-8 sequence (RFC 3629) at @s, 0 when there is none. */
static size_t utf8_sequence(const unsigned char *s)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t code = s[0] & (0x7fu >> size);

	if (size < 2 || s[0] > 0xf4)
		return size == 1;
	for (size_t i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return size;
}

json_t *wire_reply_error(json_int_t id, const char *code, const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	/* It may quote a path or be cut within a character; JSON takes only whole ones. */
	for (size_t i = 0; message[i];) {
		size_t size = utf8_sequence((const unsigned char *)message + i);

		if (size == 0)
			message[i] = '?';
		i += size ? size : 1;
	}
	return json_pack("{s:I,s:b,s:{s:s,s:s}}", "id", id, "ok", 0, "error", "code", code,
	                 "message", message);
}
