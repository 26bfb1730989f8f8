/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_virtio_mmio.c - the virtio transport against drivers that bend its rules, and the two
 * devices that need nothing but a queue: rng and pmem.
 *
 * Wraps ioctl (vmm_fake_kvm.h) and getrandom, which can refill the ring as a hostile driver would.
 * Above 700 lines, as the rules of one register file are many.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_ring.h"
#include "vmm/virtio/virtio.h"

#define MIB ((uint64_t)1 << 20)
#define RAM (4 * MIB)
#define BASE 0xd0000000u
#define PIN 5
#define RING_AT 0x10000u
#define BUFFERS 0x100000u
#define CONFIG_SIZE 5
#define QUEUE_MAX 16

static struct ring *refilled; /* by getrandom, without end */

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags)
{
	(void)flags;
	memset(buffer, 0x5a, size);
	if (refilled)
		ring_offer(refilled, 0);
	return (ssize_t)size;
}

/* --- a device that counts what it is told --- */

static struct {
	unsigned activated, notified, reset, last_queue;
} seen;

static void on_activated(struct virtio_device *dev)
{
	(void)dev;
	seen.activated++;
}

static void on_notified(struct virtio_device *dev, unsigned queue)
{
	(void)dev;
	seen.notified++;
	seen.last_queue = queue;
}

static void on_reset(struct virtio_device *dev)
{
	(void)dev;
	seen.reset++;
}

static void on_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	(void)dev;
	assert_true(offset + size <= CONFIG_SIZE);
	memcpy(out, &"abcde"[offset], size);
}

static const struct virtio_ops unit_ops = {
	.name = "unit",
	.device_id = 99,
	.features = 0x30,
	.queue_count = 2,
	.queue_size = QUEUE_MAX,
	.config_size = CONFIG_SIZE,
	.config_read = on_config_read,
	.activated = on_activated,
	.notified = on_notified,
	.reset = on_reset,
};

struct bed {
	struct guest_memory memory;
	struct loop *loop;
	struct virtio_device unit;
	struct virtio_device *dev; /* the device under test: .unit, or one that was created */
	struct ring rings[2];
	struct error err;
};

