/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_vnc_gate.c - what viewers say, a byte at a time and all at once; good words and bad ones.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "display/vnc_gate.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LITERAL(text) text, sizeof(text) - 1

static const char greeting[] = "RFB 003.008\n\1\1";

/* Puts @size bytes in, @step at a time; what next() says at last. Messages are counted and the last is kept. */
static int say(struct vnc_gate *gate, const char *text, size_t size, size_t step, unsigned *count,
               struct vnc_message *last)
{
	struct error err = { 0 };
	int got = 0;

	while (size > 0 && got >= 0) {
		size_t part = size < step ? size : step;
		uint8_t *space;

		assert_true(vnc_gate_space(gate, &space) >= part);
		memcpy(space, text, part);
		vnc_gate_filled(gate, part);
		text += part;
		size -= part;
		while ((got = vnc_gate_next(gate, last, &err)) > 0)
			++*count;
	}
	assert_true((got < 0) == (err.msg[0] != '\0'));
	return got;
}

/* A gate that is open: three messages have gone through. */
static struct vnc_gate open_gate(void)
{
	struct vnc_gate gate = { .width = 640, .height = 480 };
	struct vnc_message last;
	unsigned count = 0;

	assert_int_equal(say(&gate, LITERAL(greeting), 64, &count, &last), 0);
	assert_int_equal(count, 3);
	assert_int_equal(last.said, VNC_SAID_INIT);
	return gate;
}

static void test_versions(void **state)
{
	static const struct {
		const char *said, *understood; /* NULL: nothing */
	} rows[] = {
		{ "RFB 003.003\n", "RFB 003.003\n" },
		{ "RFB 003.005\n", "RFB 003.003\n" },
		{ "RFB 003.007\n", "RFB 003.007\n" },
		{ "RFB 003.008\n", "RFB 003.008\n" },
		{ "RFB 003.889\n", "RFB 003.008\n" },
		{ "RFB 003.002\n", NULL },
		{ "RFB 004.001\n", NULL },
		{ "RFB 003.00x\n", NULL },
		{ "RFB 003.008 ", NULL },
		{ "GET / HTTP/1", NULL },
		{ "\x16\x03\x01\x02\0\1\0\1\xfc\3\3\0", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vnc_gate gate = { 0 };
		struct vnc_message message;
		unsigned count = 0;
		int ret = say(&gate, rows[i].said, VNC_VERSION_SIZE, 1, &count, &message);

		assert_int_equal(ret, rows[i].understood ? 0 : -EPROTO);
		assert_int_equal(count, rows[i].understood ? 1 : 0);
		if (!rows[i].understood)
			continue;
		assert_int_equal(message.said, VNC_SAID_VERSION);
		assert_int_equal(message.size, VNC_VERSION_SIZE);
		assert_memory_equal(message.bytes, rows[i].understood, VNC_VERSION_SIZE);
	}
}

static void test_security(void **state)
{
	struct vnc_message message;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		struct vnc_gate gate = { .state = VNC_GATE_SECURITY };
		const char said[] = { (char)type };
		unsigned count = 0;

		assert_int_equal(say(&gate, said, 1, 1, &count, &message), type == 1 ? 0 : -EPROTO);
	}
	/* RFB 3.3 has none. */
	struct vnc_gate gate = { 0 };
	unsigned count = 0;
	assert_int_equal(say(&gate, LITERAL("RFB 003.003\n\0"), 1, &count, &message), 0);
	assert_int_equal(count, 2);
	assert_int_equal(message.said, VNC_SAID_INIT);
	assert_int_equal(message.bytes[0], 1); /* shared, whatever it wants */
}

