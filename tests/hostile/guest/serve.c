/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.c - does a device still do its work? One exchange each, by the book, checked.
 */
#include "tests/hostile/guest/stream.h"

#define PMEM_FLUSH 0u

static void serve_rng(struct dev *dev)
{
	static uint8_t bytes[64];
	struct queue queue;
	unsigned zeros = 0;

	memset(bytes, 0, sizeof(bytes));
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	dev_go(dev);
	queue_describe(&queue, 0, bytes, sizeof(bytes), DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	check(queue_await(&queue) == sizeof(bytes), "serve: rng fills the buffer");
	for (size_t i = 0; i < sizeof(bytes); i++)
		zeros += bytes[i] == 0;
	check(zeros < sizeof(bytes) / 2, "serve: rng's bytes are random");
}

static void serve_pmem(struct dev *dev)
{
	static uint32_t type = PMEM_FLUSH, answer;
	struct queue queue;

	answer = ~0u;
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	dev_go(dev);
	queue_describe(&queue, 0, &type, sizeof(type), DESC_NEXT, 1);
	queue_describe(&queue, 1, &answer, sizeof(answer), DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	check(queue_await(&queue) == sizeof(answer) && answer == 0, "serve: pmem flushes");
}

/* A stream to the echo, one line there and back, and its end. */
static void serve_vsock(struct dev *dev)
{
	static const uint8_t line[] = "still there";
	struct vsock vsock;
	const uint8_t *data;
	struct packet p;

	vsock_start(&vsock, dev, RX_BUFFERS);
	vsock_connect(&vsock, 4000, PORT_ECHO);
	p = vsock_packet(&vsock, 4000, PORT_ECHO, OP_RW);
	p.len = sizeof(line);
	vsock_send(&vsock, &p, line, sizeof(line));
	p = vsock_receive(&vsock, &data);
	check(p.op == OP_RW && p.len == sizeof(line) && data[0] == line[0] && data[6] == line[6],
	      "serve: vsock echoes");
	p = vsock_packet(&vsock, 4000, PORT_ECHO, OP_SHUTDOWN);
	p.flags = SHUTDOWN_BOTH;
	vsock_send(&vsock, &p, NULL, 0);
	vsock_expect(&vsock, 4000, PORT_ECHO, OP_RST);
}

void serve(unsigned id)
{
	static const struct {
		unsigned id;
		void (*serve)(struct dev *dev);
	} services[] = {
		{ DEVICE_RNG, serve_rng },         { DEVICE_PMEM, serve_pmem },
		{ DEVICE_VSOCK, serve_vsock },     { DEVICE_BLK, serve_blk },
		{ DEVICE_BALLOON, serve_balloon }, { DEVICE_NET, serve_net },
	};
	struct dev dev;

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (services[i].id != id || !dev_find(&dev, id))
			continue;
		services[i].serve(&dev);
		check(!(dev_status(&dev) & STATUS_NEEDS_RESET), "serve: all is well");
		dev_reset(&dev);
		check(dev_status(&dev) == 0, "serve: reset");
	}
}
