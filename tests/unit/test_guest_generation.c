/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_generation.c - a clone hears of its new generation from the kernel's log, before or
 * after it is asked. The log is a socket pair that keeps records apart, as /dev/kmsg does.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/card.h"
#include "guest/channel.h"
#include "guest/generation.h"
#include "guest/machine.h"
#include "guest/verbs.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"

#define LINE "5,1234,56789012,-;random: crng reseeded due to virtual machine fork\n"
#define ID_A "00112233445566778899aabbccddeeff"
#define ID_B "ffeeddccbbaa99887766554433221100"
#define TIME_NS (INT64_C(1800000000) * 1000000000)

/* --- what the module calls --- */

static struct {
	int log[2]; /* [0] is the module's */
	int read_errno;
	bool no_log;
	int settime_errno;
	int64_t clock_ns; /* set to; 0: not */
	int card_ret;
	unsigned cards;
	uint8_t mac[CARD_MAC_SIZE];
	bool running; /* the loop */
	unsigned replies;
	json_t *members; /* of the latest reply; NULL: it was an error */
	char code[32];
} fake;

static struct agent agent;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
off_t __wrap_lseek(int fd, off_t offset, int whence);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
int __wrap_clock_settime(clockid_t id, const struct timespec *ts);
int __wrap_card_set_mac(const uint8_t mac[CARD_MAC_SIZE], struct error *err);

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/kmsg") != 0)
		return __real_open(path, flags, 0);
	assert_true(agent.init);
	assert_int_equal(flags, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fake.no_log) {
		errno = EPERM;
		return -1;
	}
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fake.log), 0);
	return fake.log[0];
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	assert_int_equal(fd, fake.log[0]);
	assert_int_equal(offset, 0);
	assert_int_equal(whence, SEEK_END);
	return 0;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
	if (fd == fake.log[0] && fake.read_errno) {
		errno = fake.read_errno;
		fake.read_errno = 0;
		return -1;
	}
	return __real_read(fd, data, size);
}

int __wrap_clock_settime(clockid_t id, const struct timespec *ts)
{
	assert_int_equal(id, CLOCK_REALTIME);
	if (fake.settime_errno) {
		errno = fake.settime_errno;
		return -1;
	}
	fake.clock_ns = ts->tv_sec * (int64_t)NS_PER_S + ts->tv_nsec;
	return 0;
}

int __wrap_card_set_mac(const uint8_t mac[CARD_MAC_SIZE], struct error *err)
{
	fake.cards++;
	memcpy(fake.mac, mac, CARD_MAC_SIZE);
	return fake.card_ret < 0 ? error_set(err, fake.card_ret, "no card") : 0;
}

static void answered(struct request *request, json_t *members, const char *code)
{
	assert_int_not_equal(request->id, 0);
	request->id = 0;
	json_decref(fake.members);
	fake.members = members;
	snprintf(fake.code, sizeof(fake.code), "%s", code);
	fake.replies++;
	if (fake.running)
		loop_stop(agent.loop);
}

void request_reply(struct request *request, json_t *members, const void *blob, size_t size)
{
	assert_null(blob);
	assert_int_equal(size, 0);
	assert_non_null(members);
	answered(request, members, "");
}

void request_fail(struct request *request, const char *code, const char *fmt, ...)
{
	assert_non_null(fmt);
	answered(request, NULL, code);
}

bool request_text(struct request *request, const char *name, bool required, const char **out_text)
{
	json_t *value = json_object_get(request->message.object, name);

	if (!value && !required)
		return true;
	if (json_is_string(value))
		*out_text = json_string_value(value);
	else
		request_fail(request, PROTO_ERR_BAD_REQUEST, "%s", name);
	return json_is_string(value);
}

bool request_number(struct request *request, const char *name, bool required, json_int_t min,
                    json_int_t max, json_int_t *out_number)
{
	json_t *value = json_object_get(request->message.object, name);
	bool good = json_is_integer(value) && json_integer_value(value) >= min &&
	            json_integer_value(value) <= max;

	assert_true(required);
	if (good)
		*out_number = json_integer_value(value);
	else
		request_fail(request, PROTO_ERR_BAD_REQUEST, "%s", name);
	return good;
}

/* --- the guest --- */

static int guest_start(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	log_init("agent", LOG_WARN);
	fake.log[0] = fake.log[1] = -1;
	agent = (struct agent){ .init = true };
	assert_int_equal(loop_create(&agent.loop), 0);
	assert_int_equal(generation_create(&agent, &agent.generation), 0);
	return 0;
}

