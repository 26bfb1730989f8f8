/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_driver.h - a driver for units of virtio devices: guest memory, a loop, a device on the fake
 * KVM, and its registers. The test creates the device. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_DRIVER_H
#define CLOCHE_TESTS_UNIT_VMM_DRIVER_H

#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "tests/unit/vmm_ring.h"
#include "vmm/virtio/virtio.h"

#define DRIVER_RAM ((uint64_t)8 << 20)
#define DRIVER_BASE 0xd0000000u
#define DRIVER_RING_AT 0x10000u /* a ring each 64 KiB */

struct driver {
	struct guest_memory memory;
	struct loop *loop;
	struct virtio_device *dev; /* owned */
	struct ring rings[VIRTIO_QUEUES_MAX];
	struct error err;
};

/* cmocka's set-up and tear-down: *state is the struct driver, without a device yet. */
static inline int driver_setup(void **state)
{
	struct driver *d = calloc(1, sizeof(*d));

	fake_kvm_reset();
	if (!d || loop_create(&d->loop) ||
	    guest_memory_init(&d->memory, DRIVER_RAM, GPA(3ull << 30), GPA(4ull << 30), &d->err))
		return -1;
	*state = d;
	return 0;
}

static inline int driver_teardown(void **state)
{
	struct driver *d = *state;

	virtio_destroy(d->dev);
	loop_destroy(d->loop);
	guest_memory_finish(&d->memory);
	free(d);
	return 0;
}

static inline struct virtio_place driver_place(const struct driver *d)
{
	return (struct virtio_place){ .memory = &d->memory,
		                      .loop = d->loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(DRIVER_BASE),
		                      .pin = 5 };
}

static inline uint32_t driver_get(struct driver *d, unsigned reg)
{
	return (uint32_t)virtio_mmio_read(d->dev, reg, 4);
}

static inline void driver_set(struct driver *d, unsigned reg, uint32_t value)
{
	virtio_mmio_write(d->dev, reg, 4, value);
}

/*
 * Resets, accepts @features besides VERSION_1, makes the queues of @mask ready, with @size each:
 * all but DRIVER_OK.
 */
static inline void driver_start_but(struct driver *d, uint64_t features, unsigned mask,
                                    uint16_t size)
{
	static const unsigned address_regs[] = { REG_QUEUE_DESC, REG_QUEUE_DRIVER,
		                                 REG_QUEUE_DEVICE };
	const uint32_t negotiated = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;

	driver_set(d, REG_STATUS, 0);
	driver_set(d, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	driver_set(d, REG_DRIVER_FEATURES_SEL, 0);
	driver_set(d, REG_DRIVER_FEATURES, (uint32_t)features);
	driver_set(d, REG_DRIVER_FEATURES_SEL, 1);
	driver_set(d, REG_DRIVER_FEATURES, (uint32_t)(features >> 32) | 1);
	driver_set(d, REG_STATUS, negotiated);
	assert_int_equal(driver_get(d, REG_STATUS), negotiated);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		if (!(mask & 1u << i))
			continue;
		ring_init(&d->rings[i], &d->memory, DRIVER_RING_AT * (i + 1), size);
		const struct virtqueue_setup *setup = &d->rings[i].setup;
		const uint64_t addresses[] = { setup->descriptors.value, setup->driver.value,
			                       setup->device.value };

		driver_set(d, REG_QUEUE_SEL, i);
		driver_set(d, REG_QUEUE_NUM, size);
		for (size_t j = 0; j < ARRAY_SIZE(addresses); j++) {
			driver_set(d, address_regs[j], (uint32_t)addresses[j]);
			driver_set(d, address_regs[j] + 4, (uint32_t)(addresses[j] >> 32));
		}
		driver_set(d, REG_QUEUE_READY, 1);
		assert_int_equal(driver_get(d, REG_QUEUE_READY), 1);
	}
}

static inline void driver_start(struct driver *d, uint64_t features, unsigned mask, uint16_t size)
{
	driver_start_but(d, features, mask, size);
	driver_set(d, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
}

/* Notifies @queue and lets the loop run one round. */
static inline void driver_notify(struct driver *d, unsigned queue)
{
	fake_kvm_notify(DRIVER_BASE + REG_QUEUE_NOTIFY, queue);
	fake_kvm_rounds(d->loop, 1);
}

#endif
