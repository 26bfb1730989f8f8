/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * life.c - a device's life out of order: features, status, notifications and resets at any time.
 */
#include "tests/hostile/guest/stream.h"

#define RESETS 2000u

static struct queue queue;

static void start_rng(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	dev_go(dev);
}

static void ask(void)
{
	queue_publish(&queue, 0);
	queue_kick(&queue);
	check(queue_await(&queue) == 8, "served");
}

/* All that the I/O thread was to do for anybody is done. */
static void settle(void)
{
	serve(DEVICE_VSOCK);
}

/* --- features and status --- */

static void features_not_offered(struct dev *dev)
{
	uint64_t offered = dev_features(dev);

	for (unsigned bit = 0; bit < 64; bit++) {
		if (offered >> bit & 1)
			continue;
		dev_negotiate(dev, 1ull << bit);
		check(!(dev_status(dev) & STATUS_FEATURES_OK), "refused");
	}
	dev_go(dev);
	check(!(dev_status(dev) & STATUS_DRIVER_OK), "and no DRIVER_OK without it");
}

static void features_without_version_1(struct dev *dev)
{
	dev_reset(dev);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	check(!(dev_status(dev) & STATUS_FEATURES_OK), "legacy is refused");
}

static void queue_before_features(struct dev *dev)
{
	dev_reset(dev);
	queue_start(&queue, dev, 0, 16);
	check(reg_read(dev, REG_QUEUE_READY) == 0, "no queue before FEATURES_OK");
}

static void driver_ok_first(struct dev *dev)
{
	dev_reset(dev);
	reg_write(dev, REG_STATUS, STATUS_DRIVER_OK);
	check(!(dev_status(dev) & STATUS_DRIVER_OK), "refused");
}

static void driver_ok_without_queues(struct dev *dev)
{
	dev_negotiate(dev, 0);
	dev_go(dev);
	reg_write(dev, REG_QUEUE_NOTIFY, 0);
	settle();
	check(dev_status(dev) == STATUS_RUNNING, "nothing happens");
}

static void status_bits_taken_back(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE);
	check(dev_status(dev) == STATUS_RUNNING, "bits are only added");
	ask();
}

static void status_reserved_bits(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_STATUS, 0xffffff30 | STATUS_RUNNING);
	check(dev_status(dev) == STATUS_RUNNING, "reserved bits don't stick");
	ask();
}

static void status_needs_reset_by_driver(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_STATUS, STATUS_NEEDS_RESET | STATUS_RUNNING);
	check(dev_status(dev) == STATUS_RUNNING, "it's the device's to say");
	ask();
}

static void status_all_at_once(struct dev *dev)
{
	dev_reset(dev);
	reg_write(dev, REG_DRIVER_FEATURES_SEL, 1);
	reg_write(dev, REG_DRIVER_FEATURES, 1);
	reg_write(dev, REG_STATUS, 0xffffffff);
	uint32_t status = dev_status(dev);
	check(!(status & STATUS_NEEDS_RESET) && !(status & 0xffffff30),
	      "what there is, and no more");
}

static void status_failed(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_STATUS, STATUS_FAILED | STATUS_RUNNING);
	check(dev_status(dev) & STATUS_FAILED, "the driver gives up");
	queue_publish(&queue, 0);
	queue_kick(&queue);
	settle();
}

static void ack_garbage(struct dev *dev)
{
	start_rng(dev);
	ask();
	reg_write(dev, REG_INTERRUPT_ACK, 0xffffffff);
	check(reg_read(dev, REG_INTERRUPT_STATUS) == 0, "all acknowledged");
	reg_write(dev, REG_INTERRUPT_ACK, 0xfffffffc);
	for (unsigned i = 0; i < 1000; i++)
		reg_write(dev, REG_INTERRUPT_ACK, 3);
	ask();
}

/* --- resets and notifications at any time --- */

