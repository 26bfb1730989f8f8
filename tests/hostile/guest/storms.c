/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storms.c - attacks that never end. The guest doesn't say when it is through: run.py asks the VMM
 * things while they last, sees by the count of exits that they do, and ends it. A notification is no
 * exit to the VMM, so the rounds that only notify look at a register, too.
 */
#include "tests/hostile/guest/stream.h"

static struct queue queue;

static void start_rng(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	dev_go(dev);
}

static void endless_resets(struct dev *dev)
{
	for (;;)
		dev_reset(dev);
}

static void endless_resets_vsock(struct dev *dev)
{
	for (uint32_t port = 5000;; port++) {
		struct vsock vsock;

		vsock_start(&vsock, dev, RX_BUFFERS);
		vsock_say(&vsock, port, port & 1 ? PORT_SPRING : PORT_ECHO, OP_REQUEST);
	}
}

static void endless_notifications(struct dev *dev)
{
	start_rng(dev);
	for (;;) {
		queue_kick(&queue);
		dev_status(dev);
	}
}

static void endless_violations(struct dev *dev)
{
	for (;;) {
		start_rng(dev);
		queue_publish(&queue, 16);
		queue_kick(&queue);
		await_needs_reset(dev);
	}
}

/* The ring never runs empty: the index is always one ring ahead of what is used. */
static void endless_ring(struct dev *dev)
{
	struct vsock vsock;
	struct packet p;

	vsock_start(&vsock, dev, RX_BUFFERS);
	p = vsock_packet(&vsock, 1, 1, OP_RST);
	for (uint16_t i = 0; i < QUEUE_MAX; i++) {
		queue_describe(&vsock.tx, i, &p, sizeof(p), 0, 0);
		vsock.tx.memory->avail.ring[i] = i;
	}
	for (;;) {
		__atomic_store_n(&vsock.tx.memory->avail.idx,
		                 (uint16_t)(queue_used(&vsock.tx) + QUEUE_MAX), __ATOMIC_RELEASE);
		queue_kick(&vsock.tx);
		dev_status(dev);
	}
}

static void endless_requests(struct dev *dev)
{
	struct vsock vsock;

	vsock_start(&vsock, dev, RX_BUFFERS);
	for (uint32_t port = 5000;; port++) {
		vsock_say(&vsock, port, PORT_STALL, OP_REQUEST);
		vsock_say(&vsock, port, PORT_STALL, OP_RST);
		dev_status(dev);
	}
}

static void endless_lists(struct dev *dev)
{
	uint32_t *list = (uint32_t *)(uintptr_t)(16u << 20);

	for (unsigned i = 0; i < PAGE; i++)
		list[i] = (20u << 20) / PAGE + i % 1024;
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 128);
	queue_describe(&queue, 0, list, 4 * PAGE, 0, 0);
	dev_go(dev);
	for (;;) {
		__atomic_store_n(&queue.memory->avail.idx, (uint16_t)(queue_used(&queue) + 128),
		                 __ATOMIC_RELEASE);
		queue_kick(&queue);
		dev_status(dev);
	}
}

static void endless_routes(struct dev *dev)
{
	(void)dev;
	for (uint32_t i = 0;; i++) {
		mmio_write(LAYOUT_IOAPIC, 4, 0x10 + 2 * (i % 24));
		mmio_write(LAYOUT_IOAPIC + 0x10, 4, i & 1 ? 0x10000 : 0x20 + i % 0xd0);
	}
}

static void endless_console(struct dev *dev)
{
	(void)dev;
	for (unsigned i = 0;; i++)
		mmio_write(LAYOUT_SERIAL, 1, 'a' + i % 26);
}

const struct hostile_case storm_cases[] = {
	HOSTILE_CASE(endless_resets, DEVICE_RNG, SERVED),
	HOSTILE_CASE(endless_resets_vsock, DEVICE_VSOCK, SERVED),
	HOSTILE_CASE(endless_notifications, DEVICE_RNG, SERVED),
	HOSTILE_CASE(endless_violations, DEVICE_RNG, SERVED),
	HOSTILE_CASE(endless_ring, DEVICE_VSOCK, SERVED),
	HOSTILE_CASE(endless_requests, DEVICE_VSOCK, SERVED),
	HOSTILE_CASE(endless_lists, DEVICE_BALLOON, SERVED),
	HOSTILE_CASE(endless_routes, 0, SERVED),
	HOSTILE_CASE(endless_console, 0, SERVED),
	{ 0 },
};
