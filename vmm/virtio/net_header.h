/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_header.h - the header before each frame of virtio-net (virtio 1.2 §5.1.6), judged before it
 * goes to the host's kernel. Pure; any thread.
 */
#ifndef CLOCHE_VMM_VIRTIO_NET_HEADER_H
#define CLOCHE_VMM_VIRTIO_NET_HEADER_H

#include <stddef.h>
#include <stdint.h>

#define NET_HEADER_SIZE 12u
#define NET_HEADER_BUFFERS_AT 10u /* num_buffers, 16 bits */

/* Ethernet header and VLAN tag before the largest payload that a 16-bit length can tell. */
#define NET_FRAME_MAX (65535u + 18u)
#define NET_FRAME_MIN 14u

/* The feature bits that the device knows (§5.1.3). */
#define NET_F(bit) (1ull << (bit))

/*
 * Judges the guest's header @raw of a frame of @frame_size bytes under the negotiated @features.
 * NULL: @out_header is what may be passed on, with nothing in it that wasn't checked; otherwise the
 * rule that is broken, and @out_header is untouched.
 */
const char *net_header_check(const uint8_t raw[NET_HEADER_SIZE], uint64_t frame_size,
                             uint64_t features, uint8_t out_header[NET_HEADER_SIZE]);

#endif
