/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - a network card (virtio 1.2 §5.1) with one pair of queues. Made only when it was asked for.
 *
 * Main thread creates it; from then on the I/O thread moves frames, vCPU threads read its registers.
 */
#ifndef CLOCHE_VMM_VIRTIO_NET_H
#define CLOCHE_VMM_VIRTIO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/virtio/device.h"

#define NET_MAC_SIZE 6

/* NET_UNPLUGGED: a card without a cable, for the copy of a guest that knows its card. */
enum net_kind { NET_NONE, NET_TAP, NET_TAP_FD, NET_STREAM, NET_UNPLUGGED };

/* What the command line says of it. */
struct net_config {
	enum net_kind kind;
	const char *target; /* borrowed: NET_TAP an interface's name, NET_STREAM a socket's path */
	int fd;             /* NET_TAP_FD; the device takes it over */
	bool has_mac;
	uint8_t mac[NET_MAC_SIZE];
	/* In each direction, a second; 0: no limit. At most TOKEN_BUCKET_RATE_MAX. */
	uint64_t rate_bytes, rate_packets;
};

/* 0 or -errno with one line that says what to do. @config is copied, but for its .target. */
int virtio_net_create(const struct virtio_place *place, const struct net_config *config,
                      struct virtio_device **out_dev, struct error *err);

/*
 * Lets no frame in or out until virtio_net_open(): a copy of a guest must not speak before it knows
 * that it is one. Shut before the guest runs, opened by the I/O thread.
 */
void virtio_net_shut(struct virtio_device *dev);
void virtio_net_open(struct virtio_device *dev);

#endif
