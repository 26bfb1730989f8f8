/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport.c - registers at the wrong time, of the wrong width, with the wrong value.
 */
#include "tests/hostile/guest/stream.h"

#define REG_SHM_LEN 0x0b0u

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

/* --- accesses --- */

static void read_odd_width(struct dev *dev)
{
	static const unsigned sizes[] = { 1, 2, 8 };

	for (size_t i = 0; i < 3; i++)
		for (unsigned reg = 0; reg < REG_CONFIG; reg += 8)
			check(mmio_read(dev->base + reg, sizes[i]) == 0, "an odd width reads 0");
}

static void read_misaligned(struct dev *dev)
{
	for (unsigned reg = 0; reg < REG_CONFIG - 4; reg++)
		if (reg % 4)
			check(mmio_read(dev->base + reg, 4) == 0, "a misaligned access reads 0");
}

static void write_odd_width(struct dev *dev)
{
	static const unsigned sizes[] = { 1, 2, 8 };

	start_rng(dev);
	for (size_t i = 0; i < 3; i++)
		mmio_write(dev->base + REG_STATUS, sizes[i], 0);
	check(dev_status(dev) == STATUS_RUNNING, "no reset by an odd width");
	ask();
}

static void write_misaligned(struct dev *dev)
{
	start_rng(dev);
	for (unsigned shift = 1; shift < 4; shift++) {
		mmio_write(dev->base + REG_STATUS - shift, 4, 0);
		mmio_write(dev->base + REG_STATUS + shift, 4, 0);
	}
	check(dev_status(dev) == STATUS_RUNNING, "no reset by a misaligned access");
	ask();
}

static void notify_odd_width(struct dev *dev)
{
	start_rng(dev);
	queue_publish(&queue, 0);
	mmio_write(dev->base + REG_QUEUE_NOTIFY, 1, 0);
	mmio_write(dev->base + REG_QUEUE_NOTIFY, 2, 0);
	mmio_write(dev->base + REG_QUEUE_NOTIFY, 8, 0);
	mmio_write(dev->base + REG_QUEUE_NOTIFY + 2, 4, 0);
	serve(DEVICE_VSOCK); /* all that was to be done for anybody is done then */
	check(queue_used(&queue) == 0, "no notification");
	queue_kick(&queue);
	queue_await(&queue);
}

/* Across the end of the page, into the next device's or nobody's. */
static void cross_the_page(struct dev *dev)
{
	mmio_write(dev->base + 0xffe, 4, 0xffffffff);
	mmio_write(dev->base + 0xffc, 8, ~0ull);
	mmio_read(dev->base + 0xffe, 4);
	mmio_read(dev->base + 0xffc, 8);
	mmio_read(dev->base + 0xfff, 2);
	check(mmio_read(dev->base + 0xfff, 1) == 0, "the last byte");
}

static void write_read_only(struct dev *dev)
{
	static const unsigned regs[] = {
		REG_MAGIC,           REG_VERSION,       REG_DEVICE_ID,        REG_VENDOR_ID,
		REG_DEVICE_FEATURES, REG_QUEUE_NUM_MAX, REG_INTERRUPT_STATUS, REG_CONFIG_GENERATION
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint32_t before = reg_read(dev, regs[i]);

		reg_write(dev, regs[i], ~before);
		check(reg_read(dev, regs[i]) == before, "a read-only register");
	}
}

static void read_write_only(struct dev *dev)
{
	start_rng(dev);
	check(reg_read(dev, REG_QUEUE_DESC) == 0 && reg_read(dev, REG_QUEUE_NOTIFY) == 0 &&
	              reg_read(dev, REG_DRIVER_FEATURES) == 0,
	      "write-only registers read 0");
	ask();
}

static void no_shared_memory(struct dev *dev)
{
	for (unsigned reg = REG_SHM_LEN; reg < REG_SHM_LEN + 16; reg += 4) {
		reg_write(dev, reg, 0);
		check(reg_read(dev, reg) == 0xffffffff, "there is no region");
	}
}

