/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_listener.c - accepting, pausing, and resting when there is no fd for one more connection.
 */
#include "tests/unit/unit.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/listener.h"

#define CLIENTS 20

struct bench {
	struct loop *loop;
	struct listener listener;
	struct loop_timer end;
	struct sockaddr_un address; /* abstract: nothing to remove */
	socklen_t address_size;
	int wanted, accepted;
	bool pauses; /* at the first that is accepted */
	int clients[CLIENTS];
};

static void count_one(struct listener *listener, int fd)
{
	struct bench *bench = container_of(listener, struct bench, listener);

	close(fd);
	if (bench->pauses)
		listener_pause(listener);
	if (++bench->accepted == bench->wanted)
		loop_stop(bench->loop);
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (!bench || fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)) ||
	    listen(fd, CLIENTS) || loop_create(&bench->loop))
		return -1;
	bench->address_size = sizeof(bench->address);
	if (getsockname(fd, (struct sockaddr *)&bench->address, &bench->address_size))
		return -1;
	for (int i = 0; i < CLIENTS; i++)
		bench->clients[i] = -1;
	*state = bench;
	return listener_start(&bench->listener, bench->loop, fd, count_one);
}

static int bench_free(void **state)
{
	struct bench *bench = *state;

	listener_stop(&bench->listener);
	listener_stop(&bench->listener); /* twice does nothing */
	for (int i = 0; i < CLIENTS; i++)
		close_fd(&bench->clients[i]);
	loop_destroy(bench->loop);
	free(bench);
	return 0;
}

static void connect_all(struct bench *bench, int count)
{
	for (int i = 0; i < count; i++) {
		bench->clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(bench->clients[i] >= 0);
		assert_int_equal(connect(bench->clients[i], (struct sockaddr *)&bench->address,
		                         bench->address_size),
		                 0);
	}
}

static void test_accepts_all(void **state)
{
	struct bench *bench = *state;

	connect_all(bench, CLIENTS);
	bench->wanted = CLIENTS;
	assert_int_equal(loop_run(bench->loop), 0);
	assert_int_equal(bench->accepted, CLIENTS);
}

static void end_now(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct bench, end)->loop);
}

static void run_for(struct bench *bench, uint64_t ms)
{
	loop_timer_set(bench->loop, &bench->end, clock_now_ns() + ms * NS_PER_MS, end_now);
	assert_int_equal(loop_run(bench->loop), 0);
}

/* Who connects meanwhile is connected, and taken afterwards. */
static void test_pause(void **state)
{
	struct bench *bench = *state;

	listener_pause(&bench->listener);
	listener_pause(&bench->listener);
	connect_all(bench, CLIENTS);
	run_for(bench, 5);
	assert_int_equal(bench->accepted, 0);
	listener_resume(&bench->listener);
	listener_resume(&bench->listener);
	bench->wanted = CLIENTS;
	assert_int_equal(loop_run(bench->loop), 0);
	assert_int_equal(bench->accepted, CLIENTS);
}

static void test_pause_from_within(void **state)
{
	struct bench *bench = *state;

	connect_all(bench, CLIENTS);
	bench->pauses = true;
	run_for(bench, 5);
	assert_int_equal(bench->accepted, 1);
	bench->pauses = false;
	listener_resume(&bench->listener);
	bench->wanted = CLIENTS;
	assert_int_equal(loop_run(bench->loop), 0);
	assert_int_equal(bench->accepted, CLIENTS);
}

static void test_pause_of_none(void **state)
{
	struct listener none = LISTENER_INIT;
	struct bench *bench = *state;

	listener_pause(&none);
	listener_resume(&none);
	/* One that is stopped while it is paused. */
	listener_pause(&bench->listener);
	listener_stop(&bench->listener);
	listener_resume(&bench->listener);
	run_for(bench, 1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* With no fd left the connection waits, nothing spins, and it is taken once there is one again. */
static void test_rests_without_fds(void **state)
{
	struct bench *bench = *state;
	struct rlimit before, none;

	connect_all(bench, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bench->wanted = 1;
	uint64_t start = cpu_ns();
	loop_timer_set(bench->loop, &bench->end, clock_now_ns() + 300 * NS_PER_MS, end_now);
	int ret = loop_run(bench->loop);
	uint64_t used = cpu_ns() - start;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

	assert_int_equal(ret, 0);
	assert_int_equal(bench->accepted, 0);
	/* Its own CPU time, not the clock's: a loop that spins takes all 300 ms of it. */
	assert_true(used < 100 * NS_PER_MS);
	assert_int_equal(loop_run(bench->loop), 0);
	assert_int_equal(bench->accepted, 1);
}

/* The end of a rest doesn't end a pause. */
static void test_pause_within_a_rest(void **state)
{
	struct bench *bench = *state;
	struct rlimit before, none;

	connect_all(bench, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_for(bench, 10);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(bench->listener.rest.active);
	listener_pause(&bench->listener);
	/* As if its time had come. */
	loop_timer_set(bench->loop, &bench->listener.rest, 0, bench->listener.rest.expired);
	run_for(bench, 5);
	assert_false(bench->listener.rest.active);
	assert_int_equal(bench->accepted, 0);
	listener_resume(&bench->listener);
	bench->wanted = 1;
	assert_int_equal(loop_run(bench->loop), 0);
	assert_int_equal(bench->accepted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pause, bench_make, bench_free),
		cmocka_unit_test_setup_teardown(test_pause_from_within, bench_make, bench_free),
		cmocka_unit_test_setup_teardown(test_pause_of_none, bench_make, bench_free),
		cmocka_unit_test_setup_teardown(test_pause_within_a_rest, bench_make, bench_free),
		cmocka_unit_test_setup_teardown(test_accepts_all, bench_make, bench_free),
		cmocka_unit_test_setup_teardown(test_rests_without_fds, bench_make, bench_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