static struct virtio_place place_of(const struct bed *bed)
{
	return (struct virtio_place){ .memory = &bed->memory,
		                      .loop = bed->loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(BASE),
		                      .pin = PIN };
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	fake_kvm_reset();
	memset(&seen, 0, sizeof(seen));
	if (!bed || loop_create(&bed->loop) ||
	    guest_memory_init(&bed->memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	if (bed->dev == &bed->unit)
		virtio_device_finish(bed->dev);
	else
		virtio_destroy(bed->dev);
	loop_destroy(bed->loop);
	guest_memory_finish(&bed->memory);
	free(bed);
	return 0;
}

static void create_unit(struct bed *bed)
{
	const struct virtio_place place = place_of(bed);

	assert_int_equal(virtio_device_init(&bed->unit, &unit_ops, &place, &bed->err), 0);
	bed->dev = &bed->unit;
}

static uint32_t get(struct bed *bed, unsigned reg)
{
	return (uint32_t)virtio_mmio_read(bed->dev, reg, 4);
}

static void set(struct bed *bed, unsigned reg, uint32_t value)
{
	virtio_mmio_write(bed->dev, reg, 4, value);
}

static void set_queue(struct bed *bed, unsigned index, const struct virtqueue_setup *setup)
{
	set(bed, REG_QUEUE_SEL, index);
	set(bed, REG_QUEUE_NUM, setup->size);
	set(bed, REG_QUEUE_DESC, (uint32_t)setup->descriptors.value);
	set(bed, REG_QUEUE_DESC + 4, (uint32_t)(setup->descriptors.value >> 32));
	set(bed, REG_QUEUE_DRIVER, (uint32_t)setup->driver.value);
	set(bed, REG_QUEUE_DRIVER + 4, (uint32_t)(setup->driver.value >> 32));
	set(bed, REG_QUEUE_DEVICE, (uint32_t)setup->device.value);
	set(bed, REG_QUEUE_DEVICE + 4, (uint32_t)(setup->device.value >> 32));
}

static void negotiate(struct bed *bed)
{
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(bed, REG_DRIVER_FEATURES_SEL, 1);
	set(bed, REG_DRIVER_FEATURES, 1);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	assert_int_equal(get(bed, REG_STATUS),
	                 STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
}

/* Negotiates and makes @queues queues ready, but doesn't say DRIVER_OK. */
static void prepare(struct bed *bed, unsigned queues)
{
	negotiate(bed);
	for (unsigned i = 0; i < queues; i++) {
		ring_init(&bed->rings[i], &bed->memory, RING_AT + i * 0x1000, QUEUE_MAX);
		set_queue(bed, i, &bed->rings[i].setup);
		set(bed, REG_QUEUE_READY, 1);
		assert_int_equal(get(bed, REG_QUEUE_READY), 1);
	}
}

static void run(struct bed *bed, unsigned queues)
{
	prepare(bed, queues);
	set(bed, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
}

static void notify(struct bed *bed, unsigned queue)
{
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, queue);
	fake_kvm_rounds(bed->loop, 1);
}

/* --- registers --- */

static void test_constants(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	assert_int_equal(get(bed, REG_MAGIC), MAGIC);
	assert_int_equal(get(bed, REG_VERSION), 2);
	assert_int_equal(get(bed, REG_DEVICE_ID), 99);
	assert_int_equal(get(bed, REG_STATUS), 0);
	assert_int_equal(get(bed, REG_CONFIG_GENERATION), 0);
	set(bed, REG_DEVICE_FEATURES_SEL, 0);
	/* Its own, and the transport's: indirect descriptors and event indices (§6). */
	assert_int_equal(get(bed, REG_DEVICE_FEATURES), 0x30 | 1u << 28 | 1u << 29);
	set(bed, REG_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(bed, REG_DEVICE_FEATURES), 1);
	for (unsigned select = 2; select; select *= 2) {
		set(bed, REG_DEVICE_FEATURES_SEL, select);
		assert_int_equal(get(bed, REG_DEVICE_FEATURES), 0);
	}
	/* No shared memory region: all ones (§4.2.2.1). */
	for (unsigned reg = 0xb0; reg <= 0xbc; reg += 4)
		assert_int_equal(get(bed, reg), UINT32_MAX);
	/* One irqfd, one ioeventfd a queue, matched by value. */
	assert_int_equal(fake_kvm.irqfds, 1);
	assert_int_equal(fake_kvm.ioeventfds, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_kvm.ioeventfd[i].addr, BASE + REG_QUEUE_NOTIFY);
		assert_int_equal(fake_kvm.ioeventfd[i].datamatch, i);
		assert_int_equal(fake_kvm.ioeventfd[i].len, 4);
		assert_int_equal(fake_kvm.ioeventfd[i].flags, KVM_IOEVENTFD_FLAG_DATAMATCH);
	}
}

static void test_queue_select(void **state)
{
	static const uint32_t selects[] = { 2, 3, 4, 255, 256, 0x10000, UINT32_MAX };
	struct bed *bed = *state;

	create_unit(bed);
	negotiate(bed);
	for (unsigned i = 0; i < 2; i++) {
		set(bed, REG_QUEUE_SEL, i);
		assert_int_equal(get(bed, REG_QUEUE_NUM_MAX), QUEUE_MAX);
		assert_int_equal(get(bed, REG_QUEUE_READY), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(selects); i++) {
		set(bed, REG_QUEUE_SEL, selects[i]);
		assert_int_equal(get(bed, REG_QUEUE_NUM_MAX), 0);
		set(bed, REG_QUEUE_NUM, 8);
		set(bed, REG_QUEUE_READY, 1);
		assert_int_equal(get(bed, REG_QUEUE_READY), 0);
	}
	assert_int_equal(get(bed, REG_STATUS) & STATUS_NEEDS_RESET, 0);
}

static void test_config_space(void **state)
{
	static const struct {
		const char *name;
		unsigned offset, size;
		uint64_t value;
	} rows[] = {
		{ "a byte", 0, 1, 'a' },
		{ "the last byte", 4, 1, 'e' },
		{ "two", 1, 2, 0x6362 },
		{ "four", 0, 4, 0x64636261 },
		{ "four, misaligned", 1, 4, 0x65646362 },
		{ "past the end", 5, 1, 0 },
		{ "over the end", 4, 2, 0 },
		{ "four over the end", 2, 4, 0 },
		{ "eight", 0, 8, 0 },
		{ "far", 0xe00, 4, 0 },
		{ "the last of the page", 0xefc, 4, 0 },
	};
	struct bed *bed = *state;

	create_unit(bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t at = REG_CONFIG + rows[i].offset;

		assert_row(rows[i].name,
		           virtio_mmio_read(bed->dev, at, rows[i].size) == rows[i].value);
		virtio_mmio_write(bed->dev, at, rows[i].size, UINT64_MAX);
		assert_row(rows[i].name,
		           virtio_mmio_read(bed->dev, at, rows[i].size) == rows[i].value);
	}
}

/* Only aligned 32-bit accesses of registers that exist do anything. */
static void test_odd_accesses(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	run(bed, 2);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned at = 0; at + size <= REG_CONFIG; at++) {
			if (size == 4 && at % 4 == 0)
				continue;
			assert_int_equal(virtio_mmio_read(bed->dev, at, size), 0);
			virtio_mmio_write(bed->dev, at, size, 0);
		}
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
	assert_int_equal(seen.reset, 0);
	/* Registers that are none, or that can't be written. */
	for (unsigned at = 0; at < REG_CONFIG; at += 4) {
		if (at == REG_STATUS)
			continue;
		set(bed, at, UINT32_MAX);
	}
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
	assert_int_equal(get(bed, REG_MAGIC), MAGIC);
	assert_int_equal(get(bed, 0x0c4), 0);
}

/* --- status and features --- */

static void test_status_order(void **state)
{
	static const struct {
		const char *name;
		uint32_t written, read;
	} steps[] = {
		{ "DRIVER_OK alone", STATUS_DRIVER_OK, 0 },
		{ "FEATURES_OK without VERSION_1", STATUS_FEATURES_OK, 0 },
		{ "DRIVER_OK with a refused FEATURES_OK", STATUS_DRIVER_OK | STATUS_FEATURES_OK,
		  0 },
		{ "ACKNOWLEDGE", STATUS_ACKNOWLEDGE, STATUS_ACKNOWLEDGE },
		{ "bits that are none of the driver's", STATUS_NEEDS_RESET | 0xffffff30,
		  STATUS_ACKNOWLEDGE },
		{ "bits can't be taken back", STATUS_DRIVER, STATUS_ACKNOWLEDGE | STATUS_DRIVER },
		{ "FAILED", STATUS_FAILED, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED },
		{ "reset", 0, 0 },
	};
	struct bed *bed = *state;

	create_unit(bed);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		set(bed, REG_STATUS, steps[i].written);
		assert_row(steps[i].name, get(bed, REG_STATUS) == steps[i].read);
	}
	assert_int_equal(seen.activated, 0);
	assert_int_equal(seen.reset, 1);
}

static void test_features(void **state)
{
	static const struct {
		const char *name;
		uint32_t low, high;
		bool accepted;
	} rows[] = {
		{ "version 1 alone", 0, 1, true },
		{ "all that is offered", 0x30, 1, true },
		{ "one of them", 0x10, 1, true },
		{ "no version 1", 0x30, 0, false },
		{ "nothing", 0, 0, false },
		{ "one that isn't offered", 0x31, 1, false },
		{ "a high one that isn't offered", 0, 3, false },
		{ "everything", UINT32_MAX, UINT32_MAX, false },
	};
	struct bed *bed = *state;

	create_unit(bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set(bed, REG_STATUS, 0);
		set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
		set(bed, REG_DRIVER_FEATURES_SEL, 0);
		set(bed, REG_DRIVER_FEATURES, rows[i].low);
		set(bed, REG_DRIVER_FEATURES_SEL, 1);
		set(bed, REG_DRIVER_FEATURES, rows[i].high);
		set(bed, REG_DRIVER_FEATURES_SEL, 2);
		set(bed, REG_DRIVER_FEATURES, UINT32_MAX);
		set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
		assert_row(rows[i].name,
		           !!(get(bed, REG_STATUS) & STATUS_FEATURES_OK) == rows[i].accepted);
	}
	/* Once they are settled nothing changes them. */
	set(bed, REG_STATUS, 0);
	negotiate(bed);
	set(bed, REG_DRIVER_FEATURES_SEL, 0);
	set(bed, REG_DRIVER_FEATURES, UINT32_MAX);
	assert_int_equal(bed->dev->driver_features, VIRTIO_F_VERSION_1_BIT);
}

/* --- queues --- */

static void test_ready_needs_features(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	ring_init(&bed->rings[0], &bed->memory, RING_AT, QUEUE_MAX);
	set_queue(bed, 0, &bed->rings[0].setup);
	set(bed, REG_QUEUE_READY, 1);
	assert_int_equal(get(bed, REG_QUEUE_READY), 0);
	negotiate(bed);
	set(bed, REG_QUEUE_READY, 2);
	assert_int_equal(get(bed, REG_QUEUE_READY), 0);
	set(bed, REG_QUEUE_READY, 1);
	assert_int_equal(get(bed, REG_QUEUE_READY), 1);
}

static void test_writes_after_ready(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	run(bed, 1);
	struct virtqueue before = bed->dev->queues[0];
	set_queue(bed, 0, &(struct virtqueue_setup){ 4, GPA(0x5000), GPA(0x6000), GPA(0x7000) });
	set(bed, REG_QUEUE_READY, 0);
	set(bed, REG_QUEUE_READY, 1);
	assert_int_equal(get(bed, REG_QUEUE_READY), 1);
	assert_memory_equal(&bed->dev->queues[0], &before, sizeof(before));
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
}

static void test_bad_queues(void **state)
{
	static const struct {
		const char *name;
		uint32_t size;
		uint64_t desc;
	} rows[] = {
		{ "size 0", 0, RING_AT },         { "size 3", 3, RING_AT },
		{ "too large", 512, RING_AT },    { "16 bits cut off it", 0x10008, RING_AT },
		{ "outside RAM", 8, RAM },        { "high half", 8, 1ull << 32 | RING_AT },
		{ "misaligned", 8, RING_AT + 8 },
	};
	struct bed *bed = *state;

	create_unit(bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set(bed, REG_STATUS, 0);
		negotiate(bed);
		ring_init(&bed->rings[0], &bed->memory, RING_AT, QUEUE_MAX);
		set_queue(bed, 0, &bed->rings[0].setup);
		set(bed, REG_QUEUE_NUM, rows[i].size);
		set(bed, REG_QUEUE_DESC, (uint32_t)rows[i].desc);
		set(bed, REG_QUEUE_DESC + 4, (uint32_t)(rows[i].desc >> 32));
		set(bed, REG_QUEUE_READY, 1);
		assert_row(rows[i].name, get(bed, REG_QUEUE_READY) == 0);
		assert_row(rows[i].name, get(bed, REG_STATUS) & STATUS_NEEDS_RESET);
		/* Before DRIVER_OK no interrupt tells (§2.1.2). */
		assert_row(rows[i].name, get(bed, REG_INTERRUPT_STATUS) == 0);
		unsigned before = seen.activated;
		set(bed, REG_STATUS, STATUS_RUNNING);
		assert_row(rows[i].name, seen.activated == before);
		notify(bed, 0);
		assert_row(rows[i].name, seen.notified == 0);
	}
	set(bed, REG_STATUS, 0);
	run(bed, 2);
	assert_int_equal(seen.activated, 1);
}

/* A queue larger than the device says it takes, but not larger than queue.h's limit. */
static void test_queue_above_device_limit(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	negotiate(bed);
	ring_init(&bed->rings[0], &bed->memory, RING_AT, 2 * QUEUE_MAX);
	set_queue(bed, 0, &bed->rings[0].setup);
	set(bed, REG_QUEUE_READY, 1);
	assert_int_equal(get(bed, REG_QUEUE_READY), 0);
}

static void test_notifications(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	notify(bed, 0);
	assert_int_equal(seen.notified, 0);
	prepare(bed, 1);
	notify(bed, 0);
	assert_int_equal(seen.notified, 0); /* before DRIVER_OK */
	set(bed, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(seen.activated, 1);
	notify(bed, 0);
	assert_int_equal(seen.notified, 1);
	assert_int_equal(seen.last_queue, 0);
	notify(bed, 1); /* not ready */
	assert_int_equal(seen.notified, 1);
	/* Those that come together are one. */
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, 0);
	notify(bed, 0);
	assert_int_equal(seen.notified, 2);
	/* A write that reaches the register is nobody's: KVM has taken those that count. */
	set(bed, REG_QUEUE_NOTIFY, 0);
	set(bed, REG_QUEUE_NOTIFY, 77);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(seen.notified, 2);
	/* Asked for once more: it comes without the driver. */
	virtio_device_again(bed->dev, 0);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(seen.notified, 3);
	virtio_device_fail(bed->dev, &bed->err);
	notify(bed, 0);
	assert_int_equal(seen.notified, 3);
	set(bed, REG_STATUS, 0);
	notify(bed, 0);
	assert_int_equal(seen.notified, 3);
}

static void test_interrupts(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	run(bed, 2);
	virtio_device_signal(bed->dev, 0);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 1);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 1);
	assert_true(atomic_load(&bed->dev->irq.asserted));
	*bed->rings[1].avail_flags = 1;
	virtio_device_signal(bed->dev, 1);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	bed->err.code = -EPROTO;
	virtio_device_fail(bed->dev, &bed->err);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 3);
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING | STATUS_NEEDS_RESET);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 1);
	virtio_device_fail(bed->dev, &bed->err); /* said already */
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	set(bed, REG_INTERRUPT_ACK, 1);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 2);
	assert_true(atomic_load(&bed->dev->irq.asserted));
	set(bed, REG_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 0);
	assert_false(atomic_load(&bed->dev->irq.asserted));
}

