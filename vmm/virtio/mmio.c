/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmio.c - virtio over MMIO, version 2 (virtio 1.2 §4.2.2).
 *
 * Transport rules that a driver may not bend:
 *  - registers are 32-bit and aligned; anything else reads 0 and writes nothing;
 *  - features are accepted only before FEATURES_OK, and only those that were offered;
 *  - queue size and addresses can be written only while the queue isn't ready, and are frozen by
 *    the write that makes it ready; QueueReady can't be taken back without a reset;
 *  - status bits can be added, not removed, except by writing 0, which resets.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/virtio/device.h"

/* §4.2.2, register offsets */
#define REG_MAGIC 0x000
#define REG_VERSION 0x004
#define REG_DEVICE_ID 0x008
#define REG_VENDOR_ID 0x00c
#define REG_DEVICE_FEATURES 0x010
#define REG_DEVICE_FEATURES_SEL 0x014
#define REG_DRIVER_FEATURES 0x020
#define REG_DRIVER_FEATURES_SEL 0x024
#define REG_QUEUE_SEL 0x030
#define REG_QUEUE_NUM_MAX 0x034
#define REG_QUEUE_NUM 0x038
#define REG_QUEUE_READY 0x044
#define REG_QUEUE_NOTIFY 0x050
#define REG_INTERRUPT_STATUS 0x060
#define REG_INTERRUPT_ACK 0x064
#define REG_STATUS 0x070
#define REG_QUEUE_DESC_LOW 0x080
#define REG_QUEUE_DESC_HIGH 0x084
#define REG_QUEUE_DRIVER_LOW 0x090
#define REG_QUEUE_DRIVER_HIGH 0x094
#define REG_QUEUE_DEVICE_LOW 0x0a0
#define REG_QUEUE_DEVICE_HIGH 0x0a4
#define REG_SHM_LEN_LOW 0x0b0
#define REG_SHM_LEN_HIGH 0x0b4
#define REG_SHM_BASE_LOW 0x0b8
#define REG_SHM_BASE_HIGH 0x0bc
#define REG_CONFIG_GENERATION 0x0fc
#define REG_CONFIG 0x100

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2
#define VENDOR 0x434c4348u /* "CLCH" */

#define STATUS_WRITABLE                                                                            \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |              \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

#define INTERRUPT_USED 1u
#define INTERRUPT_CONFIG 2u

uint64_t virtio_device_offers(const struct virtio_device *dev)
{
	return dev->features | VIRTIO_F_VERSION_1_BIT | VIRTIO_F_EVENT_IDX_BIT |
	       VIRTIO_F_INDIRECT_DESC_BIT;
}

static void raise(struct virtio_device *dev, uint32_t cause)
{
	atomic_fetch_or(&dev->interrupt_status, cause);
	irq_line_raise(&dev->irq);
}

/* Without the lock. A cause that comes between the two steps has its line cleared: raise it anew. */
static void acknowledge(struct virtio_device *dev, uint32_t causes)
{
	if (atomic_fetch_and(&dev->interrupt_status, ~causes) & ~causes)
		return;
	irq_line_clear(&dev->irq);
	if (atomic_load(&dev->interrupt_status))
		irq_line_raise(&dev->irq);
}

bool virtio_device_has(const struct virtio_device *dev, uint64_t feature)
{
	return (dev->driver_features & feature) == feature;
}

void virtio_device_config_changed(struct virtio_device *dev)
{
	dev->config_generation++;
	if (dev->status & VIRTIO_STATUS_DRIVER_OK)
		raise(dev, INTERRUPT_CONFIG);
}

void virtio_device_signal(struct virtio_device *dev, unsigned queue)
{
	if (virtqueue_wants_interrupt(&dev->queues[queue]))
		raise(dev, INTERRUPT_USED);
}

void virtio_device_signal_all(struct virtio_device *dev)
{
	bool wanted = false;

	for (unsigned i = 0; i < dev->ops->queue_count; i++)
		wanted |= virtqueue_wants_interrupt(&dev->queues[i]);
	if (wanted)
		raise(dev, INTERRUPT_USED);
}

