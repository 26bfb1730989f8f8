/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_control.c - the control socket, asked by good clients and bad ones over a real socket.
 *
 * control.c, control_verbs.c and status.c are under test; what they ask of the machine is played by
 * the bed. The verbs that copy the machine are test_vmm_control_copies.c's.
 */
#include "tests/unit/vmm_control_bed.h"

/* --- requests -------------------------------------------------------------------------------- */

static void test_requests_that_are_wrong(void **state)
{
	static const struct {
		const char *text, *code, *words;
	} rows[] = {
		{ "{}", "bad_request", "an 'id' above 0 and a 'verb'" },
		{ "{\"id\":1}", "bad_request", "a 'verb'" },
		{ "{\"id\":0,\"verb\":\"status\"}", "bad_request", "'id' above 0" },
		{ "{\"id\":-1,\"verb\":\"status\"}", "bad_request", "'id' above 0" },
		{ "{\"id\":\"x\",\"verb\":\"status\"}", "bad_request", "'id' above 0" },
		{ "{\"id\":1,\"verb\":7}", "bad_request", "'verb'" },
		{ "{\"id\":1,\"verb\":\"dance\"}", "unknown_verb", "no such verb" },
		{ "{\"id\":1,\"verb\":\"wait\"}", "bad_request", "'for'" },
		{ "{\"id\":1,\"verb\":\"wait\",\"for\":\"dinner\"}", "bad_request", "'for'" },
		{ "{\"id\":1,\"verb\":\"wait\",\"for\":\"agent\",\"timeout_ms\":0}", "bad_request",
		  "1 to 3600000" },
		{ "{\"id\":1,\"verb\":\"wait\",\"for\":\"agent\",\"timeout_ms\":3600001}",
		  "bad_request", "1 to 3600000" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"format\":\"gif\"}", "bad_request", "png" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"format\":1}", "bad_request", "png" },
		{ "{\"id\":1,\"verb\":\"agent\"}", "bad_request", "'request'" },
		{ "{\"id\":1,\"verb\":\"agent\",\"request\":{}}", "bad_request", "'verb'" },
		{ "{\"id\":1,\"verb\":\"agent\",\"request\":{\"verb\":\"x\",\"timeout_ms\":\"1\"}}",
		  "bad_request", "request.timeout_ms" },
		{ "{\"id\":1,\"verb\":\"agent\",\"request\":{\"verb\":\"generation\"}}", "denied",
		  "the VMM's to tell" },
		{ "{\"id\":1,\"verb\":\"balloon\",\"target_mib\":-1}", "bad_request", "0 to 64" },
		{ "{\"id\":1,\"verb\":\"balloon\",\"target_mib\":65}", "bad_request", "0 to 64" },
		{ "{\"id\":1,\"verb\":\"balloon\",\"target_mib\":\"1\"}", "bad_request",
		  "0 to 64" },
		{ "{\"id\":1,\"verb\":\"balloon\",\"target_mib\":9223372036854775807}",
		  "bad_request", "0 to 64" },
		{ "{\"id\":1,\"verb\":\"balloon\",\"timeout_ms\":0}", "bad_request", "timeout_ms" },
	};
	struct bed *bed = *state;

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused(bed, rows[i].text, rows[i].code, rows[i].words);
	assert_int_equal(machine.balloon.target, 0);
	say(bed, 0, "{\"id\":9,\"verb\":\"status\"}");
	json_decref(granted(bed, 0));
}

static void test_status(void **state)
{
	struct bed *bed = *state;

	machine.hello = json_pack("{s:i}", "protocol", 1);
	atomic_store(&bed->vm.stages[STAGE_AGENT], 7 * NS_PER_MS);
	bed->vm.ttl_deadline_ns = clock_now_ns() + 3600 * NS_PER_S;
	machine.balloon.known = 1u << BALLOON_FREE | 1u << BALLOON_OOM_KILLS;
	machine.balloon.stats[BALLOON_FREE] = UINT64_MAX; /* what no guest has */
	machine.balloon.stats_ns = clock_now_ns();
	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"status\"}");
	json_t *reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 1);
	assert_int_equal(number(reply, "cpus"), 2);
	assert_int_equal(number(reply, "memory_mib"), MEMORY_MIB);
	assert_int_equal(number(reply, "pid"), getpid());
	assert_in_range(number(reply, "ttl_ms"), 3500 * 1000, 3600 * 1000);
	assert_int_equal(number(json_object_get(reply, "stages"), "agent_ms"), 7);
	assert_null(json_object_get(json_object_get(reply, "stages"), "browser_ms"));
	assert_int_equal(number(json_object_get(reply, "agent"), "protocol"), 1);
	assert_int_equal(number(json_object_get(reply, "display"), "width"), 800);
	assert_int_equal(json_array_size(json_object_get(reply, "deaths")), 0);
	const json_t *balloon = json_object_get(reply, "balloon");
	const json_t *stats = json_object_get(balloon, "stats");
	assert_int_equal(number(balloon, "target_mib"), 0);
	assert_int_equal(number(stats, "free_bytes"), INT64_MAX);
	assert_int_equal(number(stats, "oom_kills"), 0);
	assert_null(json_object_get(stats, "total_bytes"));
	assert_int_equal(machine.asked, 0); /* status doesn't trouble the guest */
	json_decref(reply);
}

