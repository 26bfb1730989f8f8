/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_viewers.c - viewers over a real socket, and who of them may act. viewers.c and what it shows are under
 * test; the machine, its screen and its agent are played here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/wire.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/viewer_input.h"
#include "vmm/viewers.h"
#include "vmm/vm.h"

#define WIDTH 320u
#define HEIGHT 200u
#define PATIENCE_MS 30000
#define NAME "cloche: unit"

static struct machine {
	bool no_screen;
	unsigned listening, published;
	char steps[8192]; /* of all requests, one behind the other */
	agent_done *done; /* of the request under way; NULL: none */
	void *done_arg;
	bool refuses; /* the agent does, at once */
} machine;

static struct bed {
	struct vm vm;
	struct vm_config config;
	struct viewers *viewers;
	struct error err;
	char folder[32], path[64];
} bed;

/* --- the machine ----------------------------------------------------------------------------- */

bool screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
	(void)screen;
	*out_width = WIDTH;
	*out_height = HEIGHT;
	return !machine.no_screen;
}

int scan_add(struct scan *scan, struct scan_listener *listener)
{
	(void)scan;
	(void)listener;
	machine.listening++;
	return 0;
}

void scan_remove(struct scan *scan, struct scan_listener *listener)
{
	(void)scan;
	(void)listener;
	machine.listening--;
}

void scan_poke(struct scan *scan)
{
	(void)scan;
}

void control_publish(struct control *control, json_t *event)
{
	(void)control;
	machine.published++;
	json_decref(event);
}

void control_publish_action(struct control *control, const json_t *request, const char *by)
{
	(void)control;
	(void)request;
	assert_string_equal(by, "viewer");
}

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	size_t used = strlen(machine.steps);
	char *steps = json_dumps(json_object_get(request, "steps"), JSON_COMPACT);

	(void)agent;
	(void)blob;
	(void)blob_size;
	(void)timeout_ms;
	assert_string_equal(json_string_value(json_object_get(request, "verb")), "input");
	assert_null(machine.done);
	assert_true(used + strlen(steps) < sizeof(machine.steps));
	strcpy(machine.steps + used, steps);
	free(steps);
	if (machine.refuses) {
		json_t *reply = wire_reply_error(0, "not_ready", "no");

		done(arg, reply, NULL, 0);
		json_decref(reply);
		return;
	}
	machine.done = done;
	machine.done_arg = arg;
}

/* The agent has done what it was asked. */
static void answer(void)
{
	json_t *reply = json_pack("{s:b,s:i,s:i,s:i}", "ok", 1, "steps", 1, "x", 5, "y", 6);
	agent_done *done = machine.done;

	assert_non_null(done);
	machine.done = NULL;
	done(machine.done_arg, reply, NULL, 0);
	json_decref(reply);
}

/* --- the bed --------------------------------------------------------------------------------- */

struct stopper {
	struct loop_timer timer;
};

static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(bed.vm.loop);
}

static void run_once(void)
{
	struct stopper stopper = { 0 };

	loop_timer_set(bed.vm.loop, &stopper.timer, clock_now_ns() + NS_PER_MS, stop);
	assert_int_equal(loop_run(bed.vm.loop), 0);
}

#define run_until(condition)                                                                       \
	do {                                                                                       \
		uint64_t until_ = clock_now_ns() + PATIENCE_MS * NS_PER_MS;                        \
		while (!(condition)) {                                                             \
			run_once();                                                                \
			assert_true(clock_now_ns() < until_);                                      \
		}                                                                                  \
	} while (0)

