/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng.c - entropy for the guest (virtio 1.2 §5.4).
 *
 * A request of any size gets at most CHUNK bytes: the driver asks again if it wants more, so a
 * guest can't make one notification cost the host more than that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/virtio/virtio.h"

#define RNG_DEVICE_ID 4
#define CHUNK 256

struct rng {
	struct virtio_device dev;
};

static void rng_notified(struct virtio_device *dev, unsigned queue)
{
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int got = 0;

	for (; left > 0 && (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0; left--) {
		uint8_t bytes[CHUNK];
		/* The host's pool is up long before a VMM runs: this neither blocks nor falls short. */
		ssize_t filled = getrandom(bytes, sizeof(bytes), 0);
		size_t written = filled > 0 ? virtqueue_write(&chain, 0, bytes, (size_t)filled) : 0;

		explicit_bzero(bytes, sizeof(bytes));
		virtqueue_push(&dev->queues[queue], chain.head, (uint32_t)written);
	}
	if (got < 0)
		virtio_device_fail(dev, &err);
	if (left == 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.device_id = RNG_DEVICE_ID,
	.queue_count = 1,
	.queue_size = 16,
	.notified = rng_notified,
};

int virtio_rng_create(const struct virtio_place *place, struct virtio_device **out_dev,
                      struct error *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return error_set(err, -ENOMEM, "no memory for rng");
	int ret = virtio_device_init(&rng->dev, &rng_ops, place, err);
	if (ret) {
		free(rng);
		return ret;
	}
	*out_dev = &rng->dev;
	return 0;
}
