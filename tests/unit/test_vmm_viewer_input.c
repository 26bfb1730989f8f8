/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_viewer_input.c - a person's keys and pointer as steps for the agent: merged, bounded, let go.
 */
#include "tests/unit/unit.h"

#include "vmm/viewer_input.h"

static struct viewer_input input;

static int setup(void **state)
{
	(void)state;
	viewer_input_init(&input);
	return 0;
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
	assert_string_equal(text_of(viewer_input_take(&input)), "");
	viewer_input_key(&input, 0x61, true);
	viewer_input_key(&input, 0x61, true);
	viewer_input_key(&input, 0x61, false);
	viewer_input_key(&input, 0x62, false);      /* was never down */
	viewer_input_key(&input, 0x20000000, true); /* no keysym */
	assert_string_equal(text_of(viewer_input_take(&input)),
	                    "[{\"keysym\":97,\"down\":true},{\"keysym\":97,\"down\":true},"
	                    "{\"keysym\":97,\"down\":false}]");
	assert_string_equal(text_of(viewer_input_release(&input)), "");
}

static void test_pointer(void **state)
{
	(void)state;
	viewer_input_pointer(&input, 1, 2, 0);
	viewer_input_pointer(&input, 3, 4, 0);
	viewer_input_pointer(&input, 5, 6, 1 | 1 << 4);
	viewer_input_pointer(&input, 7, 8, 1 | 1 << 4);
	viewer_input_pointer(&input, 7, 8, 1);
	assert_string_equal(text_of(viewer_input_take(&input)),
	                    "[{\"move\":[3,4]},{\"move\":[7,8]},{\"button\":1,\"down\":true},"
	                    "{\"button\":5,\"down\":true},{\"move\":[7,8]},"
	                    "{\"button\":5,\"down\":false}]");
}

/* What is down is let go, what waits is forgotten. */
static void test_release(void **state)
{
	(void)state;
	viewer_input_key(&input, 0xffe3, true);
	viewer_input_key(&input, 0x61, true);
	viewer_input_pointer(&input, 1, 1, 4);
	json_decref(viewer_input_take(&input));
	viewer_input_key(&input, 0x7a, true);
	assert_string_equal(text_of(viewer_input_release(&input)),
	                    "[{\"button\":3,\"down\":false},{\"keysym\":97,\"down\":false},"
	                    "{\"keysym\":65507,\"down\":false}]");
	assert_string_equal(text_of(viewer_input_take(&input)), "");
	assert_string_equal(text_of(viewer_input_release(&input)), "");
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

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		viewer_input_key(&input, 0x100 + i % 300, true);
	assert_int_equal(viewer_input_dropped(&input),
	                 1000 - (VIEWER_EVENTS_MAX - VIEWER_KEYS_MAX));
	assert_int_equal(viewer_input_dropped(&input), 0);
	while ((got = count_of(viewer_input_take(&input)))) {
		assert_true(got <= 1024);
		taken += got;
	}
	assert_int_equal(taken, VIEWER_KEYS_MAX);
	assert_int_equal(count_of(viewer_input_release(&input)), VIEWER_KEYS_MAX);
}

/* Each event with all buttons: no more steps than the agent takes. */
static void test_many_steps(void **state)
{
	size_t got;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		viewer_input_pointer(&input, i, i, i % 2 ? 0xff : 0);
	while ((got = count_of(viewer_input_take(&input))))
		assert_true(got <= 1024);
}

int main(void)
{
#define INPUT_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		INPUT_TEST(test_keys),       INPUT_TEST(test_pointer),
		INPUT_TEST(test_release),    INPUT_TEST(test_more_than_there_is_room_for),
		INPUT_TEST(test_many_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