static int guest_end(void **state)
{
	(void)state;
	generation_destroy(agent.generation);
	loop_destroy(agent.loop);
	json_decref(fake.members);
	if (fake.log[1] >= 0)
		close(fake.log[1]);
	return 0;
}

static void guest_restart(bool init, bool no_log)
{
	generation_destroy(agent.generation);
	if (fake.log[1] >= 0)
		close(fake.log[1]);
	fake.log[0] = fake.log[1] = -1;
	fake.no_log = no_log;
	agent.init = init;
	assert_int_equal(generation_create(&agent, &agent.generation), 0);
}

static void kernel_says(const char *record)
{
	assert_int_equal(send(fake.log[1], record, strlen(record), 0), strlen(record));
}

static struct request requests[4];

static struct request *ask_object(size_t slot, json_t *object)
{
	struct request *request = &requests[slot];

	json_decref(request->message.object);
	*request = (struct request){
		.agent = &agent,
		.id = 1,
		.message = { .object = object, .fd = -1 },
		.started_ns = clock_now_ns(),
	};
	verb_generation(&agent, request);
	return request;
}

static struct request *ask(size_t slot, const char *id)
{
	return ask_object(slot, json_pack("{s:s, s:s, s:I}", "generation", id, "session", "s",
	                                  "realtime_ns", (json_int_t)TIME_NS));
}

static void forget_requests(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		json_decref(requests[i].message.object);
		requests[i].message.object = NULL;
	}
}

static void time_is_up(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(agent.loop);
}

/* Runs the loop until there is one more reply, or for @ms. */
static void run(unsigned ms)
{
	struct loop_timer timer = { .active = false };

	loop_timer_set(agent.loop, &timer, clock_now_ns() + ms * NS_PER_MS, time_is_up);
	fake.running = true;
	assert_int_equal(loop_run(agent.loop), 0);
	fake.running = false;
	loop_timer_cancel(agent.loop, &timer);
}

#define assert_answered(count, wanted)                                                             \
	do {                                                                                       \
		assert_int_equal(fake.replies, (count));                                           \
		assert_string_equal(fake.code, (wanted));                                          \
	} while (0)

static void assert_announced(json_int_t count)
{
	assert_int_equal(json_integer_value(json_object_get(fake.members, "announced")), count);
	assert_true(json_integer_value(json_object_get(fake.members, "realtime_ns")) > 0);
}

/* --- tests --- */