static int setup(void **state)
{
	(void)state;
	machine = (struct machine){ 0 };
	bed = (struct bed){ .folder = "/tmp/unit.XXXXXX" };
	bed.config.name = "unit";
	bed.vm.config = &bed.config;
	assert_non_null(mkdtemp(bed.folder));
	snprintf(bed.path, sizeof(bed.path), "%s/vnc.sock", bed.folder);
	assert_int_equal(loop_create(&bed.vm.loop), 0);
	assert_int_equal(viewers_create(&bed.vm, bed.path, &bed.viewers, &bed.err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (machine.done)
		answer();
	viewers_destroy(bed.viewers);
	assert_int_equal(machine.listening, 0);
	assert_int_equal(access(bed.path, F_OK), -1);
	loop_destroy(bed.vm.loop);
	return rmdir(bed.folder);
}

static size_t count(void)
{
	json_t *all = viewers_describe(bed.viewers);
	size_t found = json_array_size(json_object_get(all, "viewers"));

	json_decref(all);
	return found;
}

static json_int_t holder(void)
{
	json_t *all = viewers_describe(bed.viewers);
	json_int_t number = json_integer_value(json_object_get(all, "holder"));

	json_decref(all);
	return number;
}

/* Reads as the loop runs. */
static void hear(int fd, size_t size)
{
	char byte;

	while (size > 0) {
		ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

		assert_true(n == 1 || (n < 0 && errno == EAGAIN));
		size -= n == 1;
		if (n < 0)
			run_once();
	}
}

static void say(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static int connect_one(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, bed.path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void introduce(int fd)
{
	hear(fd, 12);
	say(fd, "RFB 003.008\n", 12);
	hear(fd, 2);
	say(fd, "\1", 1);
	hear(fd, 4);
	say(fd, "\1", 1);
	hear(fd, 24 + sizeof(NAME) - 1);
}

/* One that has introduced itself. */
static int join(void)
{
	int fd = connect_one();

	introduce(fd);
	return fd;
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void press(int fd, char key, bool down)
{
	const uint8_t message[] = { 4, down, 0, 0, 0, 0, 0, (uint8_t)key };

	say(fd, message, sizeof(message));
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_socket(void **state)
{
	struct viewers *other = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(stat(bed.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(viewers_create(&bed.vm, bed.path, &other, &bed.err), -EADDRINUSE);
	assert_null(other);
	assert_int_equal(machine.listening, 0); /* nobody looks */
}

static void test_coming_and_going(void **state)
{
	int first = join(), second;

	(void)state;
	assert_int_equal(count(), 1);
	assert_int_equal(machine.listening, 1);
	second = join();
	assert_int_equal(count(), 2);
	assert_int_equal(machine.listening, 1);
	close(first);
	run_until(count() == 1);
	say(second, "\x07", 1); /* files */
	run_until(is_closed(second));
	run_until(count() == 0);
	assert_int_equal(machine.listening, 0);
	close(second);
}

static void test_no_screen_yet(void **state)
{
	int fd = connect_one();

	(void)state;
	machine.no_screen = true;
	run_until(is_closed(fd));
	assert_int_equal(count(), 0);
	close(fd);
}

static void test_more_than_there_may_be(void **state)
{
	int fds[VIEWERS_MAX], one_more;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < VIEWERS_MAX; i++)
			fds[i] = join();
		one_more = connect_one();
		run_until(is_closed(one_more));
		assert_int_equal(count(), VIEWERS_MAX);
		close(one_more);
		for (unsigned i = 0; i < VIEWERS_MAX; i++)
			close(fds[i]);
		run_until(count() == 0);
	}
}

/* A guest with many streams leaves no descriptor that select(2) takes; those for viewers were kept. */
static void test_no_low_descriptors(void **state)
{
	static int fds[2 * FD_SETSIZE];
	struct rlimit limit, before;
	unsigned used = 0;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	if (limit.rlim_max < FD_SETSIZE + 200)
		skip();
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	do {
		fds[used] = dup(STDERR_FILENO);
		assert_true(fds[used] >= 0);
	} while (fds[used++] < FD_SETSIZE);
	for (unsigned round = 0; round < 2 * VIEWERS_MAX; round++) {
		int fd = join();

		if (round % 2)
			say(fd, "\x07", 1);
		else
			close(fd);
		run_until(count() == 0);
		if (round % 2)
			close(fd);
	}
	while (used > 0)
		close(fds[--used]);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void test_only_the_holder_is_heard(void **state)
{
	int first = join(), second = join();
	uint64_t number = 0;

	(void)state;
	press(first, 'x', true);
	press(first, 'x', false);
	assert_int_equal(viewers_take(bed.viewers, 1, &number, &bed.err), 0);
	assert_int_equal(number, 1);
	assert_int_equal(holder(), 1);
	assert_true(viewers_are_in_control(bed.viewers));
	assert_int_equal(machine.published, 1);
	/* What it typed before may be heard or not: it wasn't told when. */
	for (unsigned i = 0; i < 5; i++)
		run_once();
	if (machine.done)
		answer();
	machine.steps[0] = '\0';
	press(second, 'z', true);
	press(first, 'a', true);
	run_until(machine.done);
	assert_string_equal(machine.steps, "[{\"keysym\":97,\"down\":true}]");
	answer();
	/* It leaves: what it held is let go. */
	machine.steps[0] = '\0';
	close(first);
	run_until(machine.done);
	assert_string_equal(machine.steps, "[{\"keysym\":97,\"down\":false}]");
	run_until(count() == 1);
	assert_int_equal(holder(), 0);
	assert_false(viewers_are_in_control(bed.viewers));
	close(second);
}

static void test_who_can_take(void **state)
{
	int ends[2];
	uint64_t number = 0;

	(void)state;
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), -ENOENT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(viewers_add(bed.viewers, ends[0], false, &number, &bed.err), 0);
	introduce(ends[1]);
	assert_int_equal(viewers_take(bed.viewers, number, &number, &bed.err), -EPERM);
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), -ENOENT);
	assert_int_equal(viewers_take(bed.viewers, 77, &number, &bed.err), -ENOENT);
	int first = join(), second = join();
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), 0);
	assert_int_equal(number, 3); /* the newest */
	assert_int_equal(viewers_take(bed.viewers, 2, &number, &bed.err), 0);
	assert_int_equal(holder(), 2);
	viewers_release(bed.viewers);
	viewers_release(bed.viewers);
	assert_int_equal(holder(), 0);
	close(first);
	close(second);
	close(ends[1]);
}

/* As much as the socket takes of @total keys that go down and up. How many it has then. */
static unsigned type_on(int fd, unsigned sent, unsigned total)
{
	for (; sent < total; sent++) {
		const uint8_t message[] = { 4, sent % 2 == 0, 0, 0, 0, 0, 0, 'a' };

		if (send(fd, message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	}
	return sent;
}

/* More than there is room for: the viewer waits, and all of it comes. */
static void test_a_slow_guest(void **state)
{
	const unsigned total = 4 * VIEWER_EVENTS_MAX;
	unsigned sent = 0, heard = 0;
	uint64_t number;
	int fd = join();

	(void)state;
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), 0);
	while (heard < total) {
		sent = type_on(fd, sent, total);
		run_until(machine.done);
		for (const char *at = machine.steps; (at = strstr(at, "keysym")); at++)
			heard++;
		machine.steps[0] = '\0';
		answer();
	}
	assert_int_equal(heard, total);
	assert_null(machine.done);
	close(fd);
	run_until(count() == 0);
	assert_null(machine.done); /* nothing is down */
}

static void test_an_agent_that_refuses(void **state)
{
	int fd = join();
	uint64_t number;

	(void)state;
	machine.refuses = true;
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), 0);
	for (unsigned i = 0; i < 100; i++)
		press(fd, 'a', i % 2 == 0);
	run_until(strlen(machine.steps) > 0);
	for (unsigned i = 0; i < 20; i++)
		run_once();
	machine.refuses = false;
	machine.steps[0] = '\0';
	press(fd, 'b', true);
	run_until(machine.done);
	assert_non_null(strstr(machine.steps, "{\"keysym\":98,\"down\":true}"));
	close(fd);
}