static void sweep_reads(struct dev *dev)
{
	start_rng(dev);
	for (unsigned offset = 0; offset < 0x1000; offset += 3)
		mmio_read(dev->base + offset, 1u << offset % 4);
	ask();
}

/* 4000 writes of anything to anywhere, the notification register and a reset among them. */
static void sweep_writes(struct dev *dev)
{
	for (unsigned i = 0; i < 4000; i++) {
		unsigned offset = random32() % (i % 2 ? 0x100 : 0x1000);
		uint64_t value = random32() % 4 ? random32() : random32() % 16;

		mmio_write(dev->base + offset, 1u << random32() % 4, value);
	}
	dev_reset(dev);
	check(dev_status(dev) == 0, "reset");
}

/* --- configuration space --- */

static void config_read_past_end(struct dev *dev)
{
	check(mmio_read(dev->base + REG_CONFIG, 8) == GUEST_CID, "the CID");
	check(mmio_read(dev->base + REG_CONFIG + 8, 4) == 0, "directly behind the end");
	check(mmio_read(dev->base + REG_CONFIG + 4, 8) == 0, "over the end");
	check(mmio_read(dev->base + REG_CONFIG + 7, 2) == 0, "over the end, misaligned");
	check(mmio_read(dev->base + REG_CONFIG + 7, 1) == 0, "the last byte");
	check(mmio_read(dev->base + 0xff8, 8) == 0, "the last words of the page");
}

static void config_write_past_end(struct dev *dev)
{
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned offset = REG_CONFIG; offset < 0x1000; offset += 61)
			mmio_write(dev->base + offset, size, ~0ull);
	check(mmio_read(dev->base + REG_CONFIG, 8) == GUEST_CID, "the CID stays");
}

static void config_of_none(struct dev *dev)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		mmio_write(dev->base + REG_CONFIG, size, ~0ull);
		check(mmio_read(dev->base + REG_CONFIG, size) == 0, "no space at all");
	}
}

/* --- after DRIVER_OK --- */

static void frozen_size(struct dev *dev)
{
	start_rng(dev);
	for (unsigned i = 0; i < 5; i++)
		ask();
	reg_write(dev, REG_QUEUE_NUM, 4);
	reg_write(dev, REG_QUEUE_NUM, 0xffffffff);
	for (unsigned i = 0; i < 40; i++)
		ask();
}

static void frozen_addresses(struct dev *dev)
{
	struct ring_place elsewhere = { 16, LAYOUT_HOLE_START, LAYOUT_HOLE_START,
		                        LAYOUT_HOLE_START };

	start_rng(dev);
	queue_place(&queue, &elsewhere);
	ask();
	/* And not with the next QueueReady either. */
	queue_ready(&queue);
	ask();
}

static void ready_twice(struct dev *dev)
{
	start_rng(dev);
	ask();
	queue_ready(&queue);
	queue_ready(&queue);
	ask();
	check(queue_used(&queue) == 2, "the ring wasn't started over");
}

static void ready_taken_back(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_QUEUE_READY, 0);
	check(reg_read(dev, REG_QUEUE_READY) == 1, "only a reset takes it back");
	ask();
}

static void ready_garbage(struct dev *dev)
{
	dev_negotiate(dev, 0);
	struct ring_place place = queue_init(&queue, dev, 0, 16);
	queue_place(&queue, &place);
	reg_write(dev, REG_QUEUE_READY, 2);
	reg_write(dev, REG_QUEUE_READY, 0xffffffff);
	check(reg_read(dev, REG_QUEUE_READY) == 0, "only 1 makes it ready");
}