static void test_record(void **state)
{
	static const struct {
		const char *record;
		bool announced;
	} rows[] = {
		{ LINE, true },
		{ "0,0,0,-;random: crng reseeded due to virtual machine fork\n", true },
		{ "7,1,2,-,caller=T1;random: crng reseeded due to virtual machine fork\n", true },
		{ "5,1,2,-;random: crng reseeded due to virtual machine fork\n SUBSYSTEM=x\n",
		  true },
		/* A program's: facility 1 and up. */
		{ "13,1,2,-;random: crng reseeded due to virtual machine fork\n", false },
		{ "8,1,2,-;random: crng reseeded due to virtual machine fork\n", false },
		{ "05,1,2,-;random: crng reseeded due to virtual machine fork\n", false },
		{ "-5,1,2,-;random: crng reseeded due to virtual machine fork\n", false },
		{ ",1,2,-;random: crng reseeded due to virtual machine fork\n", false },
		/* Other words, and more of them. */
		{ "5,1,2,-;random: crng init done\n", false },
		{ "5,1,2,-;random: crng reseeded due to virtual machine fork", false },
		{ "5,1,2,-;random: crng reseeded due to virtual machine fork!\n", false },
		{ "5,1,2,-;random: crng reseeded due to virtual machine fork\\x0a\n", false },
		{ "5,1,2,-; random: crng reseeded due to virtual machine fork\n", false },
		{ "5,1,2,-;x;random: crng reseeded due to virtual machine fork\n", false },
		{ "5,1,2,-;\n KEY=;random: crng reseeded due to virtual machine fork\n", false },
		/* Pieces. */
		{ "", false },
		{ "5", false },
		{ "5,", false },
		{ ";", false },
		{ "5;", false },
		{ "5,;", false },
		{ "5,1,2,-;", false },
		{ "5,1,2,-;random: crng", false },
		{ "random: crng reseeded due to virtual machine fork\n", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* In memory of just that size, for the sanitizer to see. */
		size_t size = strlen(rows[i].record);
		char *record = malloc(size + !size);

		assert_non_null(record);
		memcpy(record, rows[i].record, size);
		assert_row(rows[i].record,
		           generation_is_announced(record, size) == rows[i].announced);
		free(record);
	}
	/* Cut anywhere, it is none; zeros in it don't end it. */
	for (size_t size = 0; size < sizeof(LINE) - 1; size++)
		assert_false(generation_is_announced(LINE, size));
	assert_false(generation_is_announced("5,1\0,-;random: crng", 19));
}

static void test_line_comes_first(void **state)
{
	(void)state;
	kernel_says("6,1,2,-;something else\n");
	kernel_says(LINE);
	kernel_says("6,3,4,-;something else\n");
	ask(0, ID_A);
	assert_answered(1, "");
	assert_announced(1);
	assert_true(fake.clock_ns >= TIME_NS && fake.clock_ns < TIME_NS + (int64_t)NS_PER_S * 60);
	assert_int_equal(fake.cards, 0);
}

static void test_line_comes_later(void **state)
{
	struct request *request;

	(void)state;
	request = ask(0, ID_A);
	assert_int_equal(fake.replies, 0);
	assert_non_null(request->cancel);
	assert_non_null(request->waiting_for);
	run(20);
	kernel_says("6,1,2,-;something else\n");
	run(20);
	assert_int_equal(fake.replies, 0);
	assert_int_equal(fake.clock_ns, 0);
	kernel_says(LINE);
	run(10000);
	assert_answered(1, "");
	assert_announced(1);
	/* What has gone by meanwhile is part of the time. */
	assert_true(fake.clock_ns >= TIME_NS + 40 * (int64_t)NS_PER_MS);
}

static void test_line_counts_once(void **state)
{
	(void)state;
	kernel_says(LINE);
	ask(0, ID_A);
	assert_answered(1, "");
	ask(1, ID_B);
	run(20);
	assert_int_equal(fake.replies, 1);
	kernel_says(LINE);
	run(10000);
	assert_answered(2, "");
	assert_announced(1);
}

static void test_same_id_again(void **state)
{
	char upper[] = ID_A;

	(void)state;
	kernel_says(LINE);
	ask(0, ID_A);
	assert_answered(1, "");
	fake.clock_ns = 0;
	for (char *p = upper; *p; p++)
		if (*p >= 'a')
			*p = (char)(*p - 'a' + 'A');
	ask(1, upper);
	assert_answered(2, "");
	assert_announced(0);
	assert_true(fake.clock_ns >= TIME_NS);
	/* The one before isn't the same again. */
	kernel_says(LINE);
	ask(2, ID_B);
	assert_answered(3, "");
	ask(3, ID_A);
	assert_int_equal(fake.replies, 3);
	requests[3].cancel(&requests[3]);
}

static void test_lost_while_waiting(void **state)
{
	struct request *request;

	(void)state;
	request = ask(0, ID_A);
	request->cancel(request);
	kernel_says(LINE);
	run(20);
	assert_int_equal(fake.replies, 0);
	ask(1, ID_A);
	assert_answered(1, "");
	assert_announced(1);
}

static void test_one_at_a_time(void **state)
{
	(void)state;
	ask(0, ID_A);
	ask(1, ID_B);
	assert_answered(1, PROTO_ERR_BUSY);
	kernel_says(LINE);
	run(10000);
	assert_answered(2, "");
	assert_int_equal(requests[0].id, 0);
}

static void test_log_that_is_overwritten(void **state)
{
	(void)state;
	kernel_says(LINE);
	fake.read_errno = EPIPE;
	ask(0, ID_A);
	assert_answered(1, "");
	ask(1, ID_B);
	fake.read_errno = EPIPE;
	kernel_says(LINE);
	run(10000);
	assert_answered(2, "");
}

static void test_log_that_fails(void **state)
{
	(void)state;
	fake.read_errno = EIO;
	ask(0, ID_A);
	assert_answered(1, PROTO_ERR_FAILED);
	ask(0, ID_A);
	fake.read_errno = EIO;
	kernel_says("6,1,2,-;something else\n");
	run(10000);
	assert_answered(2, PROTO_ERR_FAILED);
	ask(0, ID_A);
	shutdown(fake.log[1], SHUT_WR);
	run(10000);
	assert_answered(3, PROTO_ERR_FAILED);
	guest_restart(true, true);
	ask(0, ID_A);
	assert_answered(4, PROTO_ERR_FAILED);
	assert_int_equal(fake.clock_ns, 0);
}

static void test_clock_and_card_fail(void **state)
{
	static const uint8_t mac[CARD_MAC_SIZE] = { 0x02, 0x12, 0x34, 0x56, 0x78, 0x9a };

	(void)state;
	kernel_says(LINE);
	fake.settime_errno = EPERM;
	ask(0, ID_A);
	assert_answered(1, PROTO_ERR_FAILED);
	fake.settime_errno = 0;
	/* The line hasn't been used up by a failure. */
	fake.card_ret = -ENODEV;
	ask_object(0, json_pack("{s:s, s:s, s:I, s:s}", "generation", ID_A, "session", "s",
	                        "realtime_ns", (json_int_t)TIME_NS, "mac", "02:12:34:56:78:9a"));
	assert_answered(2, PROTO_ERR_FAILED);
	fake.card_ret = 0;
	ask_object(0, json_pack("{s:s, s:s, s:I, s:s}", "generation", ID_A, "session", "s",
	                        "realtime_ns", (json_int_t)TIME_NS, "mac", "02:12:34:56:78:9a"));
	assert_answered(3, "");
	assert_int_equal(fake.cards, 2);
	assert_memory_equal(fake.mac, mac, sizeof(mac));
}

/* As a process of a host it touches nothing: the wraps above would fail the test. */
static void test_not_in_a_guest(void **state)
{
	(void)state;
	guest_restart(false, false);
	ask_object(0, json_pack("{s:s, s:s, s:I, s:s}", "generation", ID_A, "session", "s",
	                        "realtime_ns", (json_int_t)TIME_NS, "mac", "02:12:34:56:78:9a"));
	assert_answered(1, "");
	assert_announced(0);
	ask(1, ID_B);
	assert_answered(2, "");
	assert_int_equal(fake.clock_ns, 0);
	assert_int_equal(fake.cards, 0);
}

static void test_bad_requests(void **state)
{
	static const char *const rows[] = {
		"{'id':1}",
		"{'session':'s','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':7,'session':'s','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'','session':'s','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'0011','session':'s','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'" ID_A "0','session':'s','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'0011223344556677 899aabbccddeeff','session':'s',"
		"'realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'0x112233445566778899aabbccddeeff','session':'s',"
		"'realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'" ID_A "','realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'" ID_A "','session':7,'realtime_ns':1800000000000000000}",
		"{'id':1,'generation':'" ID_A "','session':'s'}",
		"{'id':1,'generation':'" ID_A "','session':'s','realtime_ns':0}",
		"{'id':1,'generation':'" ID_A "','session':'s','realtime_ns':-1}",
		"{'id':1,'generation':'" ID_A "','session':'s','realtime_ns':9000000000000000000}",
		"{'id':1,'generation':'" ID_A
		"','session':'s','realtime_ns':'1800000000000000000'}",
		"{'id':1,'generation':'" ID_A
		"','session':'s','realtime_ns':1800000000000000000,'mac':7}",
		"{'id':1,'generation':'" ID_A
		"','session':'s','realtime_ns':1800000000000000000,'mac':''}",
		"{'id':1,'generation':'" ID_A "','session':'s','realtime_ns':1800000000000000000,"
		"'mac':'01:12:34:56:78:9a'}",
	};

	(void)state;
	kernel_says(LINE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[256];

		snprintf(text, sizeof(text), "%s", rows[i]);
		for (char *p = text; *p; p++)
			if (*p == '\'')
				*p = '"';
		ask_object(0, json_loads(text, 0, NULL));
		assert_row(rows[i], fake.replies == i + 1);
		assert_row(rows[i], !strcmp(fake.code, PROTO_ERR_BAD_REQUEST));
	}
	assert_int_equal(fake.clock_ns, 0);
	/* None of them has used up the line. */
	ask(0, ID_A);
	assert_string_equal(fake.code, "");
}

#define guest_test(name) cmocka_unit_test_setup_teardown(name, guest_start, guest_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),     guest_test(test_line_comes_first),
		guest_test(test_line_comes_later), guest_test(test_line_counts_once),
		guest_test(test_same_id_again),    guest_test(test_lost_while_waiting),
		guest_test(test_one_at_a_time),    guest_test(test_log_that_is_overwritten),
		guest_test(test_log_that_fails),   guest_test(test_clock_and_card_fail),
		guest_test(test_not_in_a_guest),   guest_test(test_bad_requests),
	};
	int failed = cmocka_run_group_tests_name("guest_generation", tests, NULL, NULL);

	forget_requests();
	return failed;
}
