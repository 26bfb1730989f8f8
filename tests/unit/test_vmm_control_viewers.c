/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_control_viewers.c - the verbs "viewer" and "control" as a client asks for them, and what agents
 * may do meanwhile.
 */
#include "tests/unit/vmm_control_bed.h"

#define AGENT(request_) "{\"id\":7,\"verb\":\"agent\",\"request\":{" request_ "}}"

static json_int_t number_heard(struct bed *bed, const char *member)
{
	json_t *reply = heard(bed, 0);

	assert_non_null(reply);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_int_t number = json_integer_value(json_object_get(reply, member));
	json_decref(reply);
	return number;
}

static void test_viewer(void **state)
{
	struct bed *bed = *state;
	int ends[2];

	join(bed, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(write(ends[1], "v", 1), 1);
	say_with_fd(bed, "{\"id\":1,\"verb\":\"viewer\",\"control\":true}", ends[0]);
	assert_int_equal(number_heard(bed, "viewer"), 1);
	assert_int_equal(lookers.byte, 'v');
	assert_true(lookers.may_control);
	assert_int_equal(write(ends[1], "w", 1), 1);
	say_with_fd(bed, "{\"id\":2,\"verb\":\"viewer\"}", ends[0]);
	assert_int_equal(number_heard(bed, "viewer"), 2);
	assert_false(lookers.may_control);
	close(ends[0]);
	close(ends[1]);
}

static void test_viewers_that_are_none(void **state)
{
	struct bed *bed = *state;
	int ends[2];

	join(bed, 0);
	refused(bed, "{\"id\":1,\"verb\":\"viewer\"}", "bad_request", "stream socket");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	say_with_fd(bed, "{\"id\":1,\"verb\":\"viewer\"}", ends[0]);
	json_t *reply = heard(bed, 0);
	expect_error(reply, "a pipe", "bad_request", "stream socket");
	json_decref(reply);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	say_with_fd(bed, "{\"id\":1,\"verb\":\"viewer\"}", ends[0]);
	reply = heard(bed, 0);
	expect_error(reply, "datagrams", "bad_request", "stream socket");
	json_decref(reply);
	say_with_fd(bed, "{\"id\":1,\"verb\":\"viewer\",\"control\":1}", ends[0]);
	reply = heard(bed, 0);
	expect_error(reply, "control", "bad_request", "'control'");
	json_decref(reply);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(lookers.last, 0);
}

static void test_viewers_that_are_refused(void **state)
{
	static const struct {
		int error;
		const char *code;
	} rows[] = { { -EAGAIN, "not_ready" },
		     { -EBUSY, "busy" },
		     { -ENOENT, "not_found" },
		     { -EPERM, "denied" },
		     { -EMFILE, "failed" } };
	struct bed *bed = *state;
	int ends[2];

	join(bed, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lookers.error = rows[i].error;
		say_with_fd(bed, "{\"id\":1,\"verb\":\"viewer\"}", ends[0]);
		json_t *reply = heard(bed, 0);
		expect_error(reply, rows[i].code, rows[i].code, "refused");
		json_decref(reply);
		refused(bed, "{\"id\":2,\"verb\":\"control\",\"op\":\"take\"}", rows[i].code,
		        "refused");
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_control(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	lookers.last = 5;
	say(bed, 0, "{\"id\":1,\"verb\":\"control\",\"op\":\"state\"}");
	assert_int_equal(number_heard(bed, "holder"), 0);
	say(bed, 0, "{\"id\":2,\"verb\":\"control\",\"op\":\"take\"}");
	assert_int_equal(number_heard(bed, "holder"), 5);
	say(bed, 0, "{\"id\":3,\"verb\":\"control\",\"op\":\"take\",\"viewer\":3}");
	assert_int_equal(number_heard(bed, "holder"), 3);
	say(bed, 0, "{\"id\":4,\"verb\":\"control\",\"op\":\"release\"}");
	assert_int_equal(number_heard(bed, "holder"), 0);
	refused(bed, "{\"id\":5,\"verb\":\"control\"}", "bad_request", "'op'");
	refused(bed, "{\"id\":5,\"verb\":\"control\",\"op\":\"keep\"}", "bad_request", "'op'");
	refused(bed, "{\"id\":5,\"verb\":\"control\",\"op\":\"take\",\"viewer\":0}", "bad_request",
	        "'viewer'");
	refused(bed, "{\"id\":5,\"verb\":\"control\",\"op\":\"take\",\"viewer\":\"3\"}",
	        "bad_request", "'viewer'");
	assert_int_equal(lookers.holder, 0);
}

static void finish_agent(struct bed *bed)
{
	json_t *reply = json_pack("{s:b,s:i}", "ok", 1, "seen", 1);

	machine.agent_done(machine.done_arg, reply, NULL, 0);
	machine.agent_done = NULL;
	json_decref(reply);
	rounds(bed, 2);
}

/* Who acts is refused, who looks isn't. */
static void test_agents_meanwhile(void **state)
{
	static const char *const acts[] = {
		AGENT("\"verb\":\"input\",\"steps\":[]"),
		AGENT("\"verb\":\"browser\",\"op\":\"navigate\",\"url\":\"about:blank\""),
		AGENT("\"verb\":\"browser\",\"op\":\"back\""),
		AGENT("\"verb\":\"browser\",\"op\":7"),
		AGENT("\"verb\":\"browser\""),
	};
	static const char *const looks[] = {
		AGENT("\"verb\":\"browser\",\"op\":\"state\""),
		AGENT("\"verb\":\"exec\",\"argv\":[\"true\"]"),
	};
	struct bed *bed = *state;

	join(bed, 0);
	lookers.holder = 2;
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
		refused(bed, acts[i], "control_taken", "a person has control");
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		say(bed, 0, looks[i]);
		assert_row(looks[i], machine.agent_done != NULL);
		finish_agent(bed);
		assert_row(looks[i], number_heard(bed, "seen") == 1);
	}
	lookers.holder = 0;
	say(bed, 0, acts[0]);
	finish_agent(bed);
	assert_int_equal(number_heard(bed, "seen"), 1);
}

int main(void)
{
#define VIEWERS_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		VIEWERS_TEST(test_viewer),
		VIEWERS_TEST(test_viewers_that_are_none),
		VIEWERS_TEST(test_viewers_that_are_refused),
		VIEWERS_TEST(test_control),
		VIEWERS_TEST(test_agents_meanwhile),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