static void test_reset(void **state)
{
	struct bed *bed = *state;

	create_unit(bed);
	for (unsigned i = 1; i <= 100; i++) {
		run(bed, 2);
		virtio_device_signal(bed->dev, 0);
		set(bed, REG_STATUS, 0);
		assert_int_equal(seen.reset, i);
		assert_int_equal(get(bed, REG_STATUS), 0);
		assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 0);
		assert_int_equal(get(bed, REG_QUEUE_READY), 0);
		assert_false(atomic_load(&bed->dev->irq.asserted));
		assert_int_equal(bed->dev->driver_features, 0);
	}
}

static void test_kvm_says_no(void **state)
{
	static const unsigned long requests[] = { KVM_IRQFD, KVM_IOEVENTFD };
	struct bed *bed = *state;
	const struct virtio_place place = place_of(bed);

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct virtio_device *dev = NULL;

		fake_kvm_reset();
		fake_kvm.refused = requests[i];
		bed->err = (struct error){ 0 };
		assert_int_equal(virtio_rng_create(&place, &dev, &bed->err), -ENOSPC);
		assert_null(dev);
		assert_non_null(strstr(bed->err.msg, "No space left"));
		assert_int_equal(virtio_pmem_create(&place, GPA(0), MIB, &dev, &bed->err), -ENOSPC);
		assert_null(dev);
	}
}