static void test_status_of_copies(void **state)
{
	static const struct {
		struct vm_origin origin;
		const char *expected;
	} rows[] = {
		{ { .kind = ORIGIN_BOOT }, "{\"kind\":\"boot\"}" },
		{ { .kind = ORIGIN_FORK, .of = "first" }, "{\"kind\":\"fork\",\"of\":\"first\"}" },
		{ { .kind = ORIGIN_RESTORE, .of = "0a", .mode = RESTORE_LAZY },
		  "{\"kind\":\"restore\",\"of\":\"0a\",\"mode\":\"lazy\"}" },
		{ { .kind = ORIGIN_RESTORE, .of = "0a", .mode = RESTORE_TEMPLATE },
		  "{\"kind\":\"restore\",\"of\":\"0a\",\"mode\":\"template\"}" },
	};
	struct bed *bed = *state;

	join(bed, 0);
	for (size_t i = 0; i < VMGENID_SIZE; i++)
		bed->vm.platform.generation[i] = (uint8_t)(0xf0 + i);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *expected = json_loads(rows[i].expected, 0, NULL);

		bed->vm.origin = rows[i].origin;
		bed->vm.acknowledged = i & 1;
		bed->vm.loaded = i & 2;
		say(bed, 0, "{\"id\":1,\"verb\":\"status\"}");
		json_t *reply = granted(bed, 0);
		assert_row(rows[i].expected,
		           json_equal(json_object_get(reply, "origin"), expected));
		assert_string_equal(json_string_value(json_object_get(reply, "generation")),
		                    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
		assert_true(json_is_true(json_object_get(reply, "acknowledged")) == (i & 1));
		assert_true(json_is_true(json_object_get(reply, "loaded")) == !!(i & 2));
		json_decref(expected);
		json_decref(reply);
	}
}

static void test_pause_resume_quit(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"pause\"}");
	json_decref(granted(bed, 0));
	say(bed, 0, "{\"id\":2,\"verb\":\"status\"}");
	json_t *reply = granted(bed, 0);
	assert_string_equal(json_string_value(json_object_get(reply, "state")), "paused");
	json_decref(reply);
	refused(bed, "{\"id\":3,\"verb\":\"agent\",\"request\":{\"verb\":\"exec\"}}", "not_ready",
	        "thaw it first");
	say(bed, 0, "{\"id\":4,\"verb\":\"resume\"}");
	json_decref(granted(bed, 0));
	assert_int_equal(machine.pauses, 1);
	assert_int_equal(machine.resumes, 1);
	say(bed, 0, "{\"id\":5,\"verb\":\"quit\"}");
	json_decref(granted(bed, 0));
	assert_int_equal(machine.ended, VM_QUIT);
}

/* --- answers that come later ----------------------------------------------------------------- */

static void test_wait(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	join(bed, 1);
	say(bed, 0, "{\"id\":1,\"verb\":\"wait\",\"for\":\"agent\"}");
	say(bed, 1, "{\"id\":2,\"verb\":\"wait\",\"for\":\"display\"}");
	expect_nothing(bed, 0);
	atomic_store(&bed->vm.stages[STAGE_AGENT], NS_PER_MS);
	control_notify(bed->vm.control);
	json_t *reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 1);
	json_decref(reply);
	expect_nothing(bed, 1);
	/* Reached already: at once. */
	say(bed, 0, "{\"id\":3,\"verb\":\"wait\",\"for\":\"agent\"}");
	json_decref(granted(bed, 0));
	/* The other's can't come any more. */
	json_t *death = json_pack("{s:s,s:s,s:i}", "event", "died", "process", "xvfb", "exit", 1);
	control_note_death(bed->vm.control, death);
	json_decref(death);
	control_notify(bed->vm.control);
	reply = heard(bed, 1);
	assert_non_null(reply);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "error"), "code")),
		"failed");
	json_decref(reply);
}

