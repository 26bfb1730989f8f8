/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.c - a disk over a raw file (virtio 1.2 §5.2).
 *
 * Reading and writing a file blocks, so each disk has a thread with a loop of its own (worker.h):
 * the queue's ioeventfd wakes that thread, which does one request after the other straight between
 * file and guest memory. Neither a vCPU nor the I/O thread ever waits for the host's storage, with
 * one exception: the register write that resets the device.
 *
 *  B1  The device's lock is not held while the file is used. The thread then works on a request that
 *      was parsed into .request under the lock, and on guest memory, which outlives the device.
 *  B2  .at_work is the epoch under which the thread uses the file, 0 while it doesn't. A reset
 *      begins a new epoch, then waits until no work of an earlier one is under way: when the driver
 *      reads status 0, nothing writes to the buffers that it gave (§2.4.2). The wait is for one
 *      request.
 *  B3  A request that outlived its epoch is never pushed: the ring belongs to a new one.
 *
 * Interrupts. One after each request would stop the driver in the midst of submitting the next ones.
 * But a driver that got n answers by one interrupt is likely to have n things more to ask. So when
 * the ring is empty and fewer were answered since, the thread looks on for a while before it
 * interrupts, and the driver needs not notify it meanwhile: for as long as a few requests took to
 * arrive, at most HOLD_MAX_NS. With one request at a time nothing is ever held.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "vmm/virtio/blk_file.h"
#include "vmm/virtio/blk_request.h"
#include "vmm/virtio/virtio.h"
#include "vmm/virtio/worker.h"

#define BLK_DEVICE_ID 2
#define QUEUE_SIZE VIRTQUEUE_SIZE_MAX
/* Beside the data, a request takes a descriptor for its header and one for its status. */
#define SEGMENTS_MAX (QUEUE_SIZE - 2)
/* What the driver is told to align discards to: a page of the host's cache. */
#define DISCARD_ALIGNMENT (4096 / BLK_SECTOR_SIZE)

/* Answers wait for others no longer than this, and than HOLD_GAPS times what lay between requests. */
#define HOLD_MAX_NS 200000
#define HOLD_GAPS 4
/* No answer is older than this when the next request is begun. */
#define BATCH_MAX_NS 500000

#define F(bit) (1ull << (bit))
#define FEATURES_ALWAYS (F(VIRTIO_BLK_F_SEG_MAX) | F(VIRTIO_BLK_F_BLK_SIZE) | F(VIRTIO_BLK_F_FLUSH))
#define FEATURES_WRITABLE                                                                          \
	(F(VIRTIO_BLK_F_CONFIG_WCE) | F(VIRTIO_BLK_F_DISCARD) | F(VIRTIO_BLK_F_WRITE_ZEROES))

/* Answers since the last interrupt. */
struct batch {
	unsigned count, expected; /* expected: what the last one had */
	uint64_t first_ns, last_ns;
	uint64_t hold_ns; /* how long to look for the next request */
};

struct blk {
	struct virtio_device dev;
	struct worker *worker; /* owned */
	struct blk_file file;
	char name[VIRTIO_BLK_ID_BYTES]; /* what GET_ID says, and log lines */
	struct virtio_blk_config config;
	bool mode_chosen; /* the driver has written config.wce */

	uint64_t epoch, at_work;
	bool quiescing;        /* no request is begun */
	pthread_cond_t rested; /* with the device's lock: .at_work became 0 */
	struct batch batch;
	/* The request that the thread works on. */
	struct virtqueue_chain chain;
	struct blk_request request;
};

static struct blk *blk_of(struct virtio_device *dev)
{
	return container_of(dev, struct blk, dev);
}

/* --- configuration --- */

/* §5.2.5, §5.2.6.2: must a write be on the storage only after a flush, or when it completes? */
static bool is_writeback(const struct blk *blk)
{
	if (virtio_device_has(&blk->dev, F(VIRTIO_BLK_F_CONFIG_WCE)) && blk->mode_chosen)
		return blk->config.wce;
	return virtio_device_has(&blk->dev, F(VIRTIO_BLK_F_FLUSH));
}

