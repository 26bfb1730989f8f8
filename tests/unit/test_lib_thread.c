/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lib/thread.c: signals, name and stack of a thread of ours. */
#include <signal.h>
#include <unistd.h>

#include "lib/thread.h"
#include "tests/unit/unit.h"

struct seen {
	int go[2]; /* pipe: the thread looks at itself when the other end closes */
	sigset_t blocked;
	size_t stack_size;
	char name[THREAD_NAME_MAX + 1];
};

static void *look(void *arg)
{
	struct seen *seen = arg;
	pthread_attr_t attributes;
	void *stack;
	char byte;

	/* Its name is given by who started it, when it may run already. */
	if (read(seen->go[0], &byte, 1) != 0)
		return NULL;
	pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &stack, &seen->stack_size);
	pthread_attr_destroy(&attributes);
	return arg;
}

static void start_and_look(struct seen *seen, const char *name, int signal)
{
	pthread_t thread;
	void *end;

	memset(seen, 0, sizeof(*seen));
	assert_int_equal(pipe(seen->go), 0);
	assert_int_equal(thread_start(&thread, name, signal, look, seen), 0);
	close(seen->go[1]);
	assert_int_equal(pthread_join(thread, &end), 0);
	close(seen->go[0]);
	assert_ptr_equal(end, seen);
}

static void test_signals(void **state)
{
	struct seen seen;
	sigset_t before, after;

	(void)state;
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	start_and_look(&seen, "quiet", 0);
	assert_int_equal(sigismember(&seen.blocked, SIGTERM), 1);
	assert_int_equal(sigismember(&seen.blocked, SIGUSR1), 1);
	start_and_look(&seen, "open", SIGUSR1);
	assert_int_equal(sigismember(&seen.blocked, SIGTERM), 1);
	assert_int_equal(sigismember(&seen.blocked, SIGUSR1), 0);
	/* The caller's own are as they were. */
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < 32; i++)
		assert_int_equal(sigismember(&after, i), sigismember(&before, i));
}

static void test_name_and_stack(void **state)
{
	struct seen seen;

	(void)state;
	start_and_look(&seen, "vcpu 0", 0);
	assert_string_equal(seen.name, "vcpu 0");
	/* Sanitizers add to it; what counts is that it stays below a huge page. */
	assert_in_range(seen.stack_size, THREAD_STACK_SIZE, 1u << 20);
	start_and_look(&seen, "a name that is longer than others", 0);
	assert_string_equal(seen.name, "a name that is ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_name_and_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
