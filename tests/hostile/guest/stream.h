/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.h - as much of a vsock driver (virtio 1.2 §5.10) as lying takes.
 */
#ifndef CLOCHE_TESTS_HOSTILE_STREAM_H
#define CLOCHE_TESTS_HOSTILE_STREAM_H

#include "tests/hostile/guest/hostile.h"

#define HOST_CID 2u
#define GUEST_CID 3u
#define TYPE_STREAM 1u

#define OP_REQUEST 1u
#define OP_RESPONSE 2u
#define OP_RST 3u
#define OP_SHUTDOWN 4u
#define OP_RW 5u
#define OP_CREDIT_UPDATE 6u
#define OP_CREDIT_REQUEST 7u
#define SHUTDOWN_BOTH 3u

/* Host ports, as run.py serves them; nobody listens at the others. */
#define PORT_ECHO 7u    /* sends back what comes */
#define PORT_STALL 11u  /* accepts and never reads */
#define PORT_SHUT 13u   /* accepts and closes */
#define PORT_SPRING 19u /* accepts and sends without end */
#define PORT_NOBODY 99u

/* struct virtio_vsock_hdr */
struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

#define RX_BUFFERS 16
#define RX_BUFFER_SIZE 2048u

/* The device with its three queues; the receive queue is kept full. */
struct vsock {
	struct dev *dev;
	struct queue rx, tx, events;
	uint16_t seen;               /* receive buffers looked at */
	uint32_t buf_alloc, fwd_cnt; /* as the next packet claims */
};

/* From reset to DRIVER_OK with @count receive buffers, at most RX_BUFFERS. */
void vsock_start(struct vsock *vsock, struct dev *dev, unsigned count);
/* A packet from @port to host port @to that breaks no rule yet. */
struct packet vsock_packet(const struct vsock *vsock, uint32_t port, uint32_t to, unsigned op);
/* Sends @p and then @size bytes of @data (may be NULL); waits until the device has taken it. */
void vsock_send(struct vsock *vsock, const struct packet *p, const void *data, uint32_t size);
void vsock_say(struct vsock *vsock, uint32_t port, uint32_t to, unsigned op);
/* Waits for a packet; its data is at *@out_data until the next call, which recycles the buffer. */
struct packet vsock_receive(struct vsock *vsock, const uint8_t **out_data);
/* Waits for a packet that must be @op from host port @from to @port, skipping credit updates. */
void vsock_expect(struct vsock *vsock, uint32_t port, uint32_t from, unsigned op);
bool vsock_pending(const struct vsock *vsock); /* a packet is there */
/* A stream from @port to @to: REQUEST and its RESPONSE. */
void vsock_connect(struct vsock *vsock, uint32_t port, uint32_t to);

#endif
