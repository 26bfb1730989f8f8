/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host.c - connections to the host. The agent's thread.
 */
#include "guest/host.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"

static int unix_connect(const char *base, uint32_t port, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", base, port);

	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

static int vsock_connect(uint32_t port, int fd)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};

	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

int host_connect(const struct options *options, uint32_t port, int *out_fd)
{
	bool vsock = !strcmp(options->channel, "vsock");
	cleanup_fd int fd =
		socket(vsock ? AF_VSOCK : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = vsock ? vsock_connect(port, fd) : unix_connect(options->channel, port, fd);
	if (ret < 0 && ret != -EINPROGRESS)
		return ret;
	*out_fd = steal_fd(&fd);
	return ret;
}

int host_connect_result(int fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}