/* Nothing is done, but what was down may go up. */
static void test_a_frozen_guest(void **state)
{
	int fd = join();
	uint64_t number;

	(void)state;
	assert_int_equal(viewers_take(bed.viewers, 0, &number, &bed.err), 0);
	press(fd, 'a', true);
	run_until(machine.done);
	answer();
	bed.vm.paused = true;
	machine.steps[0] = '\0';
	press(fd, 'b', true);
	press(fd, 'b', false);
	press(fd, 'a', false);
	run_until(machine.done);
	assert_string_equal(machine.steps, "[{\"keysym\":97,\"down\":false}]");
	close(fd);
}

int main(void)
{
#define VIEWERS_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		VIEWERS_TEST(test_socket),
		VIEWERS_TEST(test_coming_and_going),
		VIEWERS_TEST(test_no_screen_yet),
		VIEWERS_TEST(test_more_than_there_may_be),
		VIEWERS_TEST(test_no_low_descriptors),
		VIEWERS_TEST(test_only_the_holder_is_heard),
		VIEWERS_TEST(test_who_can_take),
		VIEWERS_TEST(test_a_slow_guest),
		VIEWERS_TEST(test_an_agent_that_refuses),
		VIEWERS_TEST(test_a_frozen_guest),
	};

	log_init("unit", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
