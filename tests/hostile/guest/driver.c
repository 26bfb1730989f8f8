/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.c - registers and rings, without any of the care that a driver should take.
 */
#include "tests/hostile/guest/hostile.h"

#define DEVICES_MAX 16
#define RINGS 10 /* one for the rng, three for vsock, the others for whoever else is attacked */

static struct ring_memory rings[RINGS];

uint32_t reg_read(const struct dev *dev, unsigned reg)
{
	return (uint32_t)mmio_read(dev->base + reg, 4);
}

void reg_write(const struct dev *dev, unsigned reg, uint32_t value)
{
	mmio_write(dev->base + reg, 4, value);
}

static bool look_for(struct dev *out_dev, unsigned id)
{
	for (unsigned i = 0; i < DEVICES_MAX; i++) {
		struct dev dev = { LAYOUT_VIRTIO + i * 0x1000ull, id };

		if (reg_read(&dev, REG_MAGIC) != MAGIC || reg_read(&dev, REG_DEVICE_ID) != id)
			continue;
		*out_dev = dev;
		return true;
	}
	return false;
}

bool dev_find(struct dev *out_dev, unsigned id)
{
	bool found = look_for(out_dev, id);

	check(found, "the device is there");
	return found;
}

void dev_reset(const struct dev *dev)
{
	reg_write(dev, REG_STATUS, 0);
}

uint32_t dev_status(const struct dev *dev)
{
	return reg_read(dev, REG_STATUS);
}

uint64_t dev_features(const struct dev *dev)
{
	reg_write(dev, REG_DEVICE_FEATURES_SEL, 1);
	uint64_t high = reg_read(dev, REG_DEVICE_FEATURES);
	reg_write(dev, REG_DEVICE_FEATURES_SEL, 0);
	return high << 32 | reg_read(dev, REG_DEVICE_FEATURES);
}

void dev_negotiate(const struct dev *dev, uint64_t features)
{
	features |= F_VERSION_1;
	dev_reset(dev);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	for (unsigned half = 0; half < 2; half++) {
		reg_write(dev, REG_DRIVER_FEATURES_SEL, half);
		reg_write(dev, REG_DRIVER_FEATURES, (uint32_t)(features >> 32 * half));
	}
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
}

void dev_go(const struct dev *dev)
{
	reg_write(dev, REG_STATUS, STATUS_RUNNING);
}

/* A device's rings aren't another's: one may be served while the other is under attack. */
static struct ring_memory *memory_of(const struct dev *dev, unsigned index)
{
	unsigned first = dev->id == DEVICE_RNG ? 0 : dev->id == DEVICE_VSOCK ? 1 : 4;

	return &rings[(first + index) % RINGS];
}

struct ring_place queue_init(struct queue *queue, struct dev *dev, unsigned index, uint16_t size)
{
	struct ring_memory *memory = memory_of(dev, index);

	memset(memory, 0, sizeof(*memory));
	*queue = (struct queue){ .dev = dev, .index = index, .size = size, .memory = memory };
	return (struct ring_place){ size, AT(memory->desc), AT(&memory->avail), AT(&memory->used) };
}

static void set_address(const struct dev *dev, unsigned reg, uint64_t address)
{
	reg_write(dev, reg, (uint32_t)address);
	reg_write(dev, reg + 4, (uint32_t)(address >> 32));
}

void queue_place(const struct queue *queue, const struct ring_place *place)
{
	reg_write(queue->dev, REG_QUEUE_SEL, queue->index);
	reg_write(queue->dev, REG_QUEUE_NUM, place->size);
	set_address(queue->dev, REG_QUEUE_DESC, place->desc);
	set_address(queue->dev, REG_QUEUE_DRIVER, place->avail);
	set_address(queue->dev, REG_QUEUE_DEVICE, place->used);
}

void queue_ready(const struct queue *queue)
{
	reg_write(queue->dev, REG_QUEUE_SEL, queue->index);
	reg_write(queue->dev, REG_QUEUE_READY, 1);
}

void queue_start(struct queue *queue, struct dev *dev, unsigned index, uint16_t size)
{
	struct ring_place place = queue_init(queue, dev, index, size);

	queue_place(queue, &place);
	queue_ready(queue);
}

void queue_describe(struct queue *queue, uint16_t slot, const void *at, uint32_t size,
                    uint16_t flags, uint16_t next)
{
	queue->memory->desc[slot] = (struct vring_desc){ AT(at), size, flags, next };
}

void queue_publish(struct queue *queue, uint16_t head)
{
	queue->memory->avail.ring[queue->published % queue->size] = head;
	queue->published++;
	__atomic_store_n(&queue->memory->avail.idx, queue->published, __ATOMIC_RELEASE);
}

void queue_kick(const struct queue *queue)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	reg_write(queue->dev, REG_QUEUE_NOTIFY, queue->index);
}

uint16_t queue_used(const struct queue *queue)
{
	return __atomic_load_n(&queue->memory->used.idx, __ATOMIC_ACQUIRE);
}

uint32_t queue_await(const struct queue *queue)
{
	while (queue_used(queue) != queue->published)
		relax();
	return queue->memory->used.ring[(uint16_t)(queue->published - 1) % queue->size].len;
}

void await_needs_reset(const struct dev *dev)
{
	while (!(dev_status(dev) & STATUS_NEEDS_RESET))
		relax();
}

/* xorshift (Marsaglia, 2003). */
uint32_t random32(void)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}
