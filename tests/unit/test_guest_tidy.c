/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_tidy.c - caches are dropped when the worker has written all, and only in a guest.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/verbs.h"
#include "lib/clock.h"
#include "lib/proto.h"

/* What the module has done. The worker's part is in memory that it shares. */
static struct {
	struct {
		bool slow;
		bool begun, done;
	} * sync;
	int drop_fd; /* what is written to drop_caches; -1: it can't be opened */
	unsigned drops;
	unsigned replies;
	char code[32];
} fake;

static struct agent agent;
static struct request asked;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
void __wrap_sync(void);

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/proc/sys/vm/drop_caches") != 0)
		return __real_open(path, flags, 0);
	assert_true(agent.init);
	assert_true(fake.sync->done);
	assert_int_equal(flags, O_WRONLY | O_CLOEXEC);
	fake.drops++;
	if (fake.drop_fd < 0) {
		errno = EACCES;
		return -1;
	}
	return dup(fake.drop_fd);
}

void __wrap_sync(void)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	fake.sync->begun = true;
	nanosleep(&nap, NULL);
	while (fake.sync->slow)
		pause();
	fake.sync->done = true;
}

static void answered(struct request *request, const char *code)
{
	assert_ptr_equal(request, &asked);
	snprintf(fake.code, sizeof(fake.code), "%s", code);
	fake.replies++;
	loop_stop(agent.loop);
}

void request_reply(struct request *request, json_t *members, const void *blob, size_t size)
{
	assert_null(members);
	assert_null(blob);
	assert_int_equal(size, 0);
	answered(request, "");
}

void request_fail(struct request *request, const char *code, const char *fmt, ...)
{
	assert_non_null(fmt);
	answered(request, code);
}

static int guest_start(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.sync = mmap(NULL, sizeof(*fake.sync), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fake.sync, MAP_FAILED);
	fake.drop_fd = memfd_create("drop_caches", MFD_CLOEXEC);
	assert_true(fake.drop_fd >= 0);
	agent = (struct agent){ .init = true };
	asked = (struct request){ .agent = &agent, .id = 1 };
	assert_int_equal(loop_create(&agent.loop), 0);
	assert_int_equal(children_create(agent.loop, &agent.children), 0);
	return 0;
}

static int guest_end(void **state)
{
	(void)state;
	children_destroy(agent.children);
	loop_destroy(agent.loop);
	if (fake.drop_fd >= 0)
		close(fake.drop_fd);
	munmap(fake.sync, sizeof(*fake.sync));
	return 0;
}

static void test_writes_then_drops(void **state)
{
	char text[8] = "";

	(void)state;
	verb_tidy(&agent, &asked);
	assert_int_equal(fake.replies, 0);
	assert_int_equal(fake.drops, 0);
	assert_non_null(asked.cancel);
	assert_int_equal(loop_run(agent.loop), 0);
	assert_int_equal(fake.replies, 1);
	assert_string_equal(fake.code, "");
	assert_true(fake.sync->done);
	assert_int_equal(fake.drops, 1);
	assert_int_equal(pread(fake.drop_fd, text, sizeof(text), 0), 1);
	assert_string_equal(text, "3");
}

static void test_caches_that_cannot_be_dropped(void **state)
{
	(void)state;
	close(fake.drop_fd);
	fake.drop_fd = -1;
	verb_tidy(&agent, &asked);
	assert_int_equal(loop_run(agent.loop), 0);
	assert_int_equal(fake.replies, 1);
	assert_string_equal(fake.code, PROTO_ERR_FAILED);
}

static void round_over(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(agent.loop);
}

/* The disk doesn't answer, and the asker is gone: no reply, no drop, and the worker ends. */
static void test_cancel(void **state)
{
	struct loop_timer timer = { .active = false };

	(void)state;
	fake.sync->slow = true;
	verb_tidy(&agent, &asked);
	asked.cancel(&asked);
	loop_timer_set(agent.loop, &timer, clock_now_ns() + 100 * NS_PER_MS, round_over);
	assert_int_equal(loop_run(agent.loop), 0);
	assert_int_equal(fake.replies, 0);
	assert_int_equal(fake.drops, 0);
	assert_false(fake.sync->done);
}

static void test_not_in_a_guest(void **state)
{
	(void)state;
	agent.init = false;
	verb_tidy(&agent, &asked);
	assert_int_equal(fake.replies, 1);
	assert_string_equal(fake.code, "");
	assert_false(fake.sync->begun);
	assert_int_equal(fake.drops, 0);
}

#define guest_test(name) cmocka_unit_test_setup_teardown(name, guest_start, guest_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(test_writes_then_drops),
		guest_test(test_caches_that_cannot_be_dropped),
		guest_test(test_cancel),
		guest_test(test_not_in_a_guest),
	};

	return cmocka_run_group_tests_name("guest_tidy", tests, NULL, NULL);
}
