/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sock.c - see sock.h. No state, any thread.
 */
#include "lib/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"

static int make_address(const char *path, struct sockaddr_un *out_address, struct error *err)
{
	size_t size = strlen(path);

	/* An empty path would mean "any abstract name" to bind(2). */
	if (size == 0)
		return error_set(err, -EINVAL, "the socket path is empty");
	if (size >= sizeof(out_address->sun_path))
		return error_set(err, -ENAMETOOLONG,
		                 "socket path of %zu bytes is too long, the limit is %zu: %s", size,
		                 sizeof(out_address->sun_path) - 1, path);
	*out_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(out_address->sun_path, path, size + 1);
	return 0;
}

int sock_listen_unix(const char *path, int *out_fd, struct error *err)
{
	struct sockaddr_un address;
	cleanup_fd int fd = -1;
	int rc = make_address(path, &address, err);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	/* bind(2) takes the file's mode from the socket: no umask to change, no moment of 0777. */
	if (fchmod(fd, 0600) < 0)
		return error_set(err, -errno, "cannot protect socket %s: %s", path,
		                 strerror(errno));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == EADDRINUSE)
			return error_set(err, -errno,
			                 "%s exists already; remove it if nobody uses it", path);
		return error_set(err, -errno, "cannot bind socket %s: %s", path, strerror(errno));
	}
	if (listen(fd, SOMAXCONN) < 0) {
		rc = -errno;
		unlink(path);
		return error_set(err, rc, "cannot listen on %s: %s", path, strerror(-rc));
	}
	*out_fd = steal_fd(&fd);
	return 0;
}

static int connect_unix(const char *path, int flags, int *out_fd, struct error *err)
{
	struct sockaddr_un address;
	cleanup_fd int fd = -1;
	int rc = make_address(path, &address, err);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	/* A unix connect that a signal interrupts has not begun: it is simply made again. */
	do {
		rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return error_set(err, -errno, "cannot connect to %s: %s", path, strerror(errno));
	*out_fd = steal_fd(&fd);
	return 0;
}

int sock_connect_unix(const char *path, int *out_fd, struct error *err)
{
	return connect_unix(path, 0, out_fd, err);
}

int sock_connect_unix_now(const char *path, int *out_fd, struct error *err)
{
	return connect_unix(path, SOCK_NONBLOCK, out_fd, err);
}

bool sock_is_connected_stream(int fd)
{
	int type = 0;
	struct sockaddr_storage peer;
	socklen_t size = sizeof(type), peer_size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0;
}
