/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_files.c - which paths "file" reaches, and the head of Xvfb's framebuffer file.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/paths.h"
#include "guest/xwd.h"

static void test_split(void **state)
{
	static const struct {
		const char *path;
		int ret;
		const char *folder, *rest;
	} rows[] = {
		{ "a", 0, "/home/agent", "a" },
		{ "a/b", 0, "/home/agent", "a/b" },
		{ ".", 0, "/home/agent", "." },
		{ "../x", 0, "/home/agent", "../x" }, /* paths_open() refuses it */
		{ "/home/agent", 0, "/home/agent", "." },
		{ "/home/agent/", 0, "/home/agent", "." },
		{ "/home/agent//a", 0, "/home/agent", "a" },
		{ "/tmp", 0, "/tmp", "." },
		{ "/tmp/a/b", 0, "/tmp", "a/b" },
		{ "/tmpx", -EACCES, NULL, NULL },
		{ "/home/agentx/a", -EACCES, NULL, NULL },
		{ "/home", -EACCES, NULL, NULL },
		{ "/", -EACCES, NULL, NULL },
		{ "//tmp/a", -EACCES, NULL, NULL },
		{ "/etc/passwd", -EACCES, NULL, NULL },
		{ "", -EINVAL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *folder = NULL, *rest = NULL;
		struct error err = { 0 };

		assert_int_equal(paths_split("/home/agent", rows[i].path, &folder, &rest, &err),
		                 rows[i].ret);
		if (rows[i].ret < 0) {
			assert_null(folder);
			continue;
		}
		assert_string_equal(folder, rows[i].folder);
		assert_string_equal(rest, rows[i].rest);
	}
}

/* A folder with a file, a folder, and links in and out; its path goes to @out. */
static void tree_make(char *out, size_t size)
{
	char path[256];
	int fd;

	snprintf(out, size, "/tmp/cloche-paths.XXXXXX");
	assert_non_null(mkdtemp(out));
	snprintf(path, sizeof(path), "%s/d", out);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/d/f", out);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/in", out);
	assert_int_equal(symlink("d", path), 0);
	snprintf(path, sizeof(path), "%s/abs", out);
	assert_int_equal(symlink("/etc", path), 0);
	snprintf(path, sizeof(path), "%s/up", out);
	assert_int_equal(symlink("../../etc", path), 0);
	snprintf(path, sizeof(path), "%s/magic", out);
	assert_int_equal(symlink("/proc/self/root", path), 0);
}

static void tree_remove(const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -r %s", path);
	assert_int_equal(system(command), 0); /* the name is mkdtemp's */
}

static void test_open(void **state)
{
	static const struct {
		const char *rest;
		int ret;
	} rows[] = {
		{ "d/f", 0 },
		{ "in/f", 0 },
		{ "d/../d/f", 0 },
		{ "none", -ENOENT },
		{ "d/f/g", -ENOTDIR },
		{ "../x", -EACCES },
		{ "abs/passwd", -EACCES },
		{ "up/passwd", -EACCES },
		{ "magic/etc/passwd", -EACCES },
		{ "/etc/passwd", -EACCES },
		{ "d/../../x", -EACCES },
	};
	char folder[64];

	(void)state;
	tree_make(folder, sizeof(folder));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };
		int fd = paths_open(folder, rows[i].rest, O_RDONLY, 0, &err);

		assert_int_equal(fd < 0 ? fd : 0, rows[i].ret);
		if (fd >= 0) {
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
			close(fd);
		}
	}
	tree_remove(folder);
}

static void test_open_parent(void **state)
{
	static const struct {
		const char *rest;
		int ret;
		const char *name;
	} rows[] = {
		{ "d", 0, "d" },           { "d/f", 0, "f" },
		{ "d/", 0, "d" },          { "in/f", 0, "f" },
		{ "new", 0, "new" },       { ".", -EINVAL, NULL },
		{ "..", -EINVAL, NULL },   { "d/..", -EINVAL, NULL },
		{ "d/.", -EINVAL, NULL },  { "abs/x", -EACCES, NULL },
		{ "../x", -EACCES, NULL }, { "none/x", -ENOENT, NULL },
	};
	char folder[64];

	(void)state;
	tree_make(folder, sizeof(folder));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };
		char name[256];
		int fd = paths_open_parent(folder, rows[i].rest, name, sizeof(name), &err);

		assert_int_equal(fd < 0 ? fd : 0, rows[i].ret);
		if (fd >= 0) {
			assert_string_equal(name, rows[i].name);
			close(fd);
		}
	}
	tree_remove(folder);
}

/* Words of a head as Xvfb 21.1 writes it for 1280x800. */
static const uint32_t good_head[25] = {
	160, 7,        2,      24,   1280, 800, 0,   0,    32,  0, 32, 32, 5120,
	4,   0xff0000, 0xff00, 0xff, 8,    256, 256, 1280, 800, 0, 0,  0,
};
#define GOOD_SIZE (160 + 256 * 12 + 5120 * 800)

static void test_xwd(void **state)
{
	static const struct {
		size_t word;
		uint32_t value;
	} lies[] = {
		{ 0, UINT32_MAX },  { 0, 161 },  { 1, 6 },           { 3, 16 },
		{ 4, 1281 },        { 5, 801 },  { 11, 24 },         { 12, 0 },
		{ 12, UINT32_MAX }, { 19, 257 }, { 19, UINT32_MAX },
	};
	uint8_t *data = calloc(1, GOOD_SIZE);
	struct xwd xwd = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i <= sizeof(lies) / sizeof(lies[0]); i++) {
		uint32_t words[25];
		bool lie = i < sizeof(lies) / sizeof(lies[0]);

		memcpy(words, good_head, sizeof(words));
		if (lie)
			words[lies[i].word] = lies[i].value;
		for (size_t w = 0; w < 25; w++)
			words[w] = htobe32(words[w]);
		memcpy(data, words, sizeof(words));
		assert_int_equal(xwd_parse(data, GOOD_SIZE, &xwd, &err), lie ? -EPROTO : 0);
	}
	assert_int_equal(xwd.width, 1280);
	assert_int_equal(xwd.height, 800);
	assert_int_equal(xwd.stride, 5120);
	assert_int_equal(xwd_parse(data, GOOD_SIZE - 1, &xwd, &err), -EPROTO);
	assert_int_equal(xwd_parse(data, 99, &xwd, &err), -EPROTO);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_open_parent),
		cmocka_unit_test(test_xwd),
	};

	return cmocka_run_group_tests_name("guest_files", tests, NULL, NULL);
}
