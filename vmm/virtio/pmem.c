/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pmem.c - the root image as persistent memory (virtio 1.2 §5.19).
 *
 * The guest maps the image's pages straight from the host's page cache (DAX). The memory slot is
 * read-only, so a flush has nothing to do and always succeeds.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/virtio/virtio.h"

#define PMEM_DEVICE_ID 27
#define PMEM_REQ_FLUSH 0
#define PMEM_RESP_OK 0u
#define PMEM_RESP_EIO 1u

struct pmem {
	struct virtio_device dev;
	struct {
		uint64_t start, size; /* little-endian, §5.19.4 */
	} config;
};

static void pmem_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	struct pmem *pmem = container_of(dev, struct pmem, dev);

	memcpy(out, (uint8_t *)&pmem->config + offset, size);
}

static void pmem_notified(struct virtio_device *dev, unsigned queue)
{
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int got = 0;

	for (; left > 0 && (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0; left--) {
		uint32_t type = UINT32_MAX, response;

		size_t read = virtqueue_read(&chain, 0, &type, sizeof(type));
		response = htole32(read == sizeof(type) && le32toh(type) == PMEM_REQ_FLUSH
		                           ? PMEM_RESP_OK
		                           : PMEM_RESP_EIO);
		size_t written = virtqueue_write(&chain, 0, &response, sizeof(response));
		virtqueue_push(&dev->queues[queue], chain.head, (uint32_t)written);
	}
	if (got < 0)
		virtio_device_fail(dev, &err);
	if (left == 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

static const struct virtio_ops pmem_ops = {
	.name = "pmem",
	.device_id = PMEM_DEVICE_ID,
	.queue_count = 1,
	.queue_size = 16,
	.config_size = 16,
	.config_read = pmem_config_read,
	.notified = pmem_notified,
};

int virtio_pmem_create(const struct virtio_place *place, struct gpa start, uint64_t size,
                       struct virtio_device **out_dev, struct error *err)
{
	struct pmem *pmem = calloc(1, sizeof(*pmem));

	if (!pmem)
		return error_set(err, -ENOMEM, "no memory for pmem");
	int ret = virtio_device_init(&pmem->dev, &pmem_ops, place, err);
	if (ret) {
		free(pmem);
		return ret;
	}
	pmem->config.start = htole64(start.value);
	pmem->config.size = htole64(size);
	*out_dev = &pmem->dev;
	return 0;
}

void virtio_destroy(struct virtio_device *dev)
{
	if (!dev)
		return;
	if (dev->ops->destroy)
		dev->ops->destroy(dev);
	virtio_device_finish(dev);
	/* The device is the first member of what was allocated (virtio.h). */
	free(dev);
}