static void fill_config(struct blk *blk)
{
	struct virtio_blk_config *c = &blk->config;

	c->capacity = htole64(blk->file.size / BLK_SECTOR_SIZE);
	c->seg_max = htole32(SEGMENTS_MAX);
	c->blk_size = htole32(BLK_SECTOR_SIZE);
	c->num_queues = htole16(1);
	if (blk->file.read_only)
		return;
	c->max_discard_sectors = htole32(BLK_RANGE_SECTORS_MAX);
	c->max_discard_seg = htole32(BLK_RANGES_MAX);
	c->discard_sector_alignment = htole32(DISCARD_ALIGNMENT);
	c->max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS_MAX);
	c->max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = 1;
}

static void blk_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	struct virtio_blk_config config = blk_of(dev)->config;

	config.wce = is_writeback(blk_of(dev));
	memcpy(out, (uint8_t *)&config + offset, size);
}

static void blk_config_write(struct virtio_device *dev, size_t offset, const void *data,
                             size_t size)
{
	struct blk *blk = blk_of(dev);
	uint8_t value;

	/* The one field that a driver may write. */
	if (offset != offsetof(struct virtio_blk_config, wce) || size != sizeof(value) ||
	    !virtio_device_has(dev, F(VIRTIO_BLK_F_CONFIG_WCE)))
		return;
	memcpy(&value, data, sizeof(value));
	blk->config.wce = value & 1;
	blk->mode_chosen = true;
}

/* --- interrupts --- */

/* Interrupts for what was answered, and learns from it what to expect. */
static void batch_end(struct blk *blk, unsigned index)
{
	struct batch *batch = &blk->batch;

	if (batch->count == 0)
		return;
	batch->hold_ns = 0;
	if (batch->count > 1)
		batch->hold_ns =
			HOLD_GAPS * (batch->last_ns - batch->first_ns) / (batch->count - 1);
	if (batch->hold_ns > HOLD_MAX_NS)
		batch->hold_ns = HOLD_MAX_NS;
	batch->expected = batch->count;
	batch->count = 0;
	virtio_device_signal(&blk->dev, index);
}

static void batch_add(struct blk *blk, unsigned index)
{
	struct batch *batch = &blk->batch;

	batch->last_ns = clock_now_ns();
	if (batch->count++ == 0)
		batch->first_ns = batch->last_ns;
	if (batch->last_ns - batch->first_ns > BATCH_MAX_NS)
		batch_end(blk, index);
}

/* --- requests --- */

static int zero_ranges(struct blk *blk, bool stable)
{
	const struct blk_request *request = &blk->request;
	int ret = 0;

	for (unsigned i = 0; i < request->range_count && ret == 0; i++) {
		const struct blk_range *range = &request->ranges[i];

		ret = request->op == BLK_DISCARD
		              ? blk_file_discard(&blk->file, range->offset, range->size)
		              : blk_file_zero(&blk->file, range->offset, range->size, range->unmap);
	}
	return ret == 0 && stable ? blk_file_flush(&blk->file) : ret;
}

/* Does what is asked, without the lock. 0 or -errno; *out_written: bytes of data for the driver. */
static int carry_out(struct blk *blk, bool stable, uint64_t *out_written)
{
	struct blk_request *request = &blk->request;
	int ret;

	switch (request->op) {
	case BLK_READ:
		ret = blk_file_read(&blk->file, request->iov, request->iov_count, request->offset);
		if (ret == 0)
			*out_written = request->size;
		return ret;
	case BLK_WRITE:
		return blk_file_write(&blk->file, request->iov, request->iov_count, request->offset,
		                      stable);
	case BLK_FLUSH:
		return blk->file.read_only ? 0 : blk_file_flush(&blk->file);
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		return zero_ranges(blk, stable);
	case BLK_GET_ID: /* answer() does, with the status */
	case BLK_REFUSED:
	default:
		return 0;
	}
}

