/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.c - pages in, host memory out.
 *
 * A page that the guest gives back is dropped (guest_memory_discard()); it takes it again by
 * touching it, so deflating needs nothing but an answer. What a driver may not do, besides
 * breaking its rings:
 *
 *  B1  a page on an inflate list that isn't RAM: a hole, a device, the root image, beyond the end;
 *  B2  a report of anything but whole pages of RAM.
 *
 * How much of a list or of reports one turn works off is bounded (TURN_), however long they are: a
 * list of which more is left stays open, and the device comes back to it.
 *
 * Statistics go backwards (§5.5.6.3): the driver leaves a filled buffer with the device, which
 * returns it when it wants fresh ones. A driver that leaves more than one isn't listened to beyond
 * the first; the others stay in the ring until that one was asked back.
 *
 * Queues (§5.5.2): the standard gives numbers to all five, Linux counts only those that exist, and
 * so do other VMMs. Without free-page hints, which we don't offer, the reports' queue is 4 for the
 * one and 3, or 2 without statistics, for the other. Both are understood.
 */
#include "vmm/virtio/balloon.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define BALLOON_DEVICE_ID 5

/* §5.5.3 */
#define F_STATS_VQ (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING (1ull << 5)

/* One turn: addresses of a list; ranges and bytes of reports, each rounded up to a chain. */
#define TURN_PAGES 1024
#define TURN_RANGES 256
#define TURN_BYTES ((uint64_t)128 << 20)

#define CONFIG_ACTUAL 4 /* offset; the driver writes it, and nothing else */
#define STATS_READ_MAX 32

enum role { ROLE_INFLATE, ROLE_DEFLATE, ROLE_STATS, ROLE_REPORTS, ROLE_NONE };

struct stat_entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

struct balloon {
	struct virtio_device dev;
	struct balloon_handlers handlers;
	struct {
		uint32_t target, actual; /* pages, little-endian, §5.5.4 */
	} config;
	bool running;

	bool list_open; /* .list was popped and isn't pushed yet */
	struct virtqueue_chain list;
	uint64_t list_done; /* bytes */

	bool stats_held; /* the driver's buffer is here, to be returned when we ask */
	uint16_t stats_head;
	unsigned stats_queue;
	struct loop_timer stats_told;

	struct balloon_state state; /* .target and .actual are in .config, .driver is .running */
};

static struct balloon *from(struct virtio_device *dev)
{
	return container_of(dev, struct balloon, dev);
}

static enum role role_of(const struct virtio_device *dev, unsigned queue)
{
	bool stats = virtio_device_has(dev, F_STATS_VQ);
	bool reports = virtio_device_has(dev, F_REPORTING);

	if (queue < 2)
		return queue == 0 ? ROLE_INFLATE : ROLE_DEFLATE;
	if (queue == 2 && stats)
		return ROLE_STATS;
	if (reports && (queue == 4 || queue == (stats ? 3 : 2)))
		return ROLE_REPORTS;
	return ROLE_NONE;
}

/* --- giving back ----------------------------------------------------------------------------- */

/* B1, B2 for what is no RAM; a host that can't drop it is no fault of the guest's. */
static int discard(struct balloon *balloon, void *host, uint64_t size, uint64_t *count,
                   const char *rule, struct error *err)
{
	int ret = host ? guest_memory_discard(balloon->dev.memory, host, size) : -EINVAL;

	if (ret == -EINVAL)
		return error_set(err, -EPROTO, "balloon: %s", rule);
	/* What is given while RAM is still being loaded stays as it is: neither side counts on it. */
	if (ret && ret != -EAGAIN)
		log_warn_limited(&balloon->dev.complaints,
		                 "balloon: memory of the guest can't be given back: %s",
		                 strerror(-ret));
	else if (ret == 0)
		*count += size;
	return 0;
}

