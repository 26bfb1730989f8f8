/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_wire.c - lib/wire_parser.c: a stream in pieces to messages, and back again.
 *
 * The input is pieces, each a byte that says how long it is and its bytes. However the stream is cut,
 * the messages are the same; and what was parsed is encoded to something that parses to the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"
#include "lib/wire.h"
#include "tests/fuzz/fuzz.h"

void fuzz_init(void)
{
}

static void same_message(const struct wire_message *a, const struct wire_message *b)
{
	CHECK(json_equal(a->object, b->object));
	CHECK(a->blob_size == b->blob_size);
	CHECK(a->blob_size == 0 || memcmp(a->blob, b->blob, a->blob_size) == 0);
}

static void check_round_trip(const struct wire_message *message)
{
	struct wire_message again = WIRE_MESSAGE_INIT;
	struct wire_parser parser;
	struct error err = { 0 };
	cleanup_free uint8_t *data = NULL;
	size_t size = 0;
	int ret = wire_encode(message->object, message->blob, message->blob_size, &data, &size);

	/* Escapes can be longer than what they stand for: then it no longer fits a line. */
	CHECK(ret == 0 || ret == -EMSGSIZE);
	if (ret)
		return;
	wire_parser_init(&parser);
	CHECK(wire_parser_push(&parser, data, size, &err) == 0);
	CHECK(wire_parser_next(&parser, &again, &err) == 1);
	same_message(message, &again);
	wire_message_finish(&again);
	CHECK(wire_parser_next(&parser, &again, &err) == 0);
	wire_parser_finish(&parser);
}

/* Takes out what is complete. False: the stream is dead. */
static bool drain(struct wire_parser *parser)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };
	int ret;

	while ((ret = wire_parser_next(parser, &message, &err)) > 0) {
		CHECK(json_is_object(message.object) && message.fd == -1);
		check_round_trip(&message);
		wire_message_finish(&message);
	}
	CHECK(ret == 0 || (parser->failed == ret && err.msg[0]));
	return ret == 0;
}

void fuzz_one(struct input *in)
{
	struct wire_parser parser;
	struct error err = { 0 };
	bool alive = true;

	wire_parser_init(&parser);
	while (alive && in->size > 0) {
		const uint8_t *piece;
		uint8_t length = input_u8(in);
		/* The longest pieces are repeated: so a small input reaches the limits. */
		unsigned times = length >= 250 ? 4000u : 1u;
		size_t taken = input_bytes(in, length, &piece);

		while (alive && times-- > 0)
			alive = wire_parser_push(&parser, piece, taken, &err) == 0 &&
			        drain(&parser);
	}
	wire_parser_finish(&parser);
}
