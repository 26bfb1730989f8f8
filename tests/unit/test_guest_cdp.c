/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_cdp.c - DevTools framing: NUL-terminated messages, and those that are too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/cdp.h"

static void expect(struct cdp_framer *framer, const char *text)
{
	size_t size = 0;
	const char *message = cdp_framer_next(framer, &size);

	if (!text) {
		assert_null(message);
		return;
	}
	assert_non_null(message);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(message, text, size);
}

static void test_whole(void **state)
{
	struct cdp_framer framer;

	(void)state;
	cdp_framer_init(&framer);
	expect(&framer, NULL);
	assert_int_equal(cdp_framer_push(&framer, "one\0two\0\0thr", 12), 0);
	expect(&framer, "one");
	expect(&framer, "two");
	expect(&framer, "");
	expect(&framer, NULL);
	assert_int_equal(cdp_framer_push(&framer, "ee\0", 3), 0);
	expect(&framer, "three");
	expect(&framer, NULL);
	cdp_framer_finish(&framer);
}

static void test_every_split(void **state)
{
	static const char stream[] = "first\0second\0third"; /* and its NUL */

	(void)state;
	for (size_t at = 0; at <= sizeof(stream); at++) {
		static const char *const texts[] = { "first", "second", "third" };
		struct cdp_framer framer;
		size_t seen = 0, size;
		const char *message;

		cdp_framer_init(&framer);
		assert_int_equal(cdp_framer_push(&framer, stream, at), 0);
		for (int part = 0; part < 2; part++) {
			while ((message = cdp_framer_next(&framer, &size))) {
				assert_true(seen < 3);
				assert_int_equal(size, strlen(texts[seen]));
				assert_memory_equal(message, texts[seen], size);
				seen++;
			}
			if (part == 0)
				cdp_framer_push(&framer, stream + at, sizeof(stream) - at);
		}
		assert_int_equal(seen, 3);
		cdp_framer_finish(&framer);
	}
}

static void push_filler(struct cdp_framer *framer, size_t size)
{
	static char filler[65536];

	memset(filler, 'x', sizeof(filler));
	while (size) {
		size_t n = size < sizeof(filler) ? size : sizeof(filler);

		assert_int_equal(cdp_framer_push(framer, filler, n), 0);
		size -= n;
		if (size)
			expect(framer, NULL);
	}
}

static void test_too_long(void **state)
{
	static const size_t sizes[] = { CDP_MESSAGE_MAX + 1, CDP_MESSAGE_MAX + 65536,
		                        CDP_MESSAGE_MAX * 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct cdp_framer framer;

		cdp_framer_init(&framer);
		push_filler(&framer, sizes[i]);
		assert_int_equal(cdp_framer_push(&framer, "\0next\0", 6), 0);
		expect(&framer, "next");
		expect(&framer, NULL);
		/* Memory doesn't stay with the long ones. */
		assert_true(framer.size <= CDP_MESSAGE_MAX / 8);
		cdp_framer_finish(&framer);
	}
}

static void test_longest(void **state)
{
	struct cdp_framer framer;
	size_t size = 0;

	(void)state;
	cdp_framer_init(&framer);
	push_filler(&framer, CDP_MESSAGE_MAX);
	expect(&framer, NULL);
	assert_int_equal(cdp_framer_push(&framer, "", 1), 0);
	assert_non_null(cdp_framer_next(&framer, &size));
	assert_int_equal(size, CDP_MESSAGE_MAX);
	cdp_framer_finish(&framer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests_name("guest_cdp", tests, NULL, NULL);
}
