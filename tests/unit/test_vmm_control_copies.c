/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_control_copies.c - fork and snapshot as a client asks for them: what reaches the machine, what
 * is refused before, and how either ends.
 */
#include "tests/unit/vmm_control_bed.h"

#define CHILD                                                                                      \
	"\"name\":\"a\",\"control\":\"/c\",\"vsock\":\"/v\",\"report\":\"/r\",\"console\":\"/o\"," \
	"\"log\":\"/l\""
#define OF_64_BYTES "0123456789012345678901234567890123456789012345678901234567890123"
#define FORK(children_) "{\"id\":5,\"verb\":\"fork\",\"children\":[" children_ "]}"

static void finish_copy(struct bed *bed, const struct copy_result *result)
{
	copy_done *done = machine.copy_done;

	assert_non_null(done);
	machine.copy_done = NULL;
	done(machine.done_arg, result);
	rounds(bed, 2);
}

static bool is_said(const char *text, const char *expected)
{
	return expected ? text && strcmp(text, expected) == 0 : !text;
}

/* --- fork ------------------------------------------------------------------------------------ */

static void test_fork(void **state)
{
	struct bed *bed = *state;
	const pid_t pids[] = { 4711, 4712 };
	const struct copy_result result = { .pids = pids, .pid_count = 2, .pause_ns = 1234567 };

	bed->config.net.kind = NET_TAP;
	join(bed, 0);
	say(bed, 0,
	    FORK("{" CHILD ",\"ttl_s\":60,\"net\":\"stream:/s\"},"
	         "{\"name\":\"b\",\"control\":\"/2/c\",\"vsock\":\"/2/v\",\"report\":\"/2/r\","
	         "\"console\":\"/2/o\",\"log\":\"/2/l\"}"));
	expect_nothing(bed, 0);
	assert_int_equal(machine.plan_count, 2);
	const struct clone_plan *plan = &machine.plans[0];
	assert_string_equal(plan->name, "a");
	assert_string_equal(plan->control, "/c");
	assert_string_equal(plan->vsock, "/v");
	assert_string_equal(plan->report, "/r");
	assert_string_equal(plan->console, "/o");
	assert_string_equal(plan->log, "/l");
	assert_string_equal(plan->net, "stream:/s");
	assert_int_equal(plan->ttl_s, 60);
	plan = &machine.plans[1];
	assert_string_equal(plan->name, "b");
	assert_string_equal(plan->console, "/2/o");
	assert_null(plan->net);
	assert_int_equal(plan->ttl_s, 0);

	finish_copy(bed, &result);
	json_t *reply = granted(bed, 0), *expected = json_pack("[i,i]", pids[0], pids[1]);
	assert_int_equal(number(reply, "id"), 5);
	assert_int_equal(number(reply, "pause_us"), 1234);
	assert_true(json_equal(json_object_get(reply, "pids"), expected));
	json_decref(expected);
	json_decref(reply);
}

static void test_forks_that_are_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "{\"id\":5,\"verb\":\"fork\"}", "1 to 64" },
		{ "{\"id\":5,\"verb\":\"fork\",\"children\":{}}", "1 to 64" },
		{ FORK(""), "1 to 64" },
		{ FORK("7"), "'name'" },
		{ FORK("{}"), "'name'" },
		{ FORK("{\"name\":\"\"}"), "'name'" },
		{ FORK("{\"name\":7}"), "'name'" },
		{ FORK("{\"name\":\"" OF_64_BYTES "\"}"), "'name'" },
		{ FORK("{\"name\":\"a\"}"), "absolute paths" },
		{ FORK("{\"name\":\"a\",\"control\":\"c\",\"vsock\":\"/v\",\"report\":\"/r\","
		       "\"console\":\"/o\",\"log\":\"/l\"}"),
		  "absolute paths" },
		{ FORK("{\"name\":\"a\",\"control\":\"/c\",\"vsock\":\"\",\"report\":\"/r\","
		       "\"console\":\"/o\",\"log\":\"/l\"}"),
		  "absolute paths" },
		{ FORK("{\"name\":\"a\",\"control\":\"/c\",\"vsock\":\"/v\",\"report\":null,"
		       "\"console\":\"/o\",\"log\":\"/l\"}"),
		  "absolute paths" },
		{ FORK("{\"name\":\"a\",\"control\":\"/c\",\"vsock\":\"/v\",\"report\":\"/r\","
		       "\"console\":\"-\",\"log\":\"/l\"}"),
		  "absolute paths" },
		{ FORK("{\"name\":\"a\",\"control\":\"/c\",\"vsock\":\"/v\",\"report\":\"/r\","
		       "\"console\":\"/o\",\"log\":[\"/l\"]}"),
		  "absolute paths" },
		{ FORK("{" CHILD ",\"ttl_s\":0}"), "'ttl_s'" },
		{ FORK("{" CHILD ",\"ttl_s\":-1}"), "'ttl_s'" },
		{ FORK("{" CHILD ",\"ttl_s\":31536001}"), "'ttl_s'" },
		{ FORK("{" CHILD ",\"ttl_s\":1.5}"), "'ttl_s'" },
		{ FORK("{" CHILD ",\"ttl_s\":\"60\"}"), "'ttl_s'" },
		{ FORK("{" CHILD ",\"net\":7}"), "'net'" },
		{ FORK("{" CHILD ",\"net\":\"\"}"), "'net'" },
		{ FORK("{" CHILD ",\"net\":\"tap:\"}"), "'net'" },
		{ FORK("{" CHILD ",\"net\":\"user\"}"), "'net'" },
		{ FORK("{" CHILD ",\"net\":\"tap-fd:5\"}"), "'net'" },
		{ FORK("{" CHILD ",\"net\":\"tap:t0\"}"), "no network card" },
		/* All or nothing. */
		{ FORK("{" CHILD ",\"ttl_s\":9},{" CHILD ",\"ttl_s\":7},{\"name\":\"c\"}"),
		  "absolute paths" },
	};
	struct bed *bed = *state;

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		refused(bed, rows[i].text, "bad_request", rows[i].words);
		assert_row(rows[i].text, !machine.plans);
	}
}

