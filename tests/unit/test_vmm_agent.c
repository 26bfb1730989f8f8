/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_agent.c - the VMM's end of the agent channel, and what an event may say.
 *
 * The guest is a socket. Wraps ioctl (vmm_fake_kvm.h).
 */
#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "vmm/agent.h"
#include "vmm/agent_event.h"

struct bed {
	struct loop *loop;
	struct agent *agent;
	int guest;
	unsigned events, lost, ended;
	bool ask_at_end;
	char code[32]; /* of the last answer's error */
};

static void on_event(void *arg, const char *name, const json_t *event)
{
	struct bed *bed = arg;

	assert_string_equal(json_string_value(json_object_get(event, "event")), name);
	bed->events++;
}

static void on_lost(void *arg)
{
	((struct bed *)arg)->lost++;
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	const struct agent_handlers handlers = { bed, on_event, on_lost, NULL, NULL };
	int pair[2];

	if (!bed || loop_create(&bed->loop) || agent_create(bed->loop, &handlers, &bed->agent) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -1;
	bed->guest = pair[0];
	agent_accept(bed->agent, pair[1]);
	*state = bed;
	return 0;
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
	const struct CMUnitTest tests[] = {
		AGENT_TEST(test_question_and_answer), AGENT_TEST(test_another_version),
		AGENT_TEST(test_end_asks_again),      AGENT_TEST(test_destroy_asks_again),
		AGENT_TEST(test_hello_is_reduced),    cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