/* All memory of a guest that was restored is there: not a stage, and no death can keep it away. */
static void test_wait_for_memory(void **state)
{
	struct bed *bed = *state;
	json_t *death = json_pack("{s:s,s:s,s:i}", "event", "died", "process", "xvfb", "exit", 1);

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"wait\",\"for\":\"loaded\"}");
	control_note_death(bed->vm.control, death);
	json_decref(death);
	control_notify(bed->vm.control);
	expect_nothing(bed, 0);
	bed->vm.loaded = true;
	control_notify(bed->vm.control);
	json_t *reply = granted(bed, 0);
	assert_true(json_is_true(json_object_get(reply, "loaded")));
	json_decref(reply);
	say(bed, 0, "{\"id\":2,\"verb\":\"wait\",\"for\":\"loaded\"}");
	json_decref(granted(bed, 0));
}

static void test_wait_in_vain(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"wait\",\"for\":\"browser\",\"timeout_ms\":1}");
	json_t *reply = NULL;
	while (!reply) {
		rounds(bed, 1);
		reply = heard(bed, 0);
	}
	const json_t *error = json_object_get(reply, "error");
	assert_string_equal(json_string_value(json_object_get(error, "code")), "timeout");
	assert_string_equal(json_string_value(json_object_get(error, "message")),
	                    "the browser was not ready within 1 ms");
	json_decref(reply);
}

static void test_agent_and_screen(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0,
	    "{\"id\":6,\"verb\":\"agent\",\"request\":{\"verb\":\"exec\",\"timeout_ms\":70}}");
	assert_string_equal(machine.agent_verb, "exec");
	assert_int_equal(machine.agent_timeout_ms, 70);
	json_t *reply = json_pack("{s:i,s:b,s:i}", "id", 999, "ok", 1, "exit", 3);
	machine.agent_done(machine.done_arg, reply, "out", 3);
	json_decref(reply);
	reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 6);
	assert_int_equal(number(reply, "exit"), 3);
	assert_int_equal(number(reply, "blob"), 3);
	json_decref(reply);

	say(bed, 0, "{\"id\":7,\"verb\":\"screenshot\"}");
	machine.picture_done(machine.done_arg, wire_reply_ok(1), -1);
	reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 7);
	json_decref(reply);
}

/* JSON of a line's length at most may be longer as it is written here: 1e5 comes as 100000.0. */
static void test_an_answer_that_fits_no_line(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":6,\"verb\":\"agent\",\"request\":{\"verb\":\"exec\"}}");
	json_t *numbers = json_array();
	for (unsigned i = 0; i < 10000; i++)
		json_array_append_new(numbers, json_real(100000));
	json_t *reply = json_pack("{s:b,s:o}", "ok", 1, "numbers", numbers);
	machine.agent_done(machine.done_arg, reply, "out", 3);
	json_decref(reply);

	json_t *heard_reply = heard(bed, 0);
	const json_t *error = json_object_get(heard_reply, "error");
	assert_int_equal(number(heard_reply, "id"), 6);
	assert_false(json_is_true(json_object_get(heard_reply, "ok")));
	assert_string_equal(json_string_value(json_object_get(error, "code")), "too_large");
	assert_null(json_object_get(heard_reply, "blob"));
	json_decref(heard_reply);
	/* The client is still served. */
	say(bed, 0, "{\"id\":7,\"verb\":\"pause\"}");
	json_decref(granted(bed, 0));
}

static void test_client_leaves_before_its_answer(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":6,\"verb\":\"agent\",\"request\":{\"verb\":\"exec\"}}");
	wire_conn_finish(&bed->clients[0]);
	bed->clients[0] = (struct wire_conn){ .fd = -1 };
	rounds(bed, 2);
	/* Another takes its place; the answer isn't for it. */
	join(bed, 1);
	json_t *reply = json_pack("{s:b}", "ok", 1);
	machine.agent_done(machine.done_arg, reply, NULL, 0);
	json_decref(reply);
	expect_nothing(bed, 1);
}

