/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_framing.h - frames in a byte stream: 32-bit big-endian length, then the frame; what QEMU's
 * `-netdev stream` and passt speak.
 *
 * Pure; one thread at a time. The peer is not trusted: a length beyond NET_FRAME_MAX ends the stream.
 *
 *	net_framing_space -> read into it -> net_framing_filled -> net_framing_next until 0
 */
#ifndef CLOCHE_VMM_VIRTIO_NET_FRAMING_H
#define CLOCHE_VMM_VIRTIO_NET_FRAMING_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/virtio/net_header.h"

#define NET_FRAMING_PREFIX 4u
/* Room for the largest frame, and for many small ones to come with one read. */
#define NET_FRAMING_BUFFER (NET_FRAMING_PREFIX + NET_FRAME_MAX + 65536u)

struct net_framing {
	size_t start, end; /* what of .bytes is filled and not yet handed out */
	uint8_t bytes[NET_FRAMING_BUFFER];
};

/* Forgets what is there: a new stream begins. */
void net_framing_init(struct net_framing *framing);

/* Where the next bytes of the stream go; @out_size > 0 if net_framing_next() has said 0 before. */
uint8_t *net_framing_space(struct net_framing *framing, size_t *out_size);

/* @size bytes, at most what net_framing_space() offered, were put there. */
void net_framing_filled(struct net_framing *framing, size_t size);

/*
 * The next frame. 1: *out_frame, valid until net_framing_space(), has *out_size bytes,
 * NET_FRAME_MIN at least (shorter ones are skipped); 0: more bytes are needed; -EPROTO: a length
 * that no frame has; the stream can't be followed any further.
 */
int net_framing_next(struct net_framing *framing, const uint8_t **out_frame, size_t *out_size);

/* The length before a frame of @size bytes. */
void net_framing_prefix(size_t size, uint8_t out_prefix[NET_FRAMING_PREFIX]);

#endif
