/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_packet.h - what travels in vsock's queues (virtio 1.2 §5.10.6): header and data. Pure
 * functions, any thread.
 */
#ifndef CLOCHE_VMM_VIRTIO_VSOCK_PACKET_H
#define CLOCHE_VMM_VIRTIO_VSOCK_PACKET_H

#include <stdint.h>
#include <sys/uio.h>

#include "vmm/virtio/queue.h"

#define VSOCK_HOST_CID 2
#define VSOCK_TYPE_STREAM 1
#define VSOCK_HEADER_SIZE 44

enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

/* struct virtio_vsock_hdr in the host's byte order. */
struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

void vsock_packet_encode(const struct vsock_packet *p, uint8_t out[VSOCK_HEADER_SIZE]);
void vsock_packet_decode(const uint8_t in[VSOCK_HEADER_SIZE], struct vsock_packet *p);

/* Writes the header to the begin of @buffers, which have room for it. */
void vsock_packet_put(const struct virtqueue_buffer *buffers, unsigned count,
                      const struct vsock_packet *p);

/*
 * Where a packet's data lies: the part of @buffers behind the header, at most @size bytes of it.
 * @out_iov has room for @count entries. The number of entries filled.
 */
int vsock_packet_data(const struct virtqueue_buffer *buffers, unsigned count, uint32_t size,
                      struct iovec *out_iov);

#endif