static void test_fork_of_many(void **state)
{
	struct bed *bed = *state;
	json_t *children = json_array(), *request;

	join(bed, 0);
	for (unsigned i = 0; i < COPY_CLONES_MAX; i++)
		json_array_append_new(children, json_loads("{" CHILD "}", 0, NULL));
	request = json_pack("{s:i,s:s,s:O}", "id", 1, "verb", "fork", "children", children);
	char *text = json_dumps(request, 0);
	say(bed, 0, text);
	expect_nothing(bed, 0);
	assert_int_equal(machine.plan_count, COPY_CLONES_MAX);
	finish_copy(bed, &(struct copy_result){ .pids = NULL });
	json_decref(granted(bed, 0));
	free(text);
	json_decref(request);
	forget_copies();

	json_array_append_new(children, json_loads("{" CHILD "}", 0, NULL));
	request = json_pack("{s:i,s:s,s:o}", "id", 2, "verb", "fork", "children", children);
	text = json_dumps(request, 0);
	refused(bed, text, "bad_request", "1 to 64");
	assert_null(machine.plans);
	free(text);
	json_decref(request);
}

/* --- snapshot -------------------------------------------------------------------------------- */

/* The descriptor that reaches the machine is the one that came along, not another. */
static void check_descriptor(int fd, int other_end)
{
	char byte = 0;

	assert_true(fd >= 3);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(other_end, &byte, 1), 1);
	assert_int_equal(byte, 'x');
}

static void test_snapshot(void **state)
{
	static const struct {
		const char *text, *path, *parent;
	} rows[] = {
		{ "{\"id\":6,\"verb\":\"snapshot\",\"path\":\"/s\"}", "/s", NULL },
		{ "{\"id\":7,\"verb\":\"snapshot\",\"path\":\"/s/2\",\"parent\":\"/s/1\"}", "/s/2",
		  "/s/1" },
	};
	struct bed *bed = *state;
	const pid_t pid = 4711;
	const struct copy_result result = {
		.pids = &pid, .pid_count = 1, .pause_ns = 999, .id = { { 0xab, 1 } }
	};

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int pipe_fds[2];

		assert_int_equal(pipe(pipe_fds), 0);
		say_with_fd(bed, rows[i].text, pipe_fds[1]);
		close(pipe_fds[1]);
		expect_nothing(bed, 0);
		assert_row(rows[i].text, is_said(machine.path, rows[i].path));
		assert_row(rows[i].text, is_said(machine.parent, rows[i].parent));
		check_descriptor(machine.progress_fd, pipe_fds[0]);
		finish_copy(bed, &result);
		json_t *reply = granted(bed, 0);
		assert_int_equal(number(reply, "id"), 6 + i);
		assert_int_equal(number(reply, "pid"), pid);
		assert_int_equal(number(reply, "pause_us"), 0);
		assert_string_equal(json_string_value(json_object_get(reply, "snapshot")),
		                    "ab010000000000000000000000000000");
		json_decref(reply);
		forget_copies();
		/* Nobody else holds the other end. */
		char byte;
		assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
		close(pipe_fds[0]);
	}
}