static void test_messages(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		enum vnc_said said;
	} rows[] = {
		{ LITERAL("\0\0\0\0\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0"),
		  VNC_SAID_FORMAT },
		{ LITERAL("\0\0\0\0\x08\x08\0\0\0\0\0\0\0\0\xff\xff\xff\0\0\0"), VNC_SAID_FORMAT },
		{ LITERAL("\3\1\0\0\0\0\2\x80\1\xe0"), VNC_SAID_REQUEST },
		{ LITERAL("\2\0\0\0"), VNC_SAID_ENCODINGS },
		{ LITERAL("\4\1\0\0\0\0\xff\xe1"), VNC_SAID_KEY },
		{ LITERAL("\5\x81\1\2\xff\xff"), VNC_SAID_POINTER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step <= rows[i].size; step++) {
			struct vnc_gate gate = open_gate();
			struct vnc_message message;
			unsigned count = 0;

			assert_int_equal(
				say(&gate, rows[i].text, rows[i].size, step, &count, &message), 0);
			assert_int_equal(count, 1);
			assert_int_equal(message.said, rows[i].said);
			assert_int_equal(message.size, rows[i].size);
			assert_memory_equal(message.bytes, rows[i].text, rows[i].size);
		}
}

static void test_keys_and_pointer(void **state)
{
	struct vnc_gate gate = open_gate();
	struct vnc_message message;
	unsigned count = 0;

	(void)state;
	assert_int_equal(say(&gate, LITERAL("\4\1\0\0\x1f\xff\xff\xff"), 64, &count, &message), 0);
	assert_int_equal(message.keysym, 0x1fffffff);
	assert_true(message.down);
	assert_int_equal(say(&gate, LITERAL("\4\0\0\0\0\0\0a"), 64, &count, &message), 0);
	assert_int_equal(message.keysym, 'a');
	assert_false(message.down);
	assert_int_equal(say(&gate, LITERAL("\5\x81\1\2\xff\xff"), 64, &count, &message), 0);
	assert_int_equal(message.buttons, 0x81);
	assert_int_equal(message.x, 0x102);
	assert_int_equal(message.y, 0xffff);
	assert_int_equal(count, 3);
}

