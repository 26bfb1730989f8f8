/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_full_io.c - calls that end early, after signals, at the end of the file, with errors.
 *
 * Wraps the four calls: each does what the next line of a script says, on a file in memory.
 */
#include "tests/unit/unit.h"

#include <sys/types.h>

#include "lib/full_io.h"

#define FILE_SIZE ((size_t)100)

static uint8_t file[FILE_SIZE];
static size_t place;      /* of read and write */
static const int *script; /* at most so many bytes; negative: -errno */
static unsigned calls;

/* What the call gets: bytes, or -1 with errno. */
static ssize_t next(size_t size, size_t offset)
{
	int turn = script[calls++];

	assert_true(turn != 0);
	if (turn < 0) {
		errno = -turn;
		return -1;
	}
	size_t left = offset < FILE_SIZE ? FILE_SIZE - offset : 0;
	size_t most = (size_t)turn < left ? (size_t)turn : left;
	return (ssize_t)(most < size ? most : size);
}

ssize_t __wrap_pread(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_read(int fd, void *out, size_t size);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_write(int fd, const void *data, size_t size);

ssize_t __wrap_pread(int fd, void *out, size_t size, off_t offset)
{
	ssize_t n = next(size, (size_t)offset);

	assert_int_equal(fd, 7);
	if (n > 0)
		memcpy(out, file + offset, (size_t)n);
	return n;
}

ssize_t __wrap_read(int fd, void *out, size_t size)
{
	ssize_t n = __wrap_pread(fd, out, size, (off_t)place);

	place += n > 0 ? (size_t)n : 0;
	return n;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	ssize_t n = next(size, (size_t)offset);

	assert_int_equal(fd, 7);
	if (n > 0)
		memcpy(file + offset, data, (size_t)n);
	return n;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	ssize_t n = __wrap_pwrite(fd, data, size, (off_t)place);

	place += n > 0 ? (size_t)n : 0;
	return n;
}

static void begin(const int *turns)
{
	script = turns;
	calls = 0;
	place = 0;
	for (size_t i = 0; i < FILE_SIZE; i++)
		file[i] = (uint8_t)(i + 1);
}

static void test_reads(void **state)
{
	static const struct {
		size_t size, offset;
		int turns[6];
		ssize_t result;
		unsigned calls;
	} rows[] = {
		{ 0, 0, { 0 }, 0, 0 },
		{ 10, 0, { 10 }, 10, 1 },
		{ 10, 5, { 3, -EINTR, 1, 100 }, 10, 4 },
		{ 100, 0, { 99, 1 }, 100, 2 },
		{ 20, 90, { 4, 100, 1 }, 10, 3 }, /* the file ends */
		{ 20, 100, { 1 }, 0, 1 },
		{ 10, 0, { -EIO }, -EIO, 1 },
		{ 10, 0, { 4, -EINTR, -EISDIR }, -EISDIR, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned at = 0; at < 2; at++) {
			uint8_t out[FILE_SIZE + 1] = { 0 };

			begin(rows[i].turns);
			place = rows[i].offset;
			ssize_t n = at ? pread_full(7, out, rows[i].size, rows[i].offset)
			               : read_full(7, out, rows[i].size);
			assert_int_equal(n, rows[i].result);
			assert_int_equal(calls, rows[i].calls);
			for (ssize_t k = 0; k < n; k++)
				assert_int_equal(out[k], rows[i].offset + (size_t)k + 1);
			assert_int_equal(out[rows[i].size], 0);
		}
	}
}

static void test_writes(void **state)
{
	static const struct {
		size_t size, offset;
		int turns[6];
		int result;
		size_t written;
		unsigned calls;
	} rows[] = {
		{ 0, 0, { 0 }, 0, 0, 0 },
		{ 10, 0, { 10 }, 0, 10, 1 },
		{ 10, 5, { 3, -EINTR, 1, 100 }, 0, 10, 4 },
		{ 10, 0, { 4, -ENOSPC }, -ENOSPC, 4, 2 },
		{ 10, 95, { 100, 1 }, -EIO, 5, 2 }, /* takes nothing, and says no error */
	};
	uint8_t data[FILE_SIZE];

	(void)state;
	memset(data, 0xee, sizeof(data));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned at = 0; at < 2; at++) {
			begin(rows[i].turns);
			place = rows[i].offset;
			int ret = at ? pwrite_full(7, data, rows[i].size, rows[i].offset)
			             : write_full(7, data, rows[i].size);
			assert_int_equal(ret, rows[i].result);
			assert_int_equal(calls, rows[i].calls);
			for (size_t k = 0; k < FILE_SIZE; k++)
				assert_int_equal(
					file[k],
					k >= rows[i].offset && k < rows[i].offset + rows[i].written
						? 0xee
						: k + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_writes),
	};

	return cmocka_run_group_tests_name("lib_full_io", tests, NULL, NULL);
}
