/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/hostile/guest/stream.h"

#define QUEUE_RX 0
#define QUEUE_TX 1
#define QUEUE_EVENTS 2

static uint8_t rx_memory[RX_BUFFERS][RX_BUFFER_SIZE];
static struct packet tx_header;

void vsock_start(struct vsock *vsock, struct dev *dev, unsigned count)
{
	*vsock = (struct vsock){ .dev = dev, .buf_alloc = 256u << 10 };
	dev_negotiate(dev, 0);
	queue_start(&vsock->rx, dev, QUEUE_RX, RX_BUFFERS);
	queue_start(&vsock->tx, dev, QUEUE_TX, QUEUE_MAX);
	queue_start(&vsock->events, dev, QUEUE_EVENTS, RX_BUFFERS);
	for (unsigned k = 0; k < count; k++) {
		uint16_t i = (uint16_t)k;

		queue_describe(&vsock->rx, i, rx_memory[i], RX_BUFFER_SIZE, DESC_WRITE, 0);
		queue_publish(&vsock->rx, i);
	}
	dev_go(dev);
	queue_kick(&vsock->rx);
}

struct packet vsock_packet(const struct vsock *vsock, uint32_t port, uint32_t to, unsigned op)
{
	return (struct packet){ .src_cid = GUEST_CID,
		                .dst_cid = HOST_CID,
		                .src_port = port,
		                .dst_port = to,
		                .type = TYPE_STREAM,
		                .op = (uint16_t)op,
		                .buf_alloc = vsock->buf_alloc,
		                .fwd_cnt = vsock->fwd_cnt };
}

void vsock_send(struct vsock *vsock, const struct packet *p, const void *data, uint32_t size)
{
	tx_header = *p;
	queue_describe(&vsock->tx, 0, &tx_header, sizeof(tx_header), size ? DESC_NEXT : 0, 1);
	queue_describe(&vsock->tx, 1, data, size, 0, 0);
	queue_publish(&vsock->tx, 0);
	queue_kick(&vsock->tx);
	queue_await(&vsock->tx);
}

void vsock_say(struct vsock *vsock, uint32_t port, uint32_t to, unsigned op)
{
	struct packet p = vsock_packet(vsock, port, to, op);

	vsock_send(vsock, &p, NULL, 0);
}

bool vsock_pending(const struct vsock *vsock)
{
	return queue_used(&vsock->rx) != vsock->seen;
}

struct packet vsock_receive(struct vsock *vsock, const uint8_t **out_data)
{
	struct packet p;

	while (!vsock_pending(vsock))
		relax();
	uint32_t slot = vsock->rx.memory->used.ring[vsock->seen % RX_BUFFERS].id % RX_BUFFERS;
	memcpy(&p, rx_memory[slot], sizeof(p));
	*out_data = rx_memory[slot] + sizeof(p);
	vsock->seen++;
	queue_publish(&vsock->rx, (uint16_t)slot);
	queue_kick(&vsock->rx);
	check(p.src_cid == HOST_CID && p.dst_cid == GUEST_CID && p.type == TYPE_STREAM,
	      "a packet from host to guest");
	check(p.len <= RX_BUFFER_SIZE - sizeof(p), "a packet fits its buffer");
	return p;
}

void vsock_expect(struct vsock *vsock, uint32_t port, uint32_t from, unsigned op)
{
	const uint8_t *data;
	struct packet p;

	do
		p = vsock_receive(vsock, &data);
	while (p.op == OP_CREDIT_UPDATE && op != OP_CREDIT_UPDATE);
	if (p.op != op || p.dst_port != port || p.src_port != from) {
		print_value("got operation", p.op);
		print_value("got to port", p.dst_port);
		print_value("got from port", p.src_port);
		check(false, "the packet that is due");
	}
}

void vsock_connect(struct vsock *vsock, uint32_t port, uint32_t to)
{
	vsock_say(vsock, port, to, OP_REQUEST);
	vsock_expect(vsock, port, to, OP_RESPONSE);
}