static void features_after_ok(struct dev *dev)
{
	start_rng(dev);
	reg_write(dev, REG_DRIVER_FEATURES_SEL, 0);
	reg_write(dev, REG_DRIVER_FEATURES, (uint32_t)F_INDIRECT);
	dev_reset(dev);
	dev_negotiate(dev, 0);
	reg_write(dev, REG_DRIVER_FEATURES_SEL, 0);
	reg_write(dev, REG_DRIVER_FEATURES, (uint32_t)F_INDIRECT);
	queue_start(&queue, dev, 0, 16);
	indirect_table[0] = (struct vring_desc){ AT(buffer), 8, DESC_WRITE, 0 };
	queue_describe(&queue, 0, indirect_table, 16, DESC_INDIRECT, 0);
	dev_go(dev);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

static void queue_ready_after_driver_ok(struct dev *dev)
{
	dev_negotiate(dev, 0);
	dev_go(dev);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	ask();
}

/* --- selection --- */

static void queue_select_out_of_range(struct dev *dev)
{
	static const uint32_t wrong[] = { 1, 5, 8, 0xffff, 0x10000, 0x7fffffff, 0xffffffff };

	start_rng(dev);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct ring_place place = { 16, 0, 0, 0 };
		struct queue nobody = queue;

		nobody.index = wrong[i];
		check(reg_read(dev, REG_QUEUE_NUM_MAX) == (i ? 0 : 16), "no such queue");
		queue_place(&nobody, &place);
		queue_ready(&nobody);
		check(reg_read(dev, REG_QUEUE_READY) == 0, "and it doesn't get ready");
	}
	ask();
}

static void notify_out_of_range(struct dev *dev)
{
	static const uint32_t wrong[] = { 1, 2, 5, 0xffff, 0x10000, 0xffffffff };

	start_rng(dev);
	queue_publish(&queue, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		reg_write(dev, REG_QUEUE_NOTIFY, wrong[i]);
	serve(DEVICE_VSOCK); /* all that was to be done for anybody is done then */
	check(queue_used(&queue) == 0, "nobody was notified");
	queue_kick(&queue);
	queue_await(&queue);
}

static void feature_select_out_of_range(struct dev *dev)
{
	static const uint32_t wrong[] = { 2, 3, 32, 0x80000000, 0xffffffff };

	dev_reset(dev);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		reg_write(dev, REG_DEVICE_FEATURES_SEL, wrong[i]);
		check(reg_read(dev, REG_DEVICE_FEATURES) == 0, "no features there");
		reg_write(dev, REG_DRIVER_FEATURES_SEL, wrong[i]);
		reg_write(dev, REG_DRIVER_FEATURES, 0xffffffff);
	}
	dev_negotiate(dev, 0);
	check(dev_status(dev) & STATUS_FEATURES_OK, "what was written there doesn't count");
}

#define RNG_CASE(name_) HOSTILE_CASE(name_, DEVICE_RNG, SERVED)
#define VSOCK_CASE(name_) HOSTILE_CASE(name_, DEVICE_VSOCK, SERVED)

const struct hostile_case transport_cases[] = {
	RNG_CASE(read_odd_width),
	RNG_CASE(read_misaligned),
	RNG_CASE(write_odd_width),
	RNG_CASE(write_misaligned),
	RNG_CASE(notify_odd_width),
	RNG_CASE(cross_the_page),
	RNG_CASE(write_read_only),
	RNG_CASE(read_write_only),
	RNG_CASE(no_shared_memory),
	RNG_CASE(sweep_reads),
	RNG_CASE(sweep_writes),
	VSOCK_CASE(config_read_past_end),
	VSOCK_CASE(config_write_past_end),
	RNG_CASE(config_of_none),
	RNG_CASE(frozen_size),
	RNG_CASE(frozen_addresses),
	RNG_CASE(ready_twice),
	RNG_CASE(ready_taken_back),
	RNG_CASE(ready_garbage),
	HOSTILE_CASE(features_after_ok, DEVICE_RNG, NEEDS_RESET),
	RNG_CASE(queue_ready_after_driver_ok),
	RNG_CASE(queue_select_out_of_range),
	RNG_CASE(notify_out_of_range),
	RNG_CASE(feature_select_out_of_range),
	{ 0 },
};
