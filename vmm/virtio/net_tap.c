/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_tap.c - frames through a tap interface (Linux, Documentation/networking/tuntap.rst).
 *
 * One frame a read and a write. The kernel's virtio-net header stands before each, so checksums and
 * segmentation that guest and host don't need between each other are never done. I/O thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/virtio/net_backend.h"
#include "vmm/virtio/net_header.h"

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define ETHERNET_MTU 1500
/* More than a tap's queue holds: stale frames are few, and a flood isn't waited out. */
#define STALE_MAX 2048

struct net_tap {
	struct net_backend backend;
	struct loop *loop; /* borrowed */
	struct loop_watch watch;
	int fd; /* owned */
};

static struct net_tap *tap_of(struct net_backend *backend)
{
	return container_of(backend, struct net_tap, backend);
}

static enum net_sent tap_send(struct net_backend *backend, struct iovec *iov, int count,
                              size_t size)
{
	(void)size;
	if (writev(tap_of(backend)->fd, iov, count) >= 0)
		return NET_SENT;
	/* All else is the frame's fault or the interface's: it is down, or out of memory. */
	return errno == EAGAIN ? NET_FULL : NET_DROPPED;
}

static size_t tap_receive(struct net_backend *backend, const struct iovec *iov, int count)
{
	ssize_t got = readv(tap_of(backend)->fd, iov, count);

	return got > 0 ? (size_t)got : 0;
}

static void tap_want(struct net_backend *backend, bool in, bool out)
{
	struct net_tap *tap = tap_of(backend);
	uint32_t events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);

	if (tap->watch.active)
		ASSERT(loop_watch_change(tap->loop, &tap->watch, events) == 0);
}

static void tap_negotiated(struct net_backend *backend, uint64_t features)
{
	static const struct {
		unsigned feature, flag;
	} offloads[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
	};
	struct net_tap *tap = tap_of(backend);
	unsigned flags = 0;
	char frame[1];

	/* The kernel refuses segmentation without checksums; so does the standard (§5.1.3.1). */
	if (features & NET_F(VIRTIO_NET_F_GUEST_CSUM))
		for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
			if (features & NET_F(offloads[i].feature))
				flags |= offloads[i].flag;
	if (ioctl(tap->fd, TUNSETOFFLOAD, flags))
		log_warn("net: TUNSETOFFLOAD %#x: %s", flags, strerror(errno));
	/* What waits was made for another driver, or for none. */
	for (unsigned i = 0; i < STALE_MAX && read(tap->fd, frame, sizeof(frame)) != -1; i++)
		;
}

static void tap_destroy(struct net_backend *backend)
{
	struct net_tap *tap = tap_of(backend);

	loop_watch_remove(tap->loop, &tap->watch);
	close_fd(&tap->fd);
	free(tap);
}

static const struct net_backend_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.want = tap_want,
	.negotiated = tap_negotiated,
	.destroy = tap_destroy,
};

static void on_tap(struct loop_watch *watch, uint32_t events)
{
	struct net_tap *tap = container_of(watch, struct net_tap, watch);

	/* The interface was deleted; it doesn't come back to this descriptor. */
	if (events & EPOLLERR) {
		log_warn("net: the tap interface is gone; the link is down");
		loop_watch_remove(tap->loop, &tap->watch);
		tap->backend.up = false;
	}
	tap->backend.ready(&tap->backend);
}

static int open_named(const char *name, int *out_fd, uint16_t *out_mtu, struct error *err)
{
	struct ifreq request = { .ifr_flags = TAP_FLAGS };
	cleanup_fd int fd = -1, probe = -1;

	/* Else TUNSETIFF would make one where it may, that nobody has given an address. */
	if (strlen(name) >= IFNAMSIZ || if_nametoindex(name) == 0)
		return error_set(err, -ENODEV,
		                 "--net: there is no interface %s; make it first: ip tuntap add %s "
		                 "mode tap user \"$USER\"",
		                 name, name);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, -errno, "--net: cannot open /dev/net/tun: %s",
		                 strerror(errno));
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request))
		return error_set(err, -errno, "--net: cannot take %s: %s%s", name, strerror(errno),
		                 errno == EPERM    ? "; it belongs to another user"
		                 : errno == EBUSY  ? "; another program has it"
		                 : errno == EINVAL ? "; it must be a tap with one queue"
		                                   : "");
	probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe >= 0 && ioctl(probe, SIOCGIFMTU, &request) == 0 &&
	    request.ifr_mtu != ETHERNET_MTU && request.ifr_mtu > 0 && request.ifr_mtu <= UINT16_MAX)
		*out_mtu = (uint16_t)request.ifr_mtu;
	*out_fd = steal_fd(&fd);
	return 0;
}

static int adopt(int fd, struct error *err)
{
	struct ifreq request = { 0 };

	if (ioctl(fd, TUNGETIFF, &request))
		return error_set(err, -errno, "--net: descriptor %d is no tap: %s", fd,
		                 strerror(errno));
	if ((request.ifr_flags & TAP_FLAGS) != TAP_FLAGS)
		return error_set(err, -EINVAL,
		                 "--net: descriptor %d must be opened with IFF_TAP, IFF_NO_PI and "
		                 "IFF_VNET_HDR",
		                 fd);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return error_set(err, -errno, "--net: descriptor %d: %s", fd, strerror(errno));
	return 0;
}

/* The header as virtio 1.2 has it, and what this kernel can do for the guest. */
static int set_up(struct net_tap *tap, int fd, struct error *err)
{
	int size = NET_HEADER_SIZE, little_endian = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) || ioctl(fd, TUNSETVNETLE, &little_endian))
		return error_set(err, -errno, "--net: this kernel's tap is too old: %s",
		                 strerror(errno));
	tap->backend.features = NET_F(VIRTIO_NET_F_CSUM) | NET_F(VIRTIO_NET_F_HOST_TSO4) |
	                        NET_F(VIRTIO_NET_F_HOST_TSO6);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0)
		tap->backend.features |= NET_F(VIRTIO_NET_F_GUEST_CSUM) |
		                         NET_F(VIRTIO_NET_F_GUEST_TSO4) |
		                         NET_F(VIRTIO_NET_F_GUEST_TSO6);
	if (ioctl(fd, TUNSETOFFLOAD, 0))
		return error_set(err, -errno, "--net: TUNSETOFFLOAD: %s", strerror(errno));
	int ret = loop_watch_add(tap->loop, &tap->watch, fd, 0, on_tap);
	return ret ? error_set(err, ret, "cannot watch a tap: %s", strerror(-ret)) : 0;
}

int net_tap_create(struct loop *loop, const char *name, int fd, struct net_backend **out_backend,
                   struct error *err)
{
	cleanup_free struct net_tap *tap = calloc(1, sizeof(*tap));
	cleanup_fd int opened = -1;

	if (!tap)
		return error_set(err, -ENOMEM, "no memory for net");
	*tap = (struct net_tap){ .backend = { .ops = &tap_ops, .up = true }, .loop = loop };
	int ret = name ? open_named(name, &opened, &tap->backend.mtu, err) : adopt(fd, err);
	if (ret == 0)
		ret = set_up(tap, name ? opened : fd, err);
	if (ret)
		return ret;
	tap->fd = name ? steal_fd(&opened) : fd;
	*out_backend = &tap->backend;
	steal_pointer(&tap);
	return 0;
}