static void complain(struct blk *blk, int error)
{
	static const char *const names[] = {
		[BLK_READ] = "read",       [BLK_WRITE] = "write",
		[BLK_FLUSH] = "flush",     [BLK_GET_ID] = "identification",
		[BLK_DISCARD] = "discard", [BLK_WRITE_ZEROES] = "write of zeroes",
		[BLK_REFUSED] = "request",
	};

	log_warn_limited(&blk->dev.complaints, "%.*s: a %s failed: %s", (int)sizeof(blk->name),
	                 blk->name, names[blk->request.op], strerror(-error));
}

/* Hands the request back to the driver. */
static void answer(struct blk *blk, struct virtqueue *queue, int error, uint64_t written)
{
	const struct virtqueue_chain *chain = &blk->chain;
	uint64_t status_at = chain->writable_size - 1;
	uint8_t status = error ? VIRTIO_BLK_S_IOERR : blk->request.status;

	if (error)
		complain(blk, error);
	if (blk->request.op == BLK_GET_ID) {
		size_t room = status_at < sizeof(blk->name) ? (size_t)status_at : sizeof(blk->name);

		written = virtqueue_write(chain, 0, blk->name, room);
	}
	virtqueue_write(chain, status_at, &status, sizeof(status));
	/* Only bytes from the first on count as written (§2.7.8.2): a gap before the status ends them. */
	if (written == status_at)
		written = chain->writable_size;
	virtqueue_push(queue, chain->head, (uint32_t)written);
}

/* One request from .chain. False: the device has been reset or has failed meanwhile. */
static bool serve(struct blk *blk, unsigned index)
{
	const struct blk_limits limits = { .capacity = blk->file.size / BLK_SECTOR_SIZE,
		                           .read_only = blk->file.read_only };
	struct error err = { 0 };
	uint64_t written = 0;

	if (blk_request_parse(&blk->chain, &limits, &blk->request, &err)) {
		virtio_device_fail(&blk->dev, &err);
		return false;
	}
	bool stable = !is_writeback(blk);
	uint64_t epoch = blk->epoch;
	/* Nobody's answer waits for the storage. */
	if (blk->request.op != BLK_READ && (blk->request.op != BLK_WRITE || stable))
		batch_end(blk, index);
	blk->at_work = epoch;
	pthread_mutex_unlock(&blk->dev.lock);
	int error = carry_out(blk, stable, &written);
	pthread_mutex_lock(&blk->dev.lock);
	blk->at_work = 0;
	pthread_cond_broadcast(&blk->rested);
	if (blk->epoch != epoch)
		return false;
	answer(blk, &blk->dev.queues[index], error, written);
	batch_add(blk, index);
	return true;
}

/*
 * The ring is empty: looks for a request that makes the batch larger, letting go of the lock now and
 * then. Returns when there is one, when it is time to interrupt, or when the device has been reset.
 */
static void await_more(struct blk *blk, const struct virtqueue *queue)
{
	const struct batch *batch = &blk->batch;
	uint64_t epoch = blk->epoch;

	while (blk->epoch == epoch && batch->count > 0 && batch->count < batch->expected &&
	       !virtqueue_waiting(queue) && clock_now_ns() - batch->last_ns < batch->hold_ns) {
		pthread_mutex_unlock(&blk->dev.lock);
		sched_yield(); /* others may want the lock, or the CPU */
		pthread_mutex_lock(&blk->dev.lock);
	}
}

/* One request, or the interrupt when there is none. False: nothing more is to be done now. */
static bool serve_next(struct blk *blk, unsigned index)
{
	struct virtqueue *queue = &blk->dev.queues[index];
	struct error err = { 0 };
	uint64_t epoch = blk->epoch;

	if (blk->quiescing)
		return false;
	if (!virtqueue_waiting(queue)) {
		await_more(blk, queue);
		if (blk->epoch != epoch)
			return false;
		if (!virtqueue_waiting(queue))
			batch_end(blk, index);
	}
	/* Finding none, it asks for a notification. */
	int got = virtqueue_pop(queue, &blk->chain, &err);
	if (got < 0)
		virtio_device_fail(&blk->dev, &err);
	return got > 0 && serve(blk, index);
}