void virtio_device_again(struct virtio_device *dev, unsigned queue)
{
	uint64_t one = 1;

	if (write(dev->notify[queue].fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

void virtio_device_fail(struct virtio_device *dev, const struct error *err)
{
	log_warn_limited(&dev->complaints, "%s; the device needs a reset", err->msg);
	if (dev->needs_reset)
		return;
	dev->needs_reset = true;
	if (dev->status & VIRTIO_STATUS_DRIVER_OK)
		raise(dev, INTERRUPT_CONFIG);
}

static struct virtqueue *selected(struct virtio_device *dev)
{
	return dev->queue_select < dev->ops->queue_count ? &dev->queues[dev->queue_select] : NULL;
}

static void reset(struct virtio_device *dev)
{
	dev->status = 0;
	dev->features_select = 0;
	dev->driver_features_select = 0;
	dev->driver_features = 0;
	dev->queue_select = 0;
	atomic_store(&dev->interrupt_status, 0);
	dev->needs_reset = false;
	irq_line_clear(&dev->irq);
	for (unsigned i = 0; i < dev->ops->queue_count; i++)
		virtqueue_init(&dev->queues[i], dev->memory, dev->ops->name, i);
	if (dev->ops->reset)
		dev->ops->reset(dev);
}

static void config_read(struct virtio_device *dev, uint64_t offset, unsigned size, void *out)
{
	if (offset < dev->ops->config_size && size <= dev->ops->config_size - offset)
		dev->ops->config_read(dev, (size_t)offset, out, size);
}

static uint32_t read_register(struct virtio_device *dev, uint64_t offset)
{
	const struct virtqueue *queue = selected(dev);

	switch (offset) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE_ID:
		return dev->ops->device_id;
	case REG_VENDOR_ID:
		return VENDOR;
	case REG_DEVICE_FEATURES:
		if (dev->features_select > 1)
			return 0;
		return (uint32_t)(virtio_device_offers(dev) >> (32 * dev->features_select));
	case REG_QUEUE_NUM_MAX:
		return queue ? dev->ops->queue_size : 0;
	case REG_QUEUE_READY:
		return queue && queue->active;
	case REG_STATUS:
		return dev->status | (dev->needs_reset ? VIRTIO_STATUS_NEEDS_RESET : 0);
	case REG_SHM_LEN_LOW: /* §4.2.2.1: no such region reads as all ones */
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH:
		return UINT32_MAX;
	case REG_CONFIG_GENERATION:
		return dev->config_generation;
	default:
		return 0;
	}
}

uint64_t virtio_mmio_read(void *device, uint64_t offset, unsigned size)
{
	struct virtio_device *dev = device;

	uint64_t value = 0;

	if (offset == REG_INTERRUPT_STATUS && size == 4)
		return atomic_load(&dev->interrupt_status);
	pthread_mutex_lock(&dev->lock);
	if (offset >= REG_CONFIG)
		config_read(dev, offset - REG_CONFIG, size, &value);
	else if (size == 4 && offset % 4 == 0)
		value = read_register(dev, offset);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void write_features(struct virtio_device *dev, uint32_t value)
{
	if (dev->status & VIRTIO_STATUS_FEATURES_OK || dev->driver_features_select > 1)
		return;
	unsigned shift = 32 * dev->driver_features_select;
	dev->driver_features &= ~(0xffffffffull << shift);
	dev->driver_features |= (uint64_t)value << shift;
}

static void write_status(struct virtio_device *dev, uint32_t value)
{
	uint32_t added = value & STATUS_WRITABLE & ~dev->status;

	if (value == 0) {
		reset(dev);
		return;
	}
	/* §3.1.1: the device keeps FEATURES_OK clear when it can't live with the subset. */
	if ((added & VIRTIO_STATUS_FEATURES_OK) &&
	    ((dev->driver_features & ~virtio_device_offers(dev)) ||
	     !(dev->driver_features & VIRTIO_F_VERSION_1_BIT)))
		added &= ~VIRTIO_STATUS_FEATURES_OK;
	if ((added & VIRTIO_STATUS_DRIVER_OK) &&
	    !((dev->status | added) & VIRTIO_STATUS_FEATURES_OK))
		added &= ~VIRTIO_STATUS_DRIVER_OK;
	dev->status |= added;
	if ((added & VIRTIO_STATUS_DRIVER_OK) && dev->ops->activated && !dev->needs_reset)
		dev->ops->activated(dev);
}

static void write_queue_ready(struct virtio_device *dev, struct virtqueue *queue, uint32_t value)
{
	struct error err = { 0 };

	if (value != 1 || queue->active || !(dev->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	queue->event_idx = virtio_device_has(dev, VIRTIO_F_EVENT_IDX_BIT);
	queue->indirect = virtio_device_has(dev, VIRTIO_F_INDIRECT_DESC_BIT);
	if (virtqueue_activate(queue, &err))
		virtio_device_fail(dev, &err);
}

static void set_low(struct gpa *gpa, uint32_t value)
{
	gpa->value = (gpa->value & ~0xffffffffull) | value;
}

static void set_high(struct gpa *gpa, uint32_t value)
{
	gpa->value = (gpa->value & 0xffffffffull) | (uint64_t)value << 32;
}

static void write_queue(struct virtio_device *dev, uint64_t offset, uint32_t value)
{
	struct virtqueue *queue = selected(dev);

	/* Frozen once it is ready: nothing the driver writes later moves a live ring. */
	if (!queue || queue->active || queue->broken)
		return;
	switch (offset) {
	case REG_QUEUE_NUM:
		/* What exceeds QueueSizeMax is kept as 0, which activation refuses. */
		queue->setup.size = value <= dev->ops->queue_size ? (uint16_t)value : 0;
		break;
	case REG_QUEUE_DESC_LOW:
		set_low(&queue->setup.descriptors, value);
		break;
	case REG_QUEUE_DESC_HIGH:
		set_high(&queue->setup.descriptors, value);
		break;
	case REG_QUEUE_DRIVER_LOW:
		set_low(&queue->setup.driver, value);
		break;
	case REG_QUEUE_DRIVER_HIGH:
		set_high(&queue->setup.driver, value);
		break;
	case REG_QUEUE_DEVICE_LOW:
		set_low(&queue->setup.device, value);
		break;
	case REG_QUEUE_DEVICE_HIGH:
		set_high(&queue->setup.device, value);
		break;
	case REG_QUEUE_READY:
		write_queue_ready(dev, queue, value);
		break;
	default:
		break;
	}
}

static void write_register(struct virtio_device *dev, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		dev->features_select = value;
		break;
	case REG_DRIVER_FEATURES_SEL:
		dev->driver_features_select = value;
		break;
	case REG_DRIVER_FEATURES:
		write_features(dev, value);
		break;
	case REG_QUEUE_SEL:
		dev->queue_select = value;
		break;
	case REG_STATUS:
		write_status(dev, value);
		break;
	default:
		write_queue(dev, offset, value);
		break;
	}
}

static void config_write(struct virtio_device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	if (dev->ops->config_write && offset < dev->ops->config_size &&
	    size <= dev->ops->config_size - offset)
		dev->ops->config_write(dev, (size_t)offset, &value, size);
}

void virtio_mmio_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_device *dev = device;

	if (offset == REG_INTERRUPT_ACK && size == 4) {
		acknowledge(dev, (uint32_t)value);
		return;
	}
	pthread_mutex_lock(&dev->lock);
	if (offset >= REG_CONFIG)
		config_write(dev, offset - REG_CONFIG, size, value);
	else if (size == 4 && offset % 4 == 0)
		write_register(dev, offset, (uint32_t)value);
	pthread_mutex_unlock(&dev->lock);
}

static void on_notify(struct loop_watch *watch, uint32_t events)
{
	struct virtio_notify *notify = container_of(watch, struct virtio_notify, watch);
	struct virtio_device *dev = notify->dev;

	(void)events;
	pthread_mutex_lock(&dev->lock);
	if ((dev->status & VIRTIO_STATUS_DRIVER_OK) && !dev->needs_reset &&
	    dev->queues[notify->queue].active)
		dev->ops->notified(dev, notify->queue);
	pthread_mutex_unlock(&dev->lock);
}

static int init_notify(struct virtio_device *dev, unsigned queue, struct error *err)
{
	struct virtio_notify *notify = &dev->notify[queue];

	notify->dev = dev;
	notify->queue = queue;
	notify->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (notify->fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	struct kvm_ioeventfd ioeventfd = {
		.datamatch = queue,
		.addr = dev->base.value + REG_QUEUE_NOTIFY,
		.len = 4,
		.fd = notify->fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	if (ioctl(dev->vm_fd, KVM_IOEVENTFD, &ioeventfd))
		return error_set(err, -errno, "KVM_IOEVENTFD: %s", strerror(errno));
	/* Edge-triggered: every notification is an event, and nobody needs to read the counter. */
	int ret =
		loop_watch_add(dev->loop, &notify->watch, notify->fd, EPOLLIN | EPOLLET, on_notify);
	if (ret)
		return error_set(err, ret, "cannot watch a queue: %s", strerror(-ret));
	return 0;
}

int virtio_device_init(struct virtio_device *dev, const struct virtio_ops *ops,
                       const struct virtio_place *place, struct error *err)
{
	ASSERT(ops->queue_count <= VIRTIO_QUEUES_MAX && ops->queue_size <= VIRTQUEUE_SIZE_MAX);
	*dev = (struct virtio_device){ .ops = ops,
		                       .features = ops->features,
		                       .memory = place->memory,
		                       .loop = place->loop,
		                       .vm_fd = place->vm_fd,
		                       .base = place->base,
		                       .irq.fd = -1,
		                       .complaints = LOG_LIMIT_INIT };
	pthread_mutex_init(&dev->lock, NULL);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		dev->notify[i].fd = -1;
	for (unsigned i = 0; i < ops->queue_count; i++)
		virtqueue_init(&dev->queues[i], dev->memory, ops->name, i);

	int ret = irq_line_init(&dev->irq, place->vm_fd, place->pin, err);
	for (unsigned i = 0; i < ops->queue_count && ret == 0; i++)
		ret = init_notify(dev, i, err);
	if (ret)
		virtio_device_finish(dev);
	return ret;
}

void virtio_device_unwatch(struct virtio_device *dev)
{
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		loop_watch_remove(dev->loop, &dev->notify[i].watch);
}

void virtio_device_finish(struct virtio_device *dev)
{
	virtio_device_unwatch(dev);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		close_fd(&dev->notify[i].fd);
	irq_line_finish(&dev->irq);
	pthread_mutex_destroy(&dev->lock);
}
