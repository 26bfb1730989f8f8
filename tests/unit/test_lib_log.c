/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_log.c - log lines as they arrive on stderr, levels, and the budget for a peer's lines.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

static int saved_stderr, pipe_read;

/* Says no: for an assertion that must fail. */
static bool status_is_fine(int status)
{
	return status == 0;
}

/* From here on stderr goes into a pipe, until stderr_take(). */
static void stderr_divert(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	pipe_read = ends[0];
}

static const char *stderr_take(void)
{
	static char text[8192];
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	n = read(pipe_read, text, sizeof(text) - 1);
	close(pipe_read);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_line(void **state)
{
	(void)state;
	log_init("unit", LOG_INFO);
	stderr_divert();
	errno = 77;
	log_warn("page %d of %s", 3, "five");
	log_info("bye");
	log_debug("too low");
	assert_int_equal(errno, 77);
	assert_string_equal(stderr_take(), "unit: warning: page 3 of five\nunit: info: bye\n");
}

static void test_levels(void **state)
{
	(void)state;
	log_init("unit", LOG_ERROR);
	stderr_divert();
	log_error("e");
	log_warn("w");
	assert_string_equal(stderr_take(), "unit: error: e\n");
	log_init("unit", LOG_DEBUG);
	stderr_divert();
	log_debug("d");
	assert_string_equal(stderr_take(), "unit: debug: d\n");
}

static void test_control_bytes(void **state)
{
	(void)state;
	log_init("unit", LOG_INFO);
	stderr_divert();
	log_info("a\nunit: error: forged\x1b[2J\x7f\r\té");
	assert_string_equal(stderr_take(), "unit: info: a?unit: error: forged?[2J??\té\n");
}

static void test_long_line(void **state)
{
	char text[5000];
	const char *line;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("unit", LOG_INFO);
	stderr_divert();
	log_info("%s", text);
	line = stderr_take();
	assert_int_equal(strlen(line), 1024);
	assert_int_equal(line[1023], '\n');
	assert_int_equal(strcspn(line, "\n"), 1023);
}

static void test_limit_pass(void **state)
{
	enum { S = 1000000000 };
	static const struct {
		uint64_t now;
		int pass;
		uint32_t suppressed;
	} steps[] = {
		/* burst of two, one a second */
		{ 10ull * S, 1, 0 },         { 10ull * S, 1, 0 },
		{ 10ull * S, 0, 0 },         { 10ull * S + S / 2, 0, 0 },
		{ 11ull * S, 1, 2 },         { 11ull * S, 0, 0 },
		{ 9ull * S, 0, 0 }, /* a clock that goes back is no refill */
		{ 12ull * S + S / 2, 1, 2 }, { 12ull * S + S / 2, 0, 0 },
		{ 13ull * S, 1, 1 }, /* the half second left over counted */
		{ 9999ull * S, 1, 0 },       { 9999ull * S, 1, 0 }, /* never more than the burst */
		{ 9999ull * S, 0, 0 },
	};
	struct log_limit limit = { .interval_ns = S, .burst = 2, .tokens = 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		uint32_t suppressed = 0;

		if (log_limit_pass(&limit, steps[i].now, &suppressed) != steps[i].pass ||
		    suppressed != steps[i].suppressed)
			fail_msg("step %zu: %u suppressed", i, suppressed);
	}
}

static void test_warn_limited(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT;

	(void)state;
	log_init("unit", LOG_WARN);
	limit.tokens = 1;
	limit.suppressed = 7;
	stderr_divert();
	log_warn_limited(&limit, "bad ring %d", 1);
	log_warn_limited(&limit, "bad ring %d", 2);
	assert_string_equal(stderr_take(), "unit: warning: bad ring 1 (7 like it not shown)\n");
	assert_int_equal(limit.suppressed, 1);
}

/* A line that a guest causes waits for nobody who doesn't read. */
static void test_warn_into_full_pipe(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT;
	char page[4096] = { 0 };

	(void)state;
	log_init("unit", LOG_WARN);
	stderr_divert();
	while (write(STDERR_FILENO, page, sizeof(page)) > 0)
		continue;
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, 0), 0); /* from here on a write would wait */
	log_warn_limited(&limit, "nobody reads this");
	assert_int_equal(limit.suppressed, 1);
	assert_int_equal(limit.tokens, limit.burst);
	while (read(pipe_read, page, sizeof(page)) > 0)
		continue;
	log_warn_limited(&limit, "read again");
	assert_string_equal(stderr_take(), "unit: warning: read again (1 like it not shown)\n");
}

static void test_assert(void **state)
{
	int status;
	pid_t child;

	(void)state;
	log_init("unit", LOG_INFO);
	stderr_divert();
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		ASSERT(status_is_fine(1) || errno == -1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(stderr_take(), "assertion 'status_is_fine(1) || errno == -1'"));
	ASSERT(1 + 1 == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_control_bytes),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_limit_pass),
		cmocka_unit_test(test_warn_limited),
		cmocka_unit_test(test_warn_into_full_pipe),
		cmocka_unit_test(test_assert),
	};

	return cmocka_run_group_tests_name("lib_log", tests, NULL, NULL);
}