static void test_snapshots_that_are_wrong(void **state)
{
	static const struct {
		const char *text;
		bool with_fd;
		const char *words;
	} rows[] = {
		{ "{\"id\":5,\"verb\":\"snapshot\",\"path\":\"/s\"}", false, "descriptor" },
		{ "{\"id\":5,\"verb\":\"snapshot\"}", true, "'path'" },
		{ "{\"id\":5,\"verb\":\"snapshot\",\"path\":\"s\"}", true, "'path'" },
		{ "{\"id\":5,\"verb\":\"snapshot\",\"path\":7}", true, "'path'" },
		{ "{\"id\":5,\"verb\":\"snapshot\",\"path\":\"/s\",\"parent\":\"s\"}", true,
		  "'parent'" },
		{ "{\"id\":5,\"verb\":\"snapshot\",\"path\":\"/s\",\"parent\":null}", true,
		  "'parent'" },
	};
	struct bed *bed = *state;
	char byte;

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int pipe_fds[2];

		assert_int_equal(pipe(pipe_fds), 0);
		say_with_fd(bed, rows[i].text, rows[i].with_fd ? pipe_fds[1] : -1);
		close(pipe_fds[1]);
		json_t *reply = heard(bed, 0);
		expect_error(reply, rows[i].text, "bad_request", rows[i].words);
		json_decref(reply);
		assert_row(rows[i].text, !machine.path);
		/* The descriptor isn't kept. */
		assert_row(rows[i].text, read(pipe_fds[0], &byte, 1) == 0);
		close(pipe_fds[0]);
	}
}

/* --- both ------------------------------------------------------------------------------------ */

static void test_copies_that_fail(void **state)
{
	struct bed *bed = *state;
	struct copy_result result = { .pause_ns = 5 };

	error_set(&result.err, -ENOTSUP, "this session has a writable disk");
	join(bed, 0);
	say(bed, 0, FORK("{" CHILD "}"));
	finish_copy(bed, &result);
	json_t *reply = heard(bed, 0);
	expect_error(reply, "fork", "failed", "writable disk");
	assert_null(json_object_get(reply, "pids"));
	json_decref(reply);
	say_with_fd(bed, "{\"id\":6,\"verb\":\"snapshot\",\"path\":\"/s\"}", 0);
	finish_copy(bed, &result);
	reply = heard(bed, 0);
	expect_error(reply, "snapshot", "failed", "writable disk");
	assert_null(json_object_get(reply, "snapshot"));
	json_decref(reply);
}

/* Whoever has left isn't answered; the copy is made all the same. */
static void test_client_leaves_meanwhile(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, FORK("{" CHILD "}"));
	wire_conn_finish(&bed->clients[0]);
	bed->clients[0] = (struct wire_conn){ .fd = -1 };
	rounds(bed, 2);
	join(bed, 1);
	finish_copy(bed, &(struct copy_result){ .pids = NULL });
	expect_nothing(bed, 1);
}

static void test_too_much_under_way(void **state)
{
	struct bed *bed = *state;
	char byte, text[64];
	int pipe_fds[2];

	bed->config.net.kind = NET_TAP;
	join(bed, 0);
	for (int i = 1; i <= 32; i++) {
		snprintf(text, sizeof(text), "{\"id\":%d,\"verb\":\"wait\",\"for\":\"agent\"}", i);
		say(bed, 0, text);
	}
	refused(bed, FORK("{" CHILD ",\"net\":\"tap:t0\"}"), "busy", "wait for some to end");
	assert_null(machine.plans);
	assert_int_equal(pipe(pipe_fds), 0);
	say_with_fd(bed, "{\"id\":6,\"verb\":\"snapshot\",\"path\":\"/s\",\"parent\":\"/t\"}",
	            pipe_fds[1]);
	close(pipe_fds[1]);
	json_t *reply = heard(bed, 0);
	expect_error(reply, "snapshot", "busy", "wait for some to end");
	json_decref(reply);
	assert_null(machine.path);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

int main(void)
{
#define COPIES_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		COPIES_TEST(test_fork),
		COPIES_TEST(test_forks_that_are_wrong),
		COPIES_TEST(test_fork_of_many),
		COPIES_TEST(test_snapshot),
		COPIES_TEST(test_snapshots_that_are_wrong),
		COPIES_TEST(test_copies_that_fail),
		COPIES_TEST(test_client_leaves_meanwhile),
		COPIES_TEST(test_too_much_under_way),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