static void test_balloon(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	join(bed, 1);
	/* No driver: nobody to wait for, but the target is kept for when one comes. */
	say(bed, 0, "{\"id\":1,\"verb\":\"balloon\",\"target_mib\":64}");
	json_t *reply = granted(bed, 0);
	assert_int_equal(number(reply, "target_mib"), 64);
	assert_true(json_is_false(json_object_get(reply, "driver")));
	assert_null(json_object_get(reply, "stats"));
	json_decref(reply);
	/* With one, both get what it brings. */
	machine.answers = true;
	say(bed, 0, "{\"id\":2,\"verb\":\"balloon\",\"timeout_ms\":3600000}");
	say(bed, 1, "{\"id\":3,\"verb\":\"balloon\",\"target_mib\":0,\"timeout_ms\":3600000}");
	expect_nothing(bed, 0);
	expect_nothing(bed, 1);
	machine.balloon.driver = true;
	machine.balloon.actual = 5 << 20;
	machine.balloon.known = 1u << BALLOON_TOTAL;
	machine.balloon.stats[BALLOON_TOTAL] = 1234;
	machine.balloon.stats_ns = clock_now_ns();
	control_notify_stats(bed->vm.control);
	for (unsigned i = 0; i < 2; i++) {
		reply = granted(bed, i);
		assert_int_equal(number(reply, "id"), 2 + i);
		assert_int_equal(number(reply, "actual_mib"), 5);
		assert_int_equal(number(json_object_get(reply, "stats"), "total_bytes"), 1234);
		json_decref(reply);
	}
	control_notify_stats(bed->vm.control); /* of which nobody waits any more */
	expect_nothing(bed, 0);
	/* One that doesn't answer: what there is, and its age says so. */
	say(bed, 0, "{\"id\":4,\"verb\":\"balloon\",\"timeout_ms\":1}");
	while (!(reply = heard(bed, 0)))
		rounds(bed, 1);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	/* A frozen guest isn't asked at all. */
	bed->vm.paused = true;
	unsigned asked = machine.asked;
	say(bed, 0, "{\"id\":5,\"verb\":\"balloon\"}");
	json_decref(granted(bed, 0));
	assert_int_equal(machine.asked, asked);
}

static void test_too_much_under_way(void **state)
{
	struct bed *bed = *state;
	char text[64];

	join(bed, 0);
	for (int i = 1; i <= 32; i++) {
		snprintf(text, sizeof(text), "{\"id\":%d,\"verb\":\"wait\",\"for\":\"agent\"}", i);
		say(bed, 0, text);
	}
	expect_nothing(bed, 0);
	refused(bed, "{\"id\":33,\"verb\":\"balloon\"}", "busy", "wait for some to end");
	refused(bed, "{\"id\":34,\"verb\":\"screenshot\"}", "busy", "wait for some to end");
	/* What needs no waiting goes on, and so do others. */
	say(bed, 0, "{\"id\":35,\"verb\":\"status\"}");
	json_decref(granted(bed, 0));
	join(bed, 1);
	say(bed, 1, "{\"id\":1,\"verb\":\"balloon\"}");
	json_decref(granted(bed, 1));
	atomic_store(&bed->vm.stages[STAGE_AGENT], NS_PER_MS);
	control_notify(bed->vm.control);
	for (int i = 1; i <= 32; i++)
		json_decref(granted(bed, 0));
	say(bed, 0, "{\"id\":36,\"verb\":\"screenshot\"}");
	expect_nothing(bed, 0);
	machine.picture_done(machine.done_arg, wire_reply_ok(1), -1);
	json_decref(granted(bed, 0));
}

static void test_end_while_clients_wait(void **state)
{
	struct bed *bed = *state;

	machine.answers = true;
	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"wait\",\"for\":\"agent\"}");
	say(bed, 0, "{\"id\":2,\"verb\":\"balloon\"}");
	control_destroy(bed->vm.control);
	bed->vm.control = NULL;
	assert_int_not_equal(access(bed->path, F_OK), 0);
	unsigned answers = 0;
	for (json_t *reply; (reply = heard(bed, 0)); answers++)
		json_decref(reply);
	assert_int_equal(answers, 2);
	/* Without a socket the machine needn't know. */
	control_notify(NULL);
	control_notify_stats(NULL);
	control_note_death(NULL, NULL);
}

/* --- clients --------------------------------------------------------------------------------- */

