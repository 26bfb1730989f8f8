/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_rx.h - the receive buffers that a virtio-net device holds: taken from the queue before there
 * is a frame for them, so that a frame is read from the host straight into guest memory.
 *
 * Used under the device's lock. Which and how many chains a frame takes is known only when it is
 * there; the others stay for the next one. A chain is popped once and pushed once.
 */
#ifndef CLOCHE_VMM_VIRTIO_NET_RX_H
#define CLOCHE_VMM_VIRTIO_NET_RX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "vmm/virtio/queue.h"

/* One less than IOV_MAX: a read has a buffer of the host's behind them. */
#define NET_RX_IOV_MAX 1023

struct net_rx {
	bool mergeable; /* a frame may take several chains (virtio 1.2 §5.1.6.3.2); else one is held */
	unsigned first, count;       /* of .chains */
	unsigned iov_first, iov_end; /* of .iov */
	uint64_t size;               /* bytes of all chains held */
	struct {
		uint16_t head, buffers;
		uint32_t size;
	} chains[VIRTQUEUE_SIZE_MAX];
	struct iovec iov[NET_RX_IOV_MAX + 1];
};

/* Holds nothing; the queue is forgotten, too. */
void net_rx_init(struct net_rx *rx, bool mergeable);

/*
 * Takes chains from @queue until they hold the largest frame, or no more can be had. 0, or -EPROTO
 * with @err: a rule of the queue, a readable buffer, or one too small for the header.
 */
int net_rx_fill(struct net_rx *rx, struct virtqueue *queue, struct error *err);

/* All that could be taken is taken: waiting for more buffers is in vain. */
bool net_rx_is_full(const struct net_rx *rx, const struct virtqueue *queue);

/*
 * Gives the chains that the first @size > 0 bytes fill back to @queue, which are header and frame.
 * @size is at most rx->size. Writes the number of chains into the header.
 */
void net_rx_commit(struct net_rx *rx, struct virtqueue *queue, uint64_t size);

/* Copies to the buffers held, from @offset on, as much as there is room for; to the guest. */
void net_rx_write(struct net_rx *rx, uint64_t offset, const void *data, size_t size);

/* Copies what the buffers hold back to @out: at most @size bytes. */
void net_rx_read(const struct net_rx *rx, void *out, size_t size);

#endif
