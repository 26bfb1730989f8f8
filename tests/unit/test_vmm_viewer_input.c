/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_viewer_input.c - a person's keys and pointer as steps for the agent: merged, bounded, let go.
 */
#include "tests/unit/unit.h"

#include "display/vnc.h"
#include "vmm/viewer_input.h"

#define ME 7
#define OTHER 8

static struct viewer_input input;

static int setup(void **state)
{
	(void)state;
	viewer_input_init(&input);
	return viewer_input_give(&input, ME) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	viewer_input_finish(&input);
	return 0;
}

/* @steps, which is owned here, as text; "" for none. */
static const char *text_of(json_t *steps)
{
	static char text[4096];
	char *dump = steps ? json_dumps(steps, JSON_COMPACT) : NULL;

	snprintf(text, sizeof(text), "%s", dump ? dump : "");
	free(dump);
	json_decref(steps);
	return text;
}

static void test_keys(void **state)
{
	(void)state;
	assert_string_equal(text_of(viewer_input_take(&input, false)), "");
	viewer_input_key(&input, ME, 0x61, true);
	viewer_input_key(&input, ME, 0x61, true);
	viewer_input_key(&input, ME, 0x61, false);
	viewer_input_key(&input, ME, 0x62, false);      /* was never down */
	viewer_input_key(&input, ME, 0x20000000, true); /* no keysym */
	assert_string_equal(text_of(viewer_input_take(&input, false)),
	                    "[{\"keysym\":97,\"down\":true},{\"keysym\":97,\"down\":true},"
	                    "{\"keysym\":97,\"down\":false}]");
	assert_string_equal(text_of(viewer_input_give(&input, ME)), "");
}

static void test_pointer(void **state)
{
	(void)state;
	viewer_input_pointer(&input, ME, 1, 2, 0);
	viewer_input_pointer(&input, ME, 3, 4, 0);
	viewer_input_pointer(&input, ME, 5, 6, 1 | 1 << 4);
	viewer_input_pointer(&input, ME, 7, 8, 1 | 1 << 4);
	viewer_input_pointer(&input, ME, 7, 8, 1);
	assert_string_equal(text_of(viewer_input_take(&input, false)),
	                    "[{\"move\":[3,4]},{\"move\":[7,8]},{\"button\":1,\"down\":true},"
	                    "{\"button\":5,\"down\":true},{\"move\":[7,8]},"
	                    "{\"button\":5,\"down\":false}]");
}

/* What is down is let go, what waits is forgotten. */
static void test_release(void **state)
{
	(void)state;
	viewer_input_key(&input, ME, 0xffe3, true);
	viewer_input_key(&input, ME, 0x61, true);
	viewer_input_pointer(&input, ME, 1, 1, 4);
	json_decref(viewer_input_take(&input, false));
	viewer_input_key(&input, ME, 0x7a, true);
	assert_string_equal(text_of(viewer_input_give(&input, ME)),
	                    "[{\"button\":3,\"down\":false},{\"keysym\":97,\"down\":false},"
	                    "{\"keysym\":65507,\"down\":false}]");
	assert_string_equal(text_of(viewer_input_take(&input, false)), "");
	assert_string_equal(text_of(viewer_input_give(&input, ME)), "");
}

static size_t count_of(json_t *steps)
{
	size_t count = json_array_size(steps);

	json_decref(steps);
	return count;
}

/* Every key that got down gets up again, however many there are. */
static void test_more_than_there_is_room_for(void **state)
{
	size_t taken = 0, got;
	uint32_t put = 0;

	(void)state;
	while (viewer_input_has_room(&input, ME))
		for (unsigned i = 0; i < VNC_EVENTS_AT_ONCE; i++, put++)
			assert_true(viewer_input_key(&input, ME, 0x100 + put % 300, true));
	assert_in_range(put, VIEWER_EVENTS_MAX - VNC_EVENTS_AT_ONCE, VIEWER_EVENTS_MAX);
	assert_true(viewer_input_has_room(&input, OTHER));
	while ((got = count_of(viewer_input_take(&input, false)))) {
		assert_true(got <= 1024);
		taken += got;
	}
	assert_true(viewer_input_has_room(&input, ME));
	assert_in_range(taken, VIEWER_KEYS_MAX, put); /* some of them are repeated */
	assert_int_equal(count_of(viewer_input_give(&input, ME)), VIEWER_KEYS_MAX);
}

/* One that has no control, or has it no more. */
static void test_others(void **state)
{
	(void)state;
	assert_false(viewer_input_key(&input, OTHER, 0x61, true));
	assert_false(viewer_input_pointer(&input, OTHER, 1, 2, 1));
	assert_string_equal(text_of(viewer_input_take(&input, false)), "");
	viewer_input_key(&input, ME, 0x61, true);
	assert_string_equal(text_of(viewer_input_give(&input, OTHER)), "");
	assert_false(viewer_input_key(&input, ME, 0x61, true));
	assert_true(viewer_input_key(&input, OTHER, 0x62, true));
	assert_string_equal(text_of(viewer_input_take(&input, false)),
	                    "[{\"keysym\":98,\"down\":true}]");
}

/* Of a frozen guest: what is let go meanwhile is let go, nothing else is done. */
static void test_only_ups(void **state)
{
	(void)state;
	viewer_input_key(&input, ME, 0x61, true);
	viewer_input_pointer(&input, ME, 1, 2, 1 | 4);
	json_decref(viewer_input_take(&input, false));
	viewer_input_key(&input, ME, 0x62, true);
	viewer_input_key(&input, ME, 0x62, false);
	viewer_input_key(&input, ME, 0x61, false);
	viewer_input_pointer(&input, ME, 7, 8, 2 | 4);
	assert_string_equal(text_of(viewer_input_take(&input, true)),
	                    "[{\"keysym\":97,\"down\":false},{\"button\":1,\"down\":false}]");
	assert_string_equal(text_of(viewer_input_give(&input, ME)),
	                    "[{\"button\":3,\"down\":false}]");
}

/* The viewer's keysyms have them in them. */
static void test_keys_that_lock(void **state)
{
	static const uint32_t keysyms[] = {
		0xfe03, 0xfe11, 0xfe13, 0xff7e, 0xff7f, 0xffe5, 0xffe6
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keysyms) / sizeof(keysyms[0]); i++)
		assert_false(viewer_input_key(&input, ME, keysyms[i], true));
	assert_string_equal(text_of(viewer_input_take(&input, false)), "");
	/* Shift and Shift+Tab are none of them. */
	assert_true(viewer_input_key(&input, ME, 0xffe1, true));
	assert_true(viewer_input_key(&input, ME, 0xfe20, true));
}

/* Each event with all buttons: no more steps than the agent takes. */
static void test_many_steps(void **state)
{
	size_t got;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		viewer_input_pointer(&input, ME, i, i, i % 2 ? 0xff : 0);
	while ((got = count_of(viewer_input_take(&input, false))))
		assert_true(got <= 1024);
}

int main(void)
{
#define INPUT_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		INPUT_TEST(test_keys),       INPUT_TEST(test_pointer),
		INPUT_TEST(test_release),    INPUT_TEST(test_more_than_there_is_room_for),
		INPUT_TEST(test_many_steps), INPUT_TEST(test_others),
		INPUT_TEST(test_only_ups),   INPUT_TEST(test_keys_that_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
