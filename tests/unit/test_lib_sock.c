/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_sock.c - unix sockets by path: mode, limits, what exists is never touched.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/sock.h"

struct folder {
	char path[64];
	char sock[96];
};

static int folder_make(void **state)
{
	static struct folder folder;

	snprintf(folder.path, sizeof(folder.path), "%s/cloche-unit-XXXXXX", P_tmpdir);
	if (!mkdtemp(folder.path))
		return -1;
	snprintf(folder.sock, sizeof(folder.sock), "%s/sock", folder.path);
	*state = &folder;
	return 0;
}

static int folder_remove(void **state)
{
	struct folder *folder = *state;

	unlink(folder->sock);
	return rmdir(folder->path);
}

static void test_listen_and_connect(void **state)
{
	struct folder *folder = *state;
	cleanup_fd int listener = -1, client = -1, server = -1;
	struct error err = { 0 };
	struct stat st;
	mode_t mask = umask(0);

	assert_int_equal(sock_listen_unix(folder->sock, &listener, &err), 0);
	umask(mask);
	assert_int_equal(stat(folder->sock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);

	assert_int_equal(sock_connect_unix(folder->sock, &client, &err), 0);
	assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(write(client, "x", 1), 1);
}

static void test_existing_is_kept(void **state)
{
	struct folder *folder = *state;
	cleanup_fd int file = open(folder->sock, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	struct error err = { 0 };
	int fd = -7;
	struct stat st;

	assert_true(file >= 0);
	assert_int_equal(sock_listen_unix(folder->sock, &fd, &err), -EADDRINUSE);
	assert_int_equal(fd, -7);
	assert_non_null(strstr(err.msg, folder->sock));
	assert_int_equal(stat(folder->sock, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void test_path_length(void **state)
{
	struct folder *folder = *state;
	const size_t limit = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	char path[200];
	struct error err = { 0 };
	int fd = -7;

	/* Pad with slashes to the byte: they name the same file. */
	memset(path, '/', sizeof(path));
	memcpy(path, folder->path, strlen(folder->path));
	memcpy(path + limit - 4, "sock", 5);
	assert_int_equal(sock_listen_unix(path, &fd, &err), 0);
	close_fd(&fd);
	unlink(path);

	memcpy(path + limit - 4, "/sock", 6);
	fd = -7;
	assert_int_equal(sock_listen_unix(path, &fd, &err), -ENAMETOOLONG);
	assert_int_equal(sock_connect_unix(path, &fd, &err), -ENAMETOOLONG);
	assert_int_equal(sock_listen_unix("", &fd, &err), -EINVAL);
	assert_int_equal(sock_connect_unix("", &fd, &err), -EINVAL);
	assert_int_equal(fd, -7);
}

static void test_refusals(void **state)
{
	struct folder *folder = *state;
	struct error err = { 0 };
	int fd = -7;

	assert_int_equal(sock_connect_unix(folder->sock, &fd, &err), -ENOENT);
	assert_int_equal(sock_listen_unix("/nonexistent/folder/s", &fd, &err), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_int_equal(fd, -7);

	/* Its listener is gone, its file is still there. */
	assert_int_equal(sock_listen_unix(folder->sock, &fd, &err), 0);
	close_fd(&fd);
	assert_int_equal(sock_connect_unix(folder->sock, &fd, &err), -ECONNREFUSED);
}

static void test_connected_stream(void **state)
{
	int stream[2], datagram[2], ends[2];
	int alone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, datagram), 0);
	assert_int_equal(pipe(ends), 0);
	assert_true(sock_is_connected_stream(stream[0]));
	assert_false(sock_is_connected_stream(alone));
	assert_false(sock_is_connected_stream(datagram[0]));
	assert_false(sock_is_connected_stream(ends[0]));
	assert_false(sock_is_connected_stream(-1));
	close(alone);
	for (int i = 0; i < 2; i++) {
		close(stream[i]);
		close(datagram[i]);
		close(ends[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listen_and_connect, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(test_existing_is_kept, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(test_path_length, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(test_refusals, folder_make, folder_remove),
		cmocka_unit_test(test_connected_stream),
	};

	return cmocka_run_group_tests_name("lib_sock", tests, NULL, NULL);
}