/* What was under way may be used or not before the reset reads back; not a byte comes after. */
static void reset_during_io(struct dev *dev)
{
	for (unsigned round = 0; round < 200; round++) {
		start_rng(dev);
		queue_describe(&queue, 0, canary, 256, DESC_WRITE, 0);
		for (unsigned i = 0; i < 16; i++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		for (unsigned i = 0; i < round * 8; i++)
			relax();
		dev_reset(dev);
		while (dev_status(dev) != 0)
			relax();
		uint16_t used = queue_used(&queue);
		memset(canary, 0x5a, 256);
		if (round % 20 == 0)
			settle();
		for (unsigned i = 0; i < 256; i++)
			check(canary[i] == 0x5a, "no byte after the reset");
		check(queue_used(&queue) == used, "nothing is used after the reset");
	}
}

static void reset_storm(struct dev *dev)
{
	for (unsigned i = 0; i < RESETS; i++)
		dev_reset(dev);
	start_rng(dev);
	ask();
}

static void reset_storm_running(struct dev *dev)
{
	for (unsigned i = 0; i < RESETS / 10; i++) {
		start_rng(dev);
		queue_publish(&queue, 0);
		queue_kick(&queue);
	}
	dev_reset(dev);
}

static void reset_storm_vsock(struct dev *dev)
{
	for (unsigned i = 0; i < RESETS; i++)
		dev_reset(dev);
	for (unsigned i = 0; i < 50; i++) {
		struct vsock vsock;

		vsock_start(&vsock, dev, RX_BUFFERS);
		vsock_say(&vsock, 4000 + i, PORT_ECHO, OP_REQUEST);
	}
}

static void notify_before_driver_ok(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	settle();
	check(queue_used(&queue) == 0, "not before DRIVER_OK");
	dev_go(dev);
	queue_kick(&queue);
	queue_await(&queue);
}

static void notify_after_reset(struct dev *dev)
{
	start_rng(dev);
	dev_reset(dev);
	for (unsigned i = 0; i < 100; i++)
		queue_kick(&queue);
	settle();
	check(queue_used(&queue) == 0, "a reset device does nothing");
}

static void notify_storm(struct dev *dev)
{
	start_rng(dev);
	for (unsigned i = 0; i < 20000; i++)
		queue_kick(&queue);
	ask();
}

static void notify_storm_while_broken(struct dev *dev)
{
	start_rng(dev);
	queue_publish(&queue, 16);
	queue_kick(&queue);
	await_needs_reset(dev);
	for (unsigned i = 0; i < 2000; i++)
		queue_kick(&queue);
	settle();
	check(queue_used(&queue) == 0, "a broken device does nothing");
}

/* The same rule, broken again and again: the log must not grow with it. */
static void violation_storm(struct dev *dev)
{
	for (unsigned i = 0; i < 500; i++) {
		start_rng(dev);
		queue_publish(&queue, 16);
		queue_kick(&queue);
		await_needs_reset(dev);
		check(reg_read(dev, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG,
		      "each time it says so");
	}
	dev_reset(dev);
}

static void activation_storm(struct dev *dev)
{
	for (unsigned i = 0; i < 1000; i++) {
		dev_negotiate(dev, 0);
		queue_start(&queue, dev, 0, 3);
	}
	dev_reset(dev);
}

#define RNG_CASE(name_) HOSTILE_CASE(name_, DEVICE_RNG, SERVED)
#define VSOCK_CASE(name_) HOSTILE_CASE(name_, DEVICE_VSOCK, SERVED)

const struct hostile_case life_cases[] = {
	RNG_CASE(features_not_offered),
	RNG_CASE(features_without_version_1),
	RNG_CASE(queue_before_features),
	RNG_CASE(driver_ok_first),
	RNG_CASE(driver_ok_without_queues),
	RNG_CASE(status_bits_taken_back),
	RNG_CASE(status_reserved_bits),
	RNG_CASE(status_needs_reset_by_driver),
	RNG_CASE(status_all_at_once),
	RNG_CASE(status_failed),
	RNG_CASE(ack_garbage),
	RNG_CASE(reset_during_io),
	RNG_CASE(reset_storm),
	RNG_CASE(reset_storm_running),
	VSOCK_CASE(reset_storm_vsock),
	RNG_CASE(notify_before_driver_ok),
	RNG_CASE(notify_after_reset),
	RNG_CASE(notify_storm),
	HOSTILE_CASE(notify_storm_while_broken, DEVICE_RNG, NEEDS_RESET),
	RNG_CASE(violation_storm),
	RNG_CASE(activation_storm),
	{ 0 },
};
