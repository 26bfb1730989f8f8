/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_control_watch.c - frames, subscribe and alert as clients ask for them, and the events that come.
 */
#include "tests/unit/vmm_control_bed.h"

/* The code of the error that client @i hears; "" for a reply that says ok. */
static void expect_code(struct bed *bed, unsigned i, const char *code)
{
	json_t *reply = heard(bed, i);
	const char *said =
		json_string_value(json_object_get(json_object_get(reply, "error"), "code"));

	assert_non_null(reply);
	assert_string_equal(said ? said : "", code);
	json_decref(reply);
}

static void agent_answers(void)
{
	json_t *reply = wire_reply_ok(1);

	machine.agent_done(machine.done_arg, reply, NULL, 0);
	json_decref(reply);
}

static void test_frames(void **state)
{
	static const struct {
		int ret;
		const char *code;
	} cases[] = { { -EBUSY, PROTO_ERR_BUSY },
		      { -ENOTSOCK, PROTO_ERR_BAD_REQUEST },
		      { -ENOMEM, PROTO_ERR_FAILED } };
	struct bed *bed = *state;
	int fds[2];

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"frames\"}");
	expect_code(bed, 0, PROTO_ERR_BAD_REQUEST);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		machine.frames_ret = cases[i].ret;
		say_with_fd(bed, "{\"id\":2,\"verb\":\"frames\"}", fds[0]);
		expect_code(bed, 0, cases[i].code);
	}
	machine.frames_ret = 0;
	say_with_fd(bed, "{\"id\":3,\"verb\":\"frames\",\"fast\":true}", fds[0]);
	expect_code(bed, 0, "");
	assert_true(machine.frames_fast);
	/* It is the socket, and the only copy of it that is left. */
	close(fds[0]);
	assert_int_equal(write(machine.frames_fd, "x", 1), 1);
	close(machine.frames_fd);
	char byte;
	assert_int_equal(read(fds[1], &byte, 1), 1);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	close(fds[1]);
}

static void test_action_events(void **state)
{
	struct bed *bed = *state;

	for (unsigned i = 0; i < 3; i++)
		join(bed, i);
	say(bed, 0, "{\"id\":1,\"verb\":\"subscribe\"}");
	expect_code(bed, 0, "");
	say(bed, 1, "{\"id\":1,\"verb\":\"subscribe\",\"text\":true}");
	expect_code(bed, 1, "");
	say(bed, 2,
	    "{\"id\":1,\"verb\":\"agent\",\"request\":{\"verb\":\"input\","
	    "\"steps\":[{\"text\":\"hunter2\"}]}}");
	assert_string_equal(machine.agent_verb, "input");
	json_t *without = heard(bed, 0), *with = heard(bed, 1);
	char *told = json_dumps(without, 0);
	assert_non_null(strstr(told, "\"characters\": 7"));
	assert_null(strstr(told, "hunter2"));
	free(told);
	told = json_dumps(with, 0);
	assert_non_null(strstr(told, "hunter2"));
	free(told);
	json_decref(without);
	json_decref(with);
	/* Who hasn't subscribed hears nothing, nor does anybody of what only looks, or isn't done. */
	expect_nothing(bed, 2);
	agent_answers();
	rounds(bed, 2);
	expect_code(bed, 2, "");
	bed->vm.paused = true;
	say(bed, 2, "{\"id\":2,\"verb\":\"agent\",\"request\":{\"verb\":\"input\",\"steps\":[]}}");
	expect_code(bed, 2, PROTO_ERR_NOT_READY);
	expect_nothing(bed, 0);
	expect_nothing(bed, 1);
}

static void test_alert(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	join(bed, 1);
	say(bed, 1, "{\"id\":1,\"verb\":\"subscribe\"}");
	expect_code(bed, 1, "");
	say(bed, 0,
	    "{\"id\":1,\"verb\":\"alert\",\"name\":\"vault\",\"x\":1,\"y\":2,\"width\":3,"
	    "\"height\":4}");
	expect_code(bed, 0, "");
	assert_int_equal(machine.pauses, 0);
	json_t *event = heard(bed, 1);
	char *told = json_dumps(event, JSON_SORT_KEYS | JSON_COMPACT);
	assert_string_equal(told,
	                    "{\"event\":\"alert\",\"frozen\":false,\"height\":4,\"name\":\"vault\","
	                    "\"width\":3,\"x\":1,\"y\":2}");
	free(told);
	json_decref(event);
	say(bed, 0,
	    "{\"id\":2,\"verb\":\"alert\",\"name\":\"vault\",\"x\":1,\"y\":2,\"width\":3,"
	    "\"height\":4,"
	    "\"freeze\":true}");
	expect_code(bed, 0, "");
	assert_int_equal(machine.pauses, 1);
	assert_true(bed->vm.paused);
}

static void test_bad_alerts(void **state)
{
	static const char *const rest[] = {
		"\"x\":1,\"y\":2,\"width\":3,\"height\":4",
		"\"name\":\"\",\"x\":1,\"y\":2,\"width\":3,\"height\":4",
		"\"name\":\"a\\nb\",\"x\":1,\"y\":2,\"width\":3,\"height\":4",
		"\"name\":\"a\",\"x\":-1,\"y\":2,\"width\":3,\"height\":4",
		"\"name\":\"a\",\"x\":1,\"y\":4097,\"width\":3,\"height\":4",
		"\"name\":\"a\",\"x\":1,\"y\":2,\"width\":3.5,\"height\":4",
		"\"name\":\"a\",\"x\":1,\"y\":2,\"width\":3",
		"\"name\":\"01234567890123456789012345678901234567890123456789012345678901234\","
		"\"x\":1,\"y\":2,\"width\":3,\"height\":4",
	};
	struct bed *bed = *state;

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
		char request[512];

		snprintf(request, sizeof(request),
		         "{\"id\":1,\"verb\":\"alert\",\"freeze\":true,%s}", rest[i]);
		say(bed, 0, request);
		expect_code(bed, 0, PROTO_ERR_BAD_REQUEST);
	}
	assert_int_equal(machine.pauses, 0);
}

/* One that has subscribed and doesn't read is closed; nobody else notices. */
static void test_deaf_subscriber(void **state)
{
	static char text[1100];
	struct bed *bed = *state;
	char *request;

	join(bed, 0);
	join(bed, 1);
	join(bed, 2);
	say(bed, 0, "{\"id\":1,\"verb\":\"subscribe\",\"text\":true}");
	say(bed, 1, "{\"id\":1,\"verb\":\"subscribe\"}");
	memset(text, 'x', 1000);
	json_t *steps = json_array();
	for (unsigned i = 0; i < 40; i++)
		json_array_append_new(steps, json_pack("{s:s}", "text", text));
	json_t *whole = json_pack("{s:i,s:s,s:{s:s,s:o}}", "id", 1, "verb", "agent", "request",
	                          "verb", "input", "steps", steps);
	request = json_dumps(whole, JSON_COMPACT);
	json_decref(whole);
	unsigned count = 0;
	for (unsigned i = 0; i < 400 && bed->vm.control; i++) {
		json_t *event;

		say(bed, 2, request);
		agent_answers();
		rounds(bed, 1);
		while ((event = heard(bed, 1))) {
			count++;
			json_decref(event);
		}
		json_decref(heard(bed, 2));
	}
	free(request);
	assert_int_equal(count, 401); /* and the reply */
	while (!is_closed(bed, 0))
		json_decref(heard(bed, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_action_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alert, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_alerts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaf_subscriber, setup, teardown),
	};

	return cmocka_run_group_tests_name("vmm_control_watch", tests, NULL, NULL);
}
