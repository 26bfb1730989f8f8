/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_agent.c - the VMM's end of the agent channel: questions, answers, what a copy's agent is told
 * before anything else, and what an event may say.
 *
 * The guest is a socket. Wraps ioctl (vmm_fake_kvm.h), and clock_gettime so that time passes when a test
 * says so.
 */
#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "lib/wire.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "vmm/agent.h"
#include "vmm/agent_event.h"

static uint64_t time_passed_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *out_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time)
{
	int ret = __real_clock_gettime(clock, out_time);

	out_time->tv_sec += (time_t)(time_passed_ns / NS_PER_S);
	return ret;
}

struct bed {
	struct loop *loop;
	struct agent *agent;
	int guest;
	unsigned events, lost, ended, acknowledged;
	const char *greeting; /* what a new channel's agent is told; NULL: nothing */
	unsigned lost_before; /* .lost when the last event came */
	bool ask_at_end;
	char code[32]; /* of the last answer's error */
	char heard[512];
};

static void on_event(void *arg, const char *name, const json_t *event)
{
	struct bed *bed = arg;

	assert_string_equal(json_string_value(json_object_get(event, "event")), name);
	bed->events++;
	bed->lost_before = bed->lost;
}

static json_t *on_greeting(void *arg)
{
	const struct bed *bed = arg;

	return bed->greeting ? json_loads(bed->greeting, 0, NULL) : NULL;
}

static void on_acknowledged(void *arg)
{
	((struct bed *)arg)->acknowledged++;
}

static void on_lost(void *arg)
{
	((struct bed *)arg)->lost++;
}

static int connect_guest(struct bed *bed)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -1;
	bed->guest = pair[0];
	agent_accept(bed->agent, pair[1]);
	return 0;
}

static int set_up(void **state, const char *greeting)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	const struct agent_handlers handlers = { bed, on_event, on_lost, on_greeting,
		                                 on_acknowledged };

	if (!bed)
		return -1;
	time_passed_ns = 0;
	bed->greeting = greeting;
	*state = bed;
	return loop_create(&bed->loop) || agent_create(bed->loop, &handlers, &bed->agent) ||
	       connect_guest(bed);
}

static int setup(void **state)
{
	return set_up(state, NULL);
}

static int setup_copy(void **state)
{
	return set_up(state, "{\"verb\":\"generation\",\"generation\":\"0f\"}");
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	agent_destroy(bed->agent);
	close_fd(&bed->guest);
	loop_destroy(bed->loop);
	free(bed);
	return 0;
}

static void say(struct bed *bed, const char *text)
{
	assert_int_equal(write(bed->guest, text, strlen(text)), strlen(text));
	fake_kvm_rounds(bed->loop, 1);
}

static void on_done(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	struct bed *bed = arg;
	const char *code =
		json_string_value(json_object_get(json_object_get(reply, "error"), "code"));

	(void)blob;
	(void)blob_size;
	bed->ended++;
	snprintf(bed->code, sizeof(bed->code), "%s", code ? code : "");
	if (!bed->ask_at_end)
		return;
	bed->ask_at_end = false;
	json_t *request = json_pack("{s:s}", "verb", "clock");
	agent_request(bed->agent, request, NULL, 0, 1000, on_done, bed);
	json_decref(request);
}

static void ask(struct bed *bed)
{
	json_t *request = json_pack("{s:s}", "verb", "clock");

	agent_request(bed->agent, request, NULL, 0, 1000, on_done, bed);
	json_decref(request);
}

#define HELLO                                                                                      \
	"{\"event\":\"hello\",\"protocol\":1,\"agent\":\"0.1\",\"kernel\":\"6.12\",\"root\":"      \
	"false}\n"

static void test_question_and_answer(void **state)
{
	struct bed *bed = *state;

	ask(bed);
	assert_string_equal(bed->code, PROTO_ERR_NOT_READY);
	say(bed, HELLO);
	assert_int_equal(bed->events, 1);
	ask(bed);
	assert_int_equal(bed->ended, 1);
	say(bed, "{\"id\":1,\"ok\":true}\n{\"id\":1,\"ok\":true}\n{\"id\":7,\"ok\":true}\n");
	assert_int_equal(bed->ended, 2);
	assert_string_equal(bed->code, "");
}

static void test_another_version(void **state)
{
	struct bed *bed = *state;

	say(bed, "{\"event\":\"hello\",\"protocol\":2}\n");
	assert_int_equal(bed->lost, 1);
	assert_int_equal(bed->events, 0);
	assert_null(agent_hello(bed->agent));
}

static void test_end_asks_again(void **state)
{
	struct bed *bed = *state;

	say(bed, HELLO);
	ask(bed);
	bed->ask_at_end = true;
	close_fd(&bed->guest);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(bed->ended, 2);
	assert_string_equal(bed->code, PROTO_ERR_NOT_READY);
	assert_int_equal(bed->lost, 1);
}

