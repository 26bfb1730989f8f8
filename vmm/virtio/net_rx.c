/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_rx.c - see net_rx.h. Both arrays are filled from the front and used up from the front; they
 * are moved down when there is no more room behind.
 */
#include "vmm/virtio/net_rx.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "vmm/virtio/net_header.h"

void net_rx_init(struct net_rx *rx, bool mergeable)
{
	rx->mergeable = mergeable;
	rx->first = rx->count = 0;
	rx->iov_first = rx->iov_end = 0;
	rx->size = 0;
}

static void move_down(struct net_rx *rx)
{
	memmove(rx->chains, rx->chains + rx->first, rx->count * sizeof(rx->chains[0]));
	rx->first = 0;
	rx->iov_end -= rx->iov_first;
	memmove(rx->iov, rx->iov + rx->iov_first, rx->iov_end * sizeof(rx->iov[0]));
	rx->iov_first = 0;
}

/* A driver may offer one chain many times: what is held is bounded by the queue, not by it. */
static unsigned chains_max(const struct net_rx *rx, const struct virtqueue *queue)
{
	return rx->mergeable ? queue->size : 1;
}

/* Room for one more chain; net_rx_is_full() has said no. */
static void make_room(struct net_rx *rx, const struct virtqueue *queue)
{
	if (rx->first + rx->count == VIRTQUEUE_SIZE_MAX ||
	    rx->iov_end + queue->size > NET_RX_IOV_MAX)
		move_down(rx);
}

bool net_rx_is_full(const struct net_rx *rx, const struct virtqueue *queue)
{
	return rx->count == chains_max(rx, queue) ||
	       rx->iov_end - rx->iov_first + queue->size > NET_RX_IOV_MAX;
}

int net_rx_fill(struct net_rx *rx, struct virtqueue *queue, struct error *err)
{
	struct virtqueue_chain chain;
	int got;

	while (rx->size < NET_HEADER_SIZE + NET_FRAME_MAX && !net_rx_is_full(rx, queue)) {
		make_room(rx, queue);
		got = virtqueue_pop(queue, &chain, err);
		if (got <= 0)
			return got;
		if (chain.readable || chain.writable_size < NET_HEADER_SIZE)
			return error_set(err, -EPROTO,
			                 "net: receive buffer that is readable, or too small for "
			                 "the header");
		rx->chains[rx->first + rx->count].head = chain.head;
		rx->chains[rx->first + rx->count].buffers = (uint16_t)chain.writable;
		rx->chains[rx->first + rx->count].size = (uint32_t)chain.writable_size;
		rx->count++;
		for (unsigned i = 0; i < chain.writable; i++)
			rx->iov[rx->iov_end++] =
				(struct iovec){ chain.buffers[i].data, chain.buffers[i].size };
		rx->size += chain.writable_size;
	}
	return 0;
}

/* The one loop behind read and write; @to_guest says which way. */
static void copy(const struct net_rx *rx, uint64_t offset, uint8_t *host, size_t size,
                 bool to_guest)
{
	for (unsigned i = rx->iov_first; i < rx->iov_end && size > 0; i++) {
		const struct iovec *iov = &rx->iov[i];
		size_t skip = offset < iov->iov_len ? (size_t)offset : iov->iov_len;
		size_t n = iov->iov_len - skip < size ? iov->iov_len - skip : size;
		uint8_t *guest = (uint8_t *)iov->iov_base + skip;

		if (to_guest)
			memcpy(guest, host, n);
		else
			memcpy(host, guest, n);
		offset -= skip;
		host += n;
		size -= n;
	}
}

void net_rx_write(struct net_rx *rx, uint64_t offset, const void *data, size_t size)
{
	/* The cast drops const for the shared loop, which doesn't write to it in this direction. */
	copy(rx, offset, (uint8_t *)(uintptr_t)data, size, true);
}

void net_rx_read(const struct net_rx *rx, void *out, size_t size)
{
	copy(rx, 0, out, size, false);
}

void net_rx_commit(struct net_rx *rx, struct virtqueue *queue, uint64_t size)
{
	struct virtqueue_used used[VIRTQUEUE_SIZE_MAX];
	unsigned count = 0;

	ASSERT(size > 0 && size <= rx->size);
	for (uint64_t left = size; left > 0; count++) {
		uint32_t room = rx->chains[rx->first + count].size;

		used[count].head = rx->chains[rx->first + count].head;
		used[count].written = left < room ? (uint32_t)left : room;
		left -= used[count].written;
	}
	uint16_t buffers = htole16((uint16_t)count);
	net_rx_write(rx, NET_HEADER_BUFFERS_AT, &buffers, sizeof(buffers));
	for (unsigned i = 0; i < count; i++) {
		rx->size -= rx->chains[rx->first + i].size;
		rx->iov_first += rx->chains[rx->first + i].buffers;
	}
	rx->first += count;
	rx->count -= count;
	virtqueue_push_many(queue, used, count);
}
