/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/state.h"

#include <errno.h>

static void look_at_queues(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->ops->queue_count; i++)
		if (dev->queues[i].active)
			virtio_device_again(dev, i);
}

void virtio_device_quiesce(struct virtio_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
}

void virtio_device_unquiesce(struct virtio_device *dev)
{
	look_at_queues(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void put_queue(struct wire_writer *out, const struct virtqueue *queue)
{
	struct virtqueue_state state;

	virtqueue_save(queue, &state);
	wire_put_u16(out, state.setup.size);
	wire_put_u64(out, state.setup.descriptors.value);
	wire_put_u64(out, state.setup.driver.value);
	wire_put_u64(out, state.setup.device.value);
	wire_put_u8(out, state.event_idx);
	wire_put_u8(out, state.indirect);
	wire_put_u8(out, state.active);
	wire_put_u8(out, state.broken);
	wire_put_u16(out, state.next_avail);
	wire_put_u16(out, state.next_used);
	wire_put_u16(out, state.signalled);
}

static void get_queue(struct wire_reader *in, struct virtqueue_state *out_state)
{
	*out_state = (struct virtqueue_state){ 0 };
	out_state->setup.size = wire_get_u16(in);
	out_state->setup.descriptors = GPA(wire_get_u64(in));
	out_state->setup.driver = GPA(wire_get_u64(in));
	out_state->setup.device = GPA(wire_get_u64(in));
	out_state->event_idx = wire_get_u8(in);
	out_state->indirect = wire_get_u8(in);
	out_state->active = wire_get_u8(in);
	out_state->broken = wire_get_u8(in);
	out_state->next_avail = wire_get_u16(in);
	out_state->next_used = wire_get_u16(in);
	out_state->signalled = wire_get_u16(in);
}

void virtio_device_save(const struct virtio_device *dev, struct wire_writer *out)
{
	wire_put_u32(out, dev->ops->device_id);
	wire_put_u32(out, dev->status);
	wire_put_u32(out, dev->features_select);
	wire_put_u32(out, dev->driver_features_select);
	wire_put_u32(out, dev->queue_select);
	wire_put_u64(out, dev->features);
	wire_put_u64(out, dev->driver_features);
	wire_put_u32(out, atomic_load(&dev->interrupt_status));
	wire_put_u32(out, dev->config_generation);
	wire_put_u8(out, dev->needs_reset);
	wire_put_u8(out, (uint8_t)dev->ops->queue_count);
	for (unsigned i = 0; i < dev->ops->queue_count; i++)
		put_queue(out, &dev->queues[i]);
	if (dev->ops->save)
		dev->ops->save(dev, out);
}

static int restore_queues(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	for (unsigned i = 0; i < dev->ops->queue_count; i++) {
		struct virtqueue_state state;

		get_queue(in, &state);
		if (in->failed || state.setup.size > dev->ops->queue_size)
			return error_set(err, -EINVAL, "%s: queue %u of its state is no queue",
			                 dev->ops->name, i);
		int ret = virtqueue_restore(&dev->queues[i], &state, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Beyond negotiation (mmio.c) is only who has negotiated, and what was offered must be offered still. */
static int check_driver(const struct virtio_device *dev, struct error *err)
{
	uint64_t lacks = dev->driver_features & ~virtio_device_offers(dev);
	bool negotiated = dev->status & VIRTIO_STATUS_FEATURES_OK;
	bool beyond = dev->status & VIRTIO_STATUS_DRIVER_OK;

	for (unsigned i = 0; i < dev->ops->queue_count; i++)
		beyond |= dev->queues[i].active;
	if (beyond && !negotiated)
		return error_set(err, -EINVAL, "%s: its state is that of no driver",
		                 dev->ops->name);
	if (negotiated && lacks)
		return error_set(err, -EINVAL,
		                 "%s: its driver uses features 0x%llx, which it hasn't here",
		                 dev->ops->name, (unsigned long long)lacks);
	return 0;
}

int virtio_device_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	uint32_t device_id = wire_get_u32(in);

	dev->status = wire_get_u32(in);
	dev->features_select = wire_get_u32(in);
	dev->driver_features_select = wire_get_u32(in);
	dev->queue_select = wire_get_u32(in);
	uint64_t features = wire_get_u64(in);
	dev->driver_features = wire_get_u64(in);
	atomic_store(&dev->interrupt_status, wire_get_u32(in));
	dev->config_generation = wire_get_u32(in);
	dev->needs_reset = wire_get_u8(in);
	uint8_t queues = wire_get_u8(in);
	if (in->failed || device_id != dev->ops->device_id || queues != dev->ops->queue_count)
		return error_set(err, -EINVAL, "%s: its state is that of another device",
		                 dev->ops->name);
	int ret = restore_queues(dev, in, err);
	if (ret == 0)
		ret = check_driver(dev, err);
	if (ret == 0 && dev->ops->restore)
		ret = dev->ops->restore(dev, in, err);
	if (ret)
		return ret;
	if (!wire_reader_ended(in))
		return error_set(err, -EINVAL, "%s: its state has not the length it should",
		                 dev->ops->name);
	dev->features &= features | dev->driver_features;
	return 0;
}

void virtio_device_wake(struct virtio_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (atomic_load(&dev->interrupt_status))
		irq_line_raise(&dev->irq);
	look_at_queues(dev);
	pthread_mutex_unlock(&dev->lock);
}