static void test_garbage_is_closed(void **state)
{
	static const char *const rows[] = { "hello\n", "[1]\n", "{\"id\":1\n",
		                            "{\"a\":1,\"a\":2}\n",
		                            "{\"id\":1,\"verb\":\"status\",\"blob\":-1}\n" };
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		join(bed, 0);
		assert_int_equal(write(bed->clients[0].fd, rows[i], strlen(rows[i])),
		                 strlen(rows[i]));
		assert_row(rows[i], is_closed(bed, 0));
		wire_conn_finish(&bed->clients[0]);
		bed->clients[0] = (struct wire_conn){ .fd = -1 };
	}
	join(bed, 0);
	say(bed, 0, "{\"id\":9,\"verb\":\"status\"}");
	json_decref(granted(bed, 0));
}

static void test_so_many_clients_and_no_more(void **state)
{
	struct bed *bed = *state;
	int fds[CONTROL_CLIENTS_MAX];

	join(bed, 0);
	for (unsigned i = 1; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = connect_plain(bed);
	join(bed, 1);
	assert_true(is_closed(bed, 1));
	say(bed, 0, "{\"id\":1,\"verb\":\"status\"}");
	json_decref(granted(bed, 0));
	for (unsigned i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	rounds(bed, 2);
	join(bed, 2);
	say(bed, 2, "{\"id\":1,\"verb\":\"status\"}");
	json_decref(granted(bed, 2));
}

/* A client that asks and asks and never reads is closed, before it has taken much memory. */
static void test_client_that_doesnt_read(void **state)
{
	static const char request[] = "{\"id\":1,\"verb\":\"status\"}\n";
	struct bed *bed = *state;
	int code = 0;

	join(bed, 0);
	fcntl(bed->clients[0].fd, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 200000 && (code == 0 || code == EAGAIN); i++) {
		code = write(bed->clients[0].fd, request, sizeof(request) - 1) > 0 ? 0 : errno;
		if (i % 1000 == 999 || code)
			rounds(bed, 1);
	}
	assert_true(code == EPIPE || code == ECONNRESET);
	join(bed, 1);
	say(bed, 1, "{\"id\":1,\"verb\":\"status\"}");
	json_decref(granted(bed, 1));
}

static void test_deaths_are_bounded(void **state)
{
	struct bed *bed = *state;
	json_t *death =
		json_pack("{s:s,s:s,s:i}", "event", "died", "process", "browser", "exit", 1);

	for (unsigned i = 0; i < 100; i++)
		control_note_death(bed->vm.control, death);
	json_decref(death);
	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"status\"}");
	json_t *reply = granted(bed, 0);
	const json_t *deaths = json_object_get(reply, "deaths");
	assert_int_equal(json_array_size(deaths), 8);
	assert_null(json_object_get(json_array_get(deaths, 0), "event"));
	json_decref(reply);
}

static void test_path_in_use(void **state)
{
	struct bed *bed = *state;
	struct control *control = NULL;
	struct error err = { 0 };

	assert_true(control_create(&bed->vm, bed->path, &control, &err) < 0);
	assert_non_null(strstr(err.msg, bed->path));
	assert_null(control);
	assert_int_equal(access(bed->path, F_OK), 0); /* the other's stays */
	assert_int_equal(control_create(&bed->vm, NULL, &control, &err), 0);
	assert_null(control);
}

int main(void)
{
#define CONTROL_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(test_requests_that_are_wrong),
		CONTROL_TEST(test_status),
		CONTROL_TEST(test_status_of_copies),
		CONTROL_TEST(test_pause_resume_quit),
		CONTROL_TEST(test_wait),
		CONTROL_TEST(test_wait_for_memory),
		CONTROL_TEST(test_wait_in_vain),
		CONTROL_TEST(test_agent_and_screen),
		CONTROL_TEST(test_an_answer_that_fits_no_line),
		CONTROL_TEST(test_client_leaves_before_its_answer),
		CONTROL_TEST(test_balloon),
		CONTROL_TEST(test_too_much_under_way),
		CONTROL_TEST(test_end_while_clients_wait),
		CONTROL_TEST(test_garbage_is_closed),
		CONTROL_TEST(test_so_many_clients_and_no_more),
		CONTROL_TEST(test_client_that_doesnt_read),
		CONTROL_TEST(test_deaths_are_bounded),
		CONTROL_TEST(test_path_in_use),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