static int compare_pages(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Gives @count pages back, in as few ranges as there are; sorts them. */
static int discard_pages(struct balloon *balloon, uint32_t *pages, size_t count, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; i < count; i++)
		pages[i] = le32toh(pages[i]);
	qsort(pages, count, sizeof(pages[0]), compare_pages);
	for (size_t i = 0, next; i < count && ret == 0; i = next) {
		for (next = i + 1; next < count && pages[next] - pages[next - 1] <= 1; next++)
			;
		struct gpa first = GPA((uint64_t)pages[i] * GUEST_PAGE_SIZE);
		uint64_t size = (pages[next - 1] - pages[i] + 1ull) * GUEST_PAGE_SIZE;

		ret = discard(balloon,
		              guest_memory_at(balloon->dev.memory, first, size, GUEST_WRITE), size,
		              &balloon->state.inflated, "B1: a page that isn't RAM", err);
	}
	return ret;
}

static void push(struct balloon *balloon, unsigned queue, uint16_t head)
{
	virtqueue_push(&balloon->dev.queues[queue], head, 0);
}

/* Works on the open list, at most @left pages. How many it took, or -EPROTO. */
static int inflate_some(struct balloon *balloon, unsigned queue, size_t left, struct error *err)
{
	uint32_t pages[TURN_PAGES];
	size_t bytes = virtqueue_read(&balloon->list, balloon->list_done, pages, left * 4);
	size_t count = bytes / 4; /* a page number that was cut short is none */

	int ret = discard_pages(balloon, pages, count, err);
	balloon->list_done += bytes;
	if (ret == 0 && balloon->list_done == balloon->list.readable_size) {
		balloon->list_open = false;
		push(balloon, queue, balloon->list.head);
	}
	return ret ? ret : (int)count;
}