/* Who is told at the very end may ask again, and is told again. */
static void test_destroy_asks_again(void **state)
{
	struct bed *bed = *state;

	say(bed, HELLO);
	ask(bed);
	bed->ask_at_end = true;
	agent_destroy(bed->agent);
	bed->agent = NULL;
	assert_int_equal(bed->ended, 2);
	assert_string_equal(bed->code, PROTO_ERR_NOT_READY);
	assert_int_equal(bed->lost, 0);
}

/* --- what a copy's agent is told first ------------------------------------------------------- */

/* What the VMM has sent since the last call. */
static const char *hear(struct bed *bed)
{
	ssize_t n = read(bed->guest, bed->heard, sizeof(bed->heard) - 1);

	bed->heard[n > 0 ? n : 0] = '\0';
	return bed->heard;
}

/* The VMM has asked for an acknowledgement, of this id, and for nothing else. */
static void expect_greeting(struct bed *bed, json_int_t id)
{
	json_t *heard = json_loads(hear(bed), 0, NULL);

	assert_non_null(heard);
	assert_string_equal(json_string_value(json_object_get(heard, "verb")), "generation");
	assert_string_equal(json_string_value(json_object_get(heard, "generation")), "0f");
	assert_int_equal(json_integer_value(json_object_get(heard, "id")), id);
	json_decref(heard);
}

static void connect_again(struct bed *bed)
{
	close_fd(&bed->guest);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(connect_guest(bed), 0);
}

static void test_copy_acknowledges(void **state)
{
	struct bed *bed = *state;

	say(bed, HELLO);
	assert_int_equal(bed->events, 1);
	expect_greeting(bed, 1);
	/* Nothing goes to the guest meanwhile; what it says of itself is heard. */
	ask(bed);
	assert_string_equal(bed->code, PROTO_ERR_NOT_READY);
	assert_int_equal(bed->ended, 1);
	assert_string_equal(hear(bed), "");
	say(bed, "{\"event\":\"ready\",\"stage\":\"agent\"}\n");
	assert_int_equal(bed->events, 2);
	say(bed, "{\"id\":2,\"ok\":true}\n");
	assert_int_equal(bed->acknowledged, 0);

	say(bed, "{\"id\":1,\"ok\":true,\"announced\":1}\n");
	assert_int_equal(bed->acknowledged, 1);
	ask(bed);
	assert_int_equal(bed->ended, 1);
	say(bed, "{\"id\":1,\"ok\":true}\n{\"id\":2,\"ok\":true}\n");
	assert_int_equal(bed->ended, 2);
	assert_string_equal(bed->code, "");
	assert_int_equal(bed->acknowledged, 1);
	/* The next channel's agent has nothing to acknowledge. */
	bed->greeting = NULL;
	connect_again(bed);
	say(bed, HELLO);
	assert_string_equal(hear(bed), "");
	ask(bed);
	say(bed, "{\"id\":3,\"ok\":true}\n");
	assert_int_equal(bed->ended, 3);
	assert_string_equal(bed->code, "");
}

/* Not acknowledged, in each of its ways: the channel is closed, and whoever connects next is asked anew. */
static void test_copy_does_not_acknowledge(void **state)
{
	static const struct {
		const char *name, *answer; /* NULL: none */
		unsigned wait_s;
	} rows[] = {
		{ "an error", ",\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"no\"}",
		  0 },
		{ "an error without a reason", ",\"ok\":false", 0 },
		{ "an answer that isn't ok", "", 0 },
		{ "ok that is no boolean", ",\"ok\":1", 0 },
		{ "silence", NULL, 63 },
		{ "it leaves", NULL, 0 },
	};
	struct bed *bed = *state;
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int id = (int)i + 1;

		say(bed, HELLO);
		expect_greeting(bed, id);
		ask(bed);
		assert_row(rows[i].name, strcmp(bed->code, PROTO_ERR_NOT_READY) == 0);
		time_passed_ns += rows[i].wait_s * NS_PER_S;
		snprintf(text, sizeof(text), "{\"id\":%d%s}\n", id,
		         rows[i].answer ? rows[i].answer : "");
		say(bed, rows[i].answer ? text : "");
		/* Closed by the VMM, unless the guest is about to. */
		if (rows[i].answer || rows[i].wait_s)
			assert_row(rows[i].name, read(bed->guest, text, sizeof(text)) == 0);
		connect_again(bed);
		assert_row(rows[i].name, bed->lost == i + 1);
		assert_row(rows[i].name, bed->acknowledged == 0);
	}
	say(bed, HELLO);
	expect_greeting(bed, ARRAY_SIZE(rows) + 1);
	snprintf(text, sizeof(text), "{\"id\":%zu,\"ok\":true}\n", ARRAY_SIZE(rows) + 1);
	say(bed, text);
	assert_int_equal(bed->acknowledged, 1);
	assert_int_equal(bed->lost, ARRAY_SIZE(rows));
}

