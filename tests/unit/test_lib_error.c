/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_error.c - struct error, and the small ownership helpers of cleanup.h.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>

#include "lib/cleanup.h"
#include "lib/error.h"

static void test_set(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(error_set(&err, -ENOENT, "no %s, %d times", "kernel", 3), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.msg, "no kernel, 3 times");
	assert_int_equal(error_set(NULL, -EIO, "nobody %s", "reads this"), -EIO);
}

static void test_set_from_itself(void **state)
{
	struct error err = { 0 };

	(void)state;
	error_set(&err, -EIO, "inner");
	error_set(&err, -EINVAL, "outer (%s)", err.msg);
	assert_string_equal(err.msg, "outer (inner)");
	assert_int_equal(err.code, -EINVAL);
}

static void test_long_messages_are_cut(void **state)
{
	struct error err = { 0 };
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	error_prefix(&err, -EIO, "%s", "file");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_memory_equal(err.msg, "file: xxx", 9);
	error_prefix(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static void test_prefix(void **state)
{
	struct error err = { 0 };

	(void)state;
	error_set(&err, -EINVAL, "bad magic");
	assert_int_equal(error_prefix(&err, -EIO, "%s", "/boot/vmlinux"), -EINVAL);
	assert_string_equal(err.msg, "/boot/vmlinux: bad magic");
	assert_int_equal(error_prefix(NULL, -EIO, "x"), -EIO);
}

static void test_close_fd(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	(void)state;
	assert_true(fd >= 0);
	errno = 77;
	close_fd(&fd);
	assert_int_equal(errno, 77);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	close_fd(&fd);
	assert_int_equal(fd, -1);
}

static int hand_on(int keep, int *out_number)
{
	cleanup_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	*out_number = fd;
	return keep ? steal_fd(&fd) : -1;
}

static void test_scope(void **state)
{
	int number;
	int fd = hand_on(1, &number);

	(void)state;
	assert_int_equal(fd, number);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close_fd(&fd);
	assert_int_equal(hand_on(0, &number), -1);
	assert_int_equal(fcntl(number, F_GETFD), -1);

	char *text = strdup("x");
	cleanup_free char *stolen = steal_pointer(&text);

	assert_null(text);
	assert_string_equal(stolen, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_from_itself),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_close_fd),
		cmocka_unit_test(test_scope),
	};

	return cmocka_run_group_tests_name("lib_error", tests, NULL, NULL);
}
