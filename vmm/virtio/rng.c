/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng.c - entropy for the guest (virtio 1.2 §5.4).
 *
 * A request of any size gets at most CHUNK bytes: the driver asks again if it wants more, so a
 * guest can't make one notification cost the host more than that. All requests together get RATE,
 * after a burst; one that comes too early stays in the ring until a timer looks for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "lib/token_bucket.h"
#include "vmm/virtio/virtio.h"

#define RNG_DEVICE_ID 4
#define CHUNK 256
/* Bytes. A booting Linux takes some hundred; a key for every page it loads wouldn't come near. */
#define RATE ((uint64_t)1 << 20)
#define BURST (256u << 10)

struct rng {
	struct virtio_device dev;
	struct token_bucket bytes;
	struct loop_timer refilled;
};

static void on_refilled(struct loop_timer *timer)
{
	struct rng *rng = container_of(timer, struct rng, refilled);

	virtio_device_again(&rng->dev, 0);
}

/* May CHUNK bytes be given now? If not, the queue is looked at again when they may. */
static bool may_give(struct rng *rng)
{
	uint64_t now = clock_now_ns();
	uint64_t wait = token_bucket_wait_ns(&rng->bytes, CHUNK, now);

	if (wait > 0 && !rng->refilled.active)
		loop_timer_set(rng->dev.loop, &rng->refilled, now + wait, on_refilled);
	return wait == 0;
}

static void rng_notified(struct virtio_device *dev, unsigned queue)
{
	struct rng *rng = container_of(dev, struct rng, dev);
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int got = 0;

	for (; left > 0 && may_give(rng) &&
	       (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0;
	     left--) {
		uint8_t bytes[CHUNK];
		/* The host's pool is up long before a VMM runs: this neither blocks nor falls short. */
		ssize_t filled = getrandom(bytes, sizeof(bytes), 0);
		size_t written = filled > 0 ? virtqueue_write(&chain, 0, bytes, (size_t)filled) : 0;

		explicit_bzero(bytes, sizeof(bytes));
		token_bucket_take(&rng->bytes, (uint32_t)written);
		virtqueue_push(&dev->queues[queue], chain.head, (uint32_t)written);
	}
	if (got < 0)
		virtio_device_fail(dev, &err);
	if (left == 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

static void rng_destroy(struct virtio_device *dev)
{
	struct rng *rng = container_of(dev, struct rng, dev);

	loop_timer_cancel(dev->loop, &rng->refilled);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.device_id = RNG_DEVICE_ID,
	.queue_count = 1,
	.queue_size = 16,
	.notified = rng_notified,
	.destroy = rng_destroy,
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
	token_bucket_init(&rng->bytes, RATE, BURST, clock_now_ns());
	*out_dev = &rng->dev;
	return 0;
}