/* --- rng, pmem --- */

static void create_rng(struct bed *bed)
{
	const struct virtio_place place = place_of(bed);

	assert_int_equal(virtio_rng_create(&place, &bed->dev, &bed->err), 0);
	run(bed, 1);
}

static void test_rng(void **state)
{
	static const struct {
		const char *name;
		uint32_t size, written;
	} rows[] = { { "a byte", 1, 1 },
		     { "256", 256, 256 },
		     { "more than a chunk", 257, 256 },
		     { "a huge request", 1u << 20, 256 } };
	struct bed *bed = *state;

	create_rng(bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(bed->memory.ram + BUFFERS, 0, 512);
		ring_describe(&bed->rings[0], 0, BUFFERS, rows[i].size, RING_F_WRITE, 0);
		ring_offer(&bed->rings[0], 0);
		notify(bed, 0);
		assert_row(rows[i].name, *bed->rings[0].used_idx == i + 1);
		assert_row(rows[i].name, ring_used_before(&bed->rings[0], (uint16_t)(i + 1)).len ==
		                                 rows[i].written);
		assert_row(rows[i].name, bed->memory.ram[BUFFERS + rows[i].written - 1] == 0x5a);
		assert_row(rows[i].name, bed->memory.ram[BUFFERS + rows[i].written] == 0);
		assert_row(rows[i].name, fake_kvm_edges(&bed->dev->irq) == 1);
	}
	/* Nothing to write to: it comes back empty. */
	ring_describe(&bed->rings[0], 0, BUFFERS, 16, 0, 0);
	ring_offer(&bed->rings[0], 0);
	notify(bed, 0);
	assert_int_equal(ring_used_before(&bed->rings[0], *bed->rings[0].used_idx).len, 0);
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
}