/* Somewhat less than the time it has: an agent that has much to read is waited for. */
static void test_copy_is_slow(void **state)
{
	struct bed *bed = *state;

	say(bed, HELLO);
	time_passed_ns += 59 * NS_PER_S;
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(bed->lost, 0);
	say(bed, "{\"id\":1,\"ok\":true}\n");
	assert_int_equal(bed->acknowledged, 1);
}

/* It has gone before it could be asked: nobody hears of it behind the news that it is lost. */
static void test_copy_leaves_at_once(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(write(bed->guest, HELLO, strlen(HELLO)), strlen(HELLO));
	close_fd(&bed->guest);
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(bed->lost, 1);
	assert_int_equal(bed->lost_before, 0);
	assert_int_equal(bed->acknowledged, 0);
	assert_null(agent_hello(bed->agent));
	assert_int_equal(connect_guest(bed), 0);
	say(bed, HELLO);
	assert_non_null(strstr(hear(bed), "generation"));
}

/* The session ends before it has answered. */
static void test_copy_is_destroyed(void **state)
{
	struct bed *bed = *state;

	say(bed, HELLO);
	agent_destroy(bed->agent);
	bed->agent = NULL;
	assert_int_equal(bed->acknowledged, 0);
	assert_int_equal(bed->lost, 0);
}

/* --- events ---------------------------------------------------------------------------------- */

/* However much a guest says of itself, what goes on to others is short and of the right types. */
static void test_hello_is_reduced(void **state)
{
	struct bed *bed = *state;
	char line[4096], *long_name = calloc(1, 3000);

	assert_non_null(long_name);
	memset(long_name, 'x', 2999);
	snprintf(line, sizeof(line),
	         "{\"event\":\"hello\",\"protocol\":1,\"kernel\":\"%s\",\"more\":[[]]}\n",
	         long_name);
	free(long_name);
	say(bed, line);
	const json_t *hello = agent_hello(bed->agent);
	assert_non_null(hello);
	assert_int_equal(json_object_size(hello), 2);
	assert_int_equal(json_integer_value(json_object_get(hello, "protocol")), 1);
}

static void test_events(void **state)
{
	static const struct {
		const char *said, *left; /* left NULL: no event at all */
	} rows[] = {
		{ "{\"event\":\"died\",\"process\":\"xvfb\",\"signal\":9,\"boot_ms\":5}",
		  "{\"event\":\"died\",\"process\":\"xvfb\",\"signal\":9,\"boot_ms\":5}" },
		{ "{\"event\":\"died\",\"process\":[\"xvfb\"],\"exit\":\"1\"}",
		  "{\"event\":\"died\"}" },
		{ "{\"event\":\"died\",\"process\":\"a\\u001b[2Jb\"}", "{\"event\":\"died\"}" },
		{ "{\"event\":\"died\",\"process\":\"a\\u00e9b\"}", "{\"event\":\"died\"}" },
		{ "{\"event\":\"ready\",\"stage\":\"agent\",\"boot_ms\":1.5,\"root\":true}",
		  "{\"event\":\"ready\",\"stage\":\"agent\"}" },
		{ "{\"event\":\"hello\",\"root\":1}", "{\"event\":\"hello\"}" },
		{ "{\"event\":\"other\"}", NULL },
		{ "{\"event\":7}", NULL },
		{ "{}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *said = json_loads(rows[i].said, 0, NULL);
		json_t *left = rows[i].left ? json_loads(rows[i].left, 0, NULL) : NULL;
		json_t *got = agent_event_reduce(said);

		assert_row(rows[i].said, said && !got == !left);
		assert_row(rows[i].said, !left || json_equal(got, left));
		json_decref(said);
		json_decref(left);
		json_decref(got);
	}
}

int main(void)
{
#define AGENT_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
#define COPY_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup_copy, teardown)
	const struct CMUnitTest tests[] = {
		AGENT_TEST(test_question_and_answer), AGENT_TEST(test_another_version),
		AGENT_TEST(test_end_asks_again),      AGENT_TEST(test_destroy_asks_again),
		COPY_TEST(test_copy_acknowledges),    COPY_TEST(test_copy_does_not_acknowledge),
		COPY_TEST(test_copy_is_slow),         COPY_TEST(test_copy_leaves_at_once),
		COPY_TEST(test_copy_is_destroyed),    AGENT_TEST(test_hello_is_reduced),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
