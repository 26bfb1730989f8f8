/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.c - as much of a virtio-mmio driver (virtio 1.2 §4.2) as the test guest needs.
 */
#include "tests/native/guest/guest.h"
#include "tests/native/guest/virtio_regs.h"

#define DEVICES_MAX 12

bool virtio_find(uint32_t id, struct virtio *out_dev)
{
	for (unsigned i = 0; i < DEVICES_MAX; i++) {
		uint64_t base = LAYOUT_VIRTIO + i * 0x1000ull;

		if (mmio_read(base + REG_MAGIC, 4) != MAGIC ||
		    mmio_read(base + REG_DEVICE_ID, 4) != id)
			continue;
		*out_dev = (struct virtio){ .base = base, .pin = LAYOUT_PIN_VIRTIO + i };
		return true;
	}
	return false;
}

static void set(const struct virtio *dev, unsigned reg, uint32_t value)
{
	mmio_write(dev->base + reg, 4, value);
}

static void set_address(const struct virtio *dev, unsigned reg, const void *at)
{
	set(dev, reg, (uint32_t)(uintptr_t)at);
	set(dev, reg + 4, (uint32_t)((uintptr_t)at >> 32));
}

uint32_t virtio_start(struct virtio *dev, struct vring *ring)
{
	dev->ring = ring;
	set(dev, REG_STATUS, 0);
	set(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(dev, REG_DRIVER_FEATURES_SEL, 1);
	set(dev, REG_DRIVER_FEATURES, 1); /* VERSION_1 */
	set(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	set(dev, REG_QUEUE_SEL, 0);
	set(dev, REG_QUEUE_NUM, RING_SIZE);
	set_address(dev, REG_QUEUE_DESC, ring->desc);
	set_address(dev, REG_QUEUE_DRIVER, &ring->avail);
	set_address(dev, REG_QUEUE_DEVICE, &ring->used);
	set(dev, REG_QUEUE_READY, 1);
	set(dev, REG_STATUS, STATUS_RUNNING);
	return (uint32_t)mmio_read(dev->base + REG_STATUS, 4);
}

void virtio_ask(struct virtio *dev, void *buffer, uint32_t size)
{
	struct vring *ring = dev->ring;
	uint16_t slot = ring->avail.idx % RING_SIZE;

	ring->desc[slot] =
		(struct vring_desc){ .addr = (uintptr_t)buffer, .len = size, .flags = DESC_WRITE };
	ring->avail.ring[slot] = slot;
	__atomic_store_n(&ring->avail.idx, (uint16_t)(ring->avail.idx + 1), __ATOMIC_RELEASE);
	set(dev, REG_QUEUE_NOTIFY, 0);
}

void virtio_ask_chain(struct virtio *dev, const struct vring_desc *chain, unsigned count)
{
	struct vring *ring = dev->ring;

	for (unsigned i = 0; i < count; i++) {
		ring->desc[i] = chain[i];
		ring->desc[i].flags |= i + 1 < count ? DESC_NEXT : 0;
		ring->desc[i].next = (uint16_t)(i + 1);
	}
	ring->avail.ring[ring->avail.idx % RING_SIZE] = 0;
	__atomic_store_n(&ring->avail.idx, (uint16_t)(ring->avail.idx + 1), __ATOMIC_RELEASE);
	set(dev, REG_QUEUE_NOTIFY, 0);
}

uint32_t virtio_wait(struct virtio *dev)
{
	struct vring *ring = dev->ring;

	while (__atomic_load_n(&ring->used.idx, __ATOMIC_ACQUIRE) != ring->avail.idx)
		relax();
	return ring->used.ring[(uint16_t)(ring->used.idx - 1) % RING_SIZE].len;
}