static void test_rng_broken_driver(void **state)
{
	struct bed *bed = *state;

	create_rng(bed);
	ring_describe(&bed->rings[0], 0, RAM, 16, RING_F_WRITE, 0);
	ring_offer(&bed->rings[0], 0);
	notify(bed, 0);
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING | STATUS_NEEDS_RESET);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 2);
	assert_int_equal(*bed->rings[0].used_idx, 0);
}

/* A ring that is never empty is worked off in turns, others on the loop run in between. */
static void test_turns(void **state)
{
	struct bed *bed = *state;

	create_rng(bed);
	refilled = &bed->rings[0];
	ring_describe(&bed->rings[0], 0, BUFFERS, 8, RING_F_WRITE, 0);
	ring_offer(&bed->rings[0], 0);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, 0);
	for (unsigned round = 1; round <= 5; round++) {
		fake_kvm_rounds(bed->loop, 1);
		assert_int_equal(*bed->rings[0].used_idx, round * VIRTIO_TURN_MAX);
	}
	refilled = NULL;
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(*bed->rings[0].used_idx, *bed->rings[0].avail_idx);
}

static void test_pmem(void **state)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint32_t type_size, answer_size;
		uint32_t written, answer;
	} rows[] = {
		{ "flush", 0, 4, 4, 4, 0 },
		{ "flush with more behind it", 0, 64, 64, 4, 0 },
		{ "no such request", 1, 4, 4, 4, 1 },
		{ "cut short", 0, 3, 4, 4, 1 },
		{ "little room", 0, 4, 2, 2, 0 },
	};
	struct bed *bed = *state;
	const struct virtio_place place = place_of(bed);

	assert_int_equal(virtio_pmem_create(&place, GPA(5ull << 30), 4 * MIB, &bed->dev, &bed->err),
	                 0);
	assert_int_equal(get(bed, REG_DEVICE_ID), DEVICE_PMEM);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG, 8), 5ull << 30);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG + 8, 8), 4 * MIB);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG + 16, 4), 0);
	run(bed, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t answer = 0xeeeeeeee;

		memset(bed->memory.ram + BUFFERS, 0, 64);
		memcpy(bed->memory.ram + BUFFERS, &rows[i].type, 4);
		memset(bed->memory.ram + BUFFERS + 256, 0, 64);
		ring_describe(&bed->rings[0], 0, BUFFERS, rows[i].type_size, RING_F_NEXT, 1);
		ring_describe(&bed->rings[0], 1, BUFFERS + 256, rows[i].answer_size, RING_F_WRITE,
		              0);
		ring_offer(&bed->rings[0], 0);
		notify(bed, 0);
		assert_row(rows[i].name, ring_used_before(&bed->rings[0], (uint16_t)(i + 1)).len ==
		                                 rows[i].written);
		memcpy(&answer, bed->memory.ram + BUFFERS + 256, 4);
		assert_row(rows[i].name, answer == rows[i].answer);
	}
}

/* The least there is: destroying nothing. */
static void test_destroy_nothing(void **state)
{
	(void)state;
	virtio_destroy(NULL);
}

int main(void)
{
#define MMIO_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		MMIO_TEST(test_constants),
		MMIO_TEST(test_queue_select),
		MMIO_TEST(test_config_space),
		MMIO_TEST(test_odd_accesses),
		MMIO_TEST(test_status_order),
		MMIO_TEST(test_features),
		MMIO_TEST(test_ready_needs_features),
		MMIO_TEST(test_writes_after_ready),
		MMIO_TEST(test_bad_queues),
		MMIO_TEST(test_queue_above_device_limit),
		MMIO_TEST(test_notifications),
		MMIO_TEST(test_interrupts),
		MMIO_TEST(test_reset),
		MMIO_TEST(test_kvm_says_no),
		MMIO_TEST(test_rng),
		MMIO_TEST(test_rng_broken_driver),
		MMIO_TEST(test_turns),
		MMIO_TEST(test_pmem),
		cmocka_unit_test(test_destroy_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
