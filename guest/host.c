/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host.c - connections to the host. The agent's thread.
 */
#include "guest/host.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"

/* Those that any program may use, without VMADDR_PORT_ANY. */
#define PORT_MIN 1024u
#define PORT_MAX (UINT32_MAX - 1)

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

/*
 * A port of our own drawing: the kernel's choice counts up from where it was once for all clones.
 * When this one is taken, or none can be drawn, that choice is as good.
 */
static void vsock_bind(int fd)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		return;
	address.svm_port = PORT_MIN + number % (PORT_MAX - PORT_MIN + 1);
	(void)bind(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int vsock_connect(uint32_t port, int fd)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};

	vsock_bind(fd);
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