static void blk_notified(struct virtio_device *dev, unsigned index)
{
	struct blk *blk = blk_of(dev);
	uint64_t epoch = blk->epoch;
	unsigned left = VIRTIO_TURN_MAX;

	while (left > 0 && serve_next(blk, index))
		left--;
	if (blk->epoch != epoch)
		return;
	batch_end(blk, index);
	if (left == 0)
		virtio_device_again(dev, index);
}

static void blk_reset(struct virtio_device *dev)
{
	struct blk *blk = blk_of(dev);
	uint64_t epoch = ++blk->epoch;

	blk->mode_chosen = false;
	blk->batch = (struct batch){ 0 };
	while (blk->at_work && blk->at_work < epoch)
		pthread_cond_wait(&blk->rested, &dev->lock);
}

/*
 * The request under way ends, and no other is begun, as many as there may be in the ring. The thread then
 * waits for the lock, which the caller keeps.
 */
static void blk_quiesce(struct virtio_device *dev)
{
	struct blk *blk = blk_of(dev);

	blk->quiescing = true;
	while (blk->at_work)
		pthread_cond_wait(&blk->rested, &dev->lock);
	blk->quiescing = false;
	batch_end(blk, 0);
}

static void blk_save(const struct virtio_device *dev, struct wire_writer *out)
{
	const struct blk *blk = container_of(dev, struct blk, dev);

	wire_put_u64(out, blk->file.size);
	wire_put_u8(out, blk->file.read_only);
	wire_put_u8(out, blk->mode_chosen);
	wire_put_u8(out, blk->config.wce);
}

static int blk_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	struct blk *blk = blk_of(dev);
	uint64_t size = wire_get_u64(in);
	bool read_only = wire_get_u8(in);

	blk->mode_chosen = wire_get_u8(in);
	blk->config.wce = wire_get_u8(in) & 1;
	if (in->failed || size != blk->file.size || read_only != blk->file.read_only)
		return error_set(err, -EINVAL,
		                 "%.*s: its file isn't the one that the guest knows: the size or "
		                 "whether it may be written has changed",
		                 (int)sizeof(blk->name), blk->name);
	return 0;
}

static void blk_destroy(struct virtio_device *dev)
{
	struct blk *blk = blk_of(dev);

	worker_stop(blk->worker);
	virtio_device_unwatch(dev);
	worker_destroy(blk->worker);
	blk_file_close(&blk->file);
	pthread_cond_destroy(&blk->rested);
}

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.device_id = BLK_DEVICE_ID,
	.features = FEATURES_ALWAYS,
	.queue_count = 1,
	.queue_size = QUEUE_SIZE,
	/* What lies behind belongs to features that aren't offered. */
	.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.notified = blk_notified,
	.reset = blk_reset,
	.quiesce = blk_quiesce,
	.save = blk_save,
	.restore = blk_restore,
	.destroy = blk_destroy,
};

int virtio_blk_create(const struct virtio_place *place, const char *path, bool read_only,
                      unsigned index, struct virtio_device **out_dev, struct error *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	struct virtio_place own = *place;

	if (!blk)
		return error_set(err, -ENOMEM, "no memory for a disk");
	blk->file.fd = -1;
	blk->epoch = 1;
	snprintf(blk->name, sizeof(blk->name), "disk%u", index);
	int ret = blk_file_open(path, read_only, &blk->file, err);
	if (ret == 0)
		ret = worker_create(&blk->worker, err);
	if (ret)
		goto no_worker;
	own.loop = worker_loop(blk->worker);
	ret = virtio_device_init(&blk->dev, &blk_ops, &own, err);
	if (ret)
		goto no_device;
	pthread_cond_init(&blk->rested, NULL);
	blk->dev.features |= read_only ? F(VIRTIO_BLK_F_RO) : FEATURES_WRITABLE;
	fill_config(blk);
	ret = worker_start(blk->worker, blk->name, err);
	if (ret) {
		virtio_destroy(&blk->dev);
		return ret;
	}
	*out_dev = &blk->dev;
	return 0;
no_device:
	worker_destroy(blk->worker);
no_worker:
	blk_file_close(&blk->file);
	free(blk);
	return ret;
}