/* Clipped to the screen of 640x480; those that ask for nothing of it are not handed on. */
static void test_requests(void **state)
{
	static const struct {
		const char *said, *let_through; /* NULL: nothing */
	} rows[] = {
		{ "\3\0\0\0\0\0\xff\xff\xff\xff", "\3\0\0\0\0\0\2\x80\1\xe0" },
		{ "\3\1\2\x7f\1\xdf\2\x80\1\xe0", "\3\1\2\x7f\1\xdf\0\1\0\1" },
		{ "\3\0\2\x80\0\0\0\1\0\1", NULL },
		{ "\3\0\0\0\1\xe0\0\1\0\1", NULL },
		{ "\3\0\0\0\0\0\0\0\0\1", NULL },
		{ "\3\0\0\0\0\0\0\1\0\0", NULL },
		{ "\3\0\xff\xff\xff\xff\xff\xff\xff\xff", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vnc_gate gate = open_gate();
		struct vnc_message message;
		unsigned count = 0;

		assert_int_equal(say(&gate, rows[i].said, 10, 64, &count, &message), 0);
		assert_int_equal(count, rows[i].let_through ? 1 : 0);
		if (rows[i].let_through)
			assert_memory_equal(message.bytes, rows[i].let_through, 10);
	}
}

/* Those that nobody here knows are left out. */
static void test_encodings(void **state)
{
	/* CopyRect, ZRLE, an extended clipboard, Tight, DesktopSize, files of UltraVNC, quality 6. */
	static const char said[] = "\2\0\0\7\0\0\0\1\0\0\0\x10\xc0\xa1\xe5\xce\0\0\0\7"
				   "\xff\xff\xff\x21\xff\xff\x80\x02\xff\xff\xff\xe6";
	static const char kept[] = "\2\0\0\4\0\0\0\x10\0\0\0\7\xff\xff\xff\x21\xff\xff\xff\xe6";

	(void)state;
	for (size_t step = 1; step < sizeof(said); step++) {
		struct vnc_gate gate = open_gate();
		struct vnc_message message;
		unsigned count = 0;

		assert_int_equal(say(&gate, LITERAL(said), step, &count, &message), 0);
		assert_int_equal(count, 1);
		assert_int_equal(message.size, sizeof(kept) - 1);
		assert_memory_equal(message.bytes, kept, sizeof(kept) - 1);
	}
	/* As many as there may be, and one more. */
	struct vnc_gate gate = open_gate();
	struct vnc_message message;
	unsigned count = 0;
	char most[4 + 4 * VNC_GATE_ENCODINGS_MAX] = { 2, 0, 1, 0 };
	assert_int_equal(say(&gate, most, sizeof(most), 512, &count, &message), 0);
	assert_int_equal(message.size, sizeof(most));
	most[3] = 1;
	assert_int_equal(say(&gate, most, 4, 4, &count, &message), -EPROTO);
	assert_int_equal(count, 1);
}

/* A clipboard is skipped, of either make, and what follows is heard. */
static void test_clipboards(void **state)
{
	static const char *const heads[] = { "\6\0\0\0\0\x10\0\0", "\6\0\0\0\xff\xf0\0\0" };
	static char text[VNC_GATE_CUT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct vnc_gate gate = open_gate();
		struct vnc_message message;
		unsigned count = 0;

		memset(text, 4, sizeof(text)); /* keys, if somebody took it for messages */
		assert_int_equal(say(&gate, heads[i], 8, 3, &count, &message), 0);
		assert_int_equal(say(&gate, text, sizeof(text), 1000, &count, &message), 0);
		assert_int_equal(count, 0);
		assert_int_equal(say(&gate, LITERAL("\4\1\0\0\0\0\0a"), 64, &count, &message), 0);
		assert_int_equal(count, 1);
	}
}

static void test_bad_words(void **state)
{
	static const struct {
		const char *text;
		size_t size;
	} rows[] = {
		{ LITERAL("\1") },   /* colour maps: RFB 3.3's */
		{ LITERAL("\7") },   /* files of UltraVNC */
		{ LITERAL("\x08") }, /* another scale */
		{ LITERAL("\x09") }, /* no input for others */
		{ LITERAL("\x0b") }, /* chat */
		{ LITERAL("\xfa") }, /* shutdown, reboot */
		{ LITERAL("\xfb") }, /* another size of screen */
		{ LITERAL("\xff") }, /* QEMU's */
		{ LITERAL("\2\0\xff\xff") },
		{ LITERAL("\6\0\0\0\0\x10\0\1") }, /* beyond 1 MiB */
		{ LITERAL("\6\0\0\0\x7f\xff\xff\xff") },
		{ LITERAL("\6\0\0\0\x80\0\0\0") },
		{ LITERAL("\4\1\0\0\0\0\0\0") },
		{ LITERAL("\4\1\0\0\x20\0\0\0") },
		/* Pixels of 24 bits; of 16 with 24 of colour; a palette of 32; shifted out of sight; no red. */
		{ LITERAL("\0\0\0\0\x18\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0") },
		{ LITERAL("\0\0\0\0\x10\x18\0\1\0\xff\0\xff\0\xff\x0a\x08\0\0\0\0") },
		{ LITERAL("\0\0\0\0\x20\x18\0\0\0\xff\0\xff\0\xff\x10\x08\0\0\0\0") },
		{ LITERAL("\0\0\0\0\x20\x18\0\1\0\xff\0\xff\0\xff\x20\x08\0\0\0\0") },
		{ LITERAL("\0\0\0\0\x20\x18\0\1\0\0\0\xff\0\xff\x10\x08\0\0\0\0") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vnc_gate gate = open_gate();
		struct vnc_message message;
		unsigned count = 0;

		assert_int_equal(say(&gate, rows[i].text, rows[i].size, 64, &count, &message),
		                 -EPROTO);
		assert_int_equal(count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),   cmocka_unit_test(test_security),
		cmocka_unit_test(test_messages),   cmocka_unit_test(test_keys_and_pointer),
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_clipboards), cmocka_unit_test(test_bad_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