static void notified_inflate(struct balloon *balloon, unsigned queue)
{
	struct virtio_device *dev = &balloon->dev;
	struct error err = { 0 };
	size_t pages = TURN_PAGES;
	unsigned lists = VIRTIO_TURN_MAX;
	int got = 1;

	while (pages > 0 && lists > 0 && got > 0) {
		if (!balloon->list_open) {
			got = virtqueue_pop(&dev->queues[queue], &balloon->list, &err);
			if (got <= 0)
				break;
			balloon->list_open = true;
			balloon->list_done = 0;
			lists--;
		}
		int taken = inflate_some(balloon, queue, pages, &err);
		if (taken < 0)
			got = taken;
		else
			pages -= (size_t)taken;
	}
	if (got < 0)
		virtio_device_fail(dev, &err);
	else if (got > 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

static void notified_deflate(struct balloon *balloon, unsigned queue)
{
	struct virtio_device *dev = &balloon->dev;
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int got = 0;

	for (; left > 0 && (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0; left--)
		push(balloon, queue, chain.head);
	if (got < 0)
		virtio_device_fail(dev, &err);
	if (left == 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

static int take_report(struct balloon *balloon, const struct virtqueue_chain *chain,
                       struct error *err)
{
	int ret = 0;

	for (unsigned i = 0; i < chain->writable && ret == 0; i++) {
		const struct virtqueue_buffer *buffer = &chain->buffers[chain->readable + i];

		ret = discard(balloon, buffer->data, buffer->size, &balloon->state.reported,
		              "B2: a report of what isn't whole pages of RAM", err);
	}
	return ret;
}

static void notified_reports(struct balloon *balloon, unsigned queue)
{
	struct virtio_device *dev = &balloon->dev;
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned ranges = 0;
	uint64_t bytes = 0;
	int got = 1;

	while (got > 0 && ranges < TURN_RANGES && bytes < TURN_BYTES) {
		got = virtqueue_pop(&dev->queues[queue], &chain, &err);
		if (got <= 0)
			break;
		ranges += chain.writable + 1; /* one that reports nothing costs, too */
		bytes += chain.writable_size;
		int ret = take_report(balloon, &chain, &err);
		if (ret)
			got = ret;
		else
			push(balloon, queue, chain.head);
	}
	if (got < 0)
		virtio_device_fail(dev, &err);
	else if (got > 0)
		virtio_device_again(dev, queue);
	virtio_device_signal(dev, queue);
}

/* --- statistics ------------------------------------------------------------------------------ */

static void on_stats_told(struct loop_timer *timer)
{
	struct balloon *balloon = container_of(timer, struct balloon, stats_told);

	if (balloon->handlers.stats_came)
		balloon->handlers.stats_came(balloon->handlers.arg);
}

static void take_stats(struct balloon *balloon, const struct virtqueue_chain *chain)
{
	struct stat_entry entries[STATS_READ_MAX];
	size_t count = virtqueue_read(chain, 0, entries, sizeof(entries)) / sizeof(entries[0]);
	struct balloon_state *state = &balloon->state;

	state->known = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned tag = le16toh(entries[i].tag);

		if (tag >= BALLOON_STATS)
			continue;
		state->stats[tag] = le64toh(entries[i].value);
		state->known |= 1u << tag;
	}
	state->stats_ns = clock_now_ns();
}

/* Returns the driver's buffer, which it will bring back with fresh statistics. */
static void return_stats(struct balloon *balloon)
{
	balloon->stats_held = false;
	push(balloon, balloon->stats_queue, balloon->stats_head);
	virtio_device_signal(&balloon->dev, balloon->stats_queue);
	/* A second buffer may wait in the ring, of which the driver won't speak again. */
	virtio_device_again(&balloon->dev, balloon->stats_queue);
}

static void notified_stats(struct balloon *balloon, unsigned queue)
{
	struct virtio_device *dev = &balloon->dev;
	struct virtqueue_chain chain;
	struct error err = { 0 };
	int got = 0;

	if (!balloon->stats_held && (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0) {
		take_stats(balloon, &chain);
		balloon->stats_held = true;
		balloon->stats_head = chain.head;
		balloon->stats_queue = queue;
		/* The handler may call back into the device: not from under its lock. */
		loop_timer_set(dev->loop, &balloon->stats_told, 0, on_stats_told);
	}
	/* Finds the ring empty, so that the driver is bidden to notify of the next one. */
	if (got > 0 && balloon->stats_held &&
	    (got = virtqueue_pop(&dev->queues[queue], &chain, &err)) > 0)
		virtqueue_unpop(&dev->queues[queue], 1);
	if (got < 0)
		virtio_device_fail(dev, &err);
}

bool virtio_balloon_ask(struct virtio_device *dev)
{
	struct balloon *balloon = from(dev);

	pthread_mutex_lock(&dev->lock);
	bool can = balloon->running && !dev->needs_reset && virtio_device_has(dev, F_STATS_VQ) &&
	           dev->queues[2].active;
	/* While it isn't here, it is on its way: asked for already, or the driver's first. */
	if (can && balloon->stats_held)
		return_stats(balloon);
	pthread_mutex_unlock(&dev->lock);
	return can;
}

/* --- the device ------------------------------------------------------------------------------ */

static void balloon_notified(struct virtio_device *dev, unsigned queue)
{
	switch (role_of(dev, queue)) {
	case ROLE_INFLATE:
		notified_inflate(from(dev), queue);
		break;
	case ROLE_DEFLATE:
		notified_deflate(from(dev), queue);
		break;
	case ROLE_STATS:
		notified_stats(from(dev), queue);
		break;
	case ROLE_REPORTS:
		notified_reports(from(dev), queue);
		break;
	case ROLE_NONE:
		break;
	}
}

static void balloon_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	memcpy(out, (const uint8_t *)&from(dev)->config + offset, size);
}

static void balloon_config_write(struct virtio_device *dev, size_t offset, const void *data,
                                 size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		if (offset + i >= CONFIG_ACTUAL)
			((uint8_t *)&from(dev)->config)[offset + i] = bytes[i];
}

/* Linux fills its first buffer with statistics, and says so, before it says DRIVER_OK. */
static void balloon_activated(struct virtio_device *dev)
{
	from(dev)->running = true;
	if (role_of(dev, 2) == ROLE_STATS)
		virtio_device_again(dev, 2);
}

/* On a vCPU's thread: the loop is left alone. */
static void balloon_reset(struct virtio_device *dev)
{
	struct balloon *balloon = from(dev);

	balloon->running = false;
	balloon->list_open = false;
	balloon->stats_held = false;
	balloon->state.known = 0;
	balloon->config.actual = 0;
}

/*
 * What is out of its ring goes back, to be popped again. An open list is then begun anew: all its
 * pages are the balloon's still, so dropping some of them twice does no harm.
 */
static void balloon_quiesce(struct virtio_device *dev)
{
	struct balloon *balloon = from(dev);

	if (balloon->list_open)
		virtqueue_unpop(&dev->queues[0], 1);
	if (balloon->stats_held)
		virtqueue_unpop(&dev->queues[balloon->stats_queue], 1);
	balloon->list_open = balloon->stats_held = false;
}

static void balloon_save(const struct virtio_device *dev, struct wire_writer *out)
{
	const struct balloon *balloon = container_of(dev, struct balloon, dev);

	wire_put_u8(out, balloon->running);
	wire_put_u32(out, le32toh(balloon->config.target));
	wire_put_u32(out, le32toh(balloon->config.actual));
}

static int balloon_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	struct balloon *balloon = from(dev);
	bool running = wire_get_u8(in);
	uint32_t target = wire_get_u32(in);

	if (target > dev->memory->ram_size / GUEST_PAGE_SIZE)
		return error_set(err, -EINVAL, "balloon: its target is larger than RAM");
	balloon->running = running;
	balloon->config.target = htole32(target);
	balloon->config.actual = htole32(wire_get_u32(in));
	return 0;
}

static void balloon_destroy(struct virtio_device *dev)
{
	loop_timer_cancel(dev->loop, &from(dev)->stats_told);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.device_id = BALLOON_DEVICE_ID,
	.features = F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING,
	.queue_count = 5,
	.queue_size = 128,
	.config_size = 8,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.activated = balloon_activated,
	.notified = balloon_notified,
	.reset = balloon_reset,
	.quiesce = balloon_quiesce,
	.save = balloon_save,
	.restore = balloon_restore,
	.destroy = balloon_destroy,
};

int virtio_balloon_create(const struct virtio_place *place, const struct balloon_handlers *handlers,
                          bool reports, struct virtio_device **out_dev, struct error *err)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return error_set(err, -ENOMEM, "no memory for the balloon");
	int ret = virtio_device_init(&balloon->dev, &balloon_ops, place, err);
	if (ret) {
		free(balloon);
		return ret;
	}
	balloon->handlers = *handlers;
	if (!reports)
		balloon->dev.features &= ~F_REPORTING;
	*out_dev = &balloon->dev;
	return 0;
}

int virtio_balloon_set_target(struct virtio_device *dev, uint64_t size)
{
	uint64_t pages = size / GUEST_PAGE_SIZE;

	ASSERT(size % GUEST_PAGE_SIZE == 0);
	if (size > dev->memory->ram_size || pages > UINT32_MAX)
		return -ERANGE;
	pthread_mutex_lock(&dev->lock);
	from(dev)->config.target = htole32((uint32_t)pages);
	virtio_device_config_changed(dev);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

void virtio_balloon_read(struct virtio_device *dev, struct balloon_state *out_state)
{
	struct balloon *balloon = from(dev);

	pthread_mutex_lock(&dev->lock);
	struct balloon_state state = balloon->state;
	uint64_t actual = (uint64_t)le32toh(balloon->config.actual) * GUEST_PAGE_SIZE;

	state.driver = balloon->running && !dev->needs_reset;
	state.target = (uint64_t)le32toh(balloon->config.target) * GUEST_PAGE_SIZE;
	pthread_mutex_unlock(&dev->lock);
	state.actual = actual < dev->memory->ram_size ? actual : dev->memory->ram_size;
	*out_state = state;
}
