/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_unplugged.c - a card without a cable. A copy of a guest keeps the card that its original has,
 * but not the net behind it, unless it is given one of its own.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "vmm/virtio/net_backend.h"
#include "vmm/virtio/net_header.h"

/* All that a back end may offer (net_tap.c), as the driver may have accepted it. */
#define FEATURES                                                                                   \
	(NET_F(VIRTIO_NET_F_CSUM) | NET_F(VIRTIO_NET_F_GUEST_CSUM) |                               \
	 NET_F(VIRTIO_NET_F_HOST_TSO4) | NET_F(VIRTIO_NET_F_HOST_TSO6) |                           \
	 NET_F(VIRTIO_NET_F_HOST_ECN) | NET_F(VIRTIO_NET_F_GUEST_TSO4) |                           \
	 NET_F(VIRTIO_NET_F_GUEST_TSO6) | NET_F(VIRTIO_NET_F_GUEST_ECN) | NET_F(VIRTIO_NET_F_MTU))

static enum net_sent unplugged_send(struct net_backend *backend, struct iovec *iov, int count,
                                    size_t size)
{
	(void)backend;
	(void)iov;
	(void)count;
	(void)size;
	return NET_DROPPED;
}

static size_t unplugged_receive(struct net_backend *backend, const struct iovec *iov, int count)
{
	(void)backend;
	(void)iov;
	(void)count;
	return 0;
}

static void unplugged_want(struct net_backend *backend, bool in, bool out)
{
	(void)backend;
	(void)in;
	(void)out;
}

static void unplugged_negotiated(struct net_backend *backend, uint64_t features)
{
	(void)backend;
	(void)features;
}

static void unplugged_destroy(struct net_backend *backend)
{
	free(backend);
}

static const struct net_backend_ops unplugged_ops = {
	.send = unplugged_send,
	.receive = unplugged_receive,
	.want = unplugged_want,
	.negotiated = unplugged_negotiated,
	.destroy = unplugged_destroy,
};

int net_unplugged_create(struct net_backend **out_backend, struct error *err)
{
	struct net_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return error_set(err, -ENOMEM, "no memory for net");
	*backend = (struct net_backend){ .ops = &unplugged_ops, .features = FEATURES };
	*out_backend = backend;
	return 0;
}
