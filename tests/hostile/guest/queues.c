/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queues.c - rings in the wrong place, rings in the way, indices that run.
 */
#include "tests/hostile/guest/hostile.h"

#define RNG_MOST 256u
#define VSOCK_TX 1u

static struct queue queue;

/* The rng's queue, started, with one writable descriptor of @size at @at. */
static void start_rng(struct dev *dev, uint64_t features, const void *at, uint32_t size)
{
	dev_negotiate(dev, features);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, at, size, DESC_WRITE, 0);
	dev_go(dev);
}

static uint32_t ask(void)
{
	queue_publish(&queue, 0);
	queue_kick(&queue);
	return queue_await(&queue);
}

/* --- places that activation must refuse --- */

/* Each bends a good place. The queue doesn't get ready, and DRIVER_OK and a notification change nothing. */
static void refuse(struct dev *dev, void (*bend)(struct ring_place *place))
{
	dev_negotiate(dev, 0);
	struct ring_place place = queue_init(&queue, dev, 0, 16);
	bend(&place);
	queue_place(&queue, &place);
	queue_ready(&queue);
	check(reg_read(dev, REG_QUEUE_READY) == 0, "the queue isn't ready");
	check(dev_status(dev) & STATUS_NEEDS_RESET, "refused at once");
	dev_go(dev);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	serve(DEVICE_VSOCK); /* the notification comes before what this one asks for */
	check(queue_used(&queue) == 0, "a refused queue isn't served");
}

#define PLACES(X)                                                                                  \
	X(size_zero, place->size = 0)                                                              \
	X(size_three, place->size = 3)                                                             \
	X(size_too_large, place->size = 32)                                                        \
	X(size_beyond_16_bits, place->size = 0x10010)                                              \
	X(size_max, place->size = 0xffffffff)                                                      \
	X(desc_misaligned, place->desc += 8)                                                       \
	X(avail_misaligned, place->avail += 1)                                                     \
	X(used_misaligned, place->used += 2)                                                       \
	X(desc_outside, place->desc = LAYOUT_HOLE_START)                                           \
	X(avail_outside, place->avail = LAYOUT_HOLE_START)                                         \
	X(used_outside, place->used = LAYOUT_HOLE_START)                                           \
	X(desc_spans_end_of_ram, place->desc = RAM_END - 16 * 16 + 16)                             \
	X(avail_spans_end_of_ram, place->avail = RAM_END - 36)                                     \
	X(used_spans_end_of_ram, place->used = RAM_END - 132)                                      \
	X(desc_wraps, place->desc = ~0ull - 15)                                                    \
	X(avail_wraps, place->avail = ~0ull - 1)                                                   \
	X(used_wraps, place->used = ~0ull - 3)                                                     \
	X(used_in_image, place->used = IMAGE_START)                                                \
	X(used_is_own_registers, place->used = LAYOUT_VIRTIO)                                      \
	X(desc_over_avail, place->desc = place->avail)                                             \
	X(desc_over_used, place->desc = place->used)                                               \
	X(avail_over_used, place->avail = place->used)                                             \
	X(avail_in_last_desc, place->avail = place->desc + 16 * 16 - 2)                            \
	X(used_in_avail_event, place->used = place->avail + 36)                                    \
	X(all_at_zero, place->desc = place->avail = place->used = 0)

#define PLACE_FUNCTION(name, bend)                                                                 \
	static void bend_##name(struct ring_place *place)                                          \
	{                                                                                          \
		bend;                                                                              \
	}                                                                                          \
	static void place_##name(struct dev *dev)                                                  \
	{                                                                                          \
		refuse(dev, bend_##name);                                                          \
	}
PLACES(PLACE_FUNCTION)

/* The tightest placement that is allowed: one ring directly behind the other, up to RAM's end. */
static void place_tight(struct dev *dev)
{
	uint64_t used = RAM_END - 136, avail = used - 40, desc = (avail - 16 * 16) & ~15ull;
	volatile uint16_t *idx = (volatile uint16_t *)(uintptr_t)(used + 2);

	dev_negotiate(dev, 0);
	queue_init(&queue, dev, 0, 16);
	memset((void *)(uintptr_t)desc, 0, RAM_END - desc);
	queue_place(&queue, &(struct ring_place){ 16, desc, avail, used });
	queue_ready(&queue);
	dev_go(dev);
	*(struct vring_desc *)(uintptr_t)desc = (struct vring_desc){ AT(buffer), 8, DESC_WRITE, 0 };
	__atomic_store_n((uint16_t *)(uintptr_t)(avail + 2), 1, __ATOMIC_RELEASE);
	queue_kick(&queue);
	while (*idx != 1)
		relax();
}

/* --- buffers over rings --- */

static void offer_used(struct dev *dev, size_t offset, uint32_t size)
{
	start_rng(dev, 0, NULL, 0);
	queue_describe(&queue, 0, (void *)(AT(&queue.memory->used) + offset), size, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
}

#define USED_SIZE (4u + 16 * 8 + 2)

static void buffer_over_used(struct dev *dev)
{
	offer_used(dev, 0, USED_SIZE);
	await_needs_reset(dev);
}

static void buffer_over_used_index(struct dev *dev)
{
	offer_used(dev, 2, 2);
	await_needs_reset(dev);
}

static void buffer_over_avail_event(struct dev *dev)
{
	offer_used(dev, USED_SIZE - 1, 64);
	await_needs_reset(dev);
}

static void buffer_behind_used(struct dev *dev)
{
	offer_used(dev, USED_SIZE, 64);
	check(queue_await(&queue) == 64, "the ring ends where it ends");
}

static void buffer_into_used(struct dev *dev)
{
	offer_used(dev, (size_t)0 - 63, 64);
	await_needs_reset(dev);
}

/* Garbage falls on the descriptors after they were read: this request is served, what comes next isn't. */
static void buffer_over_descriptors(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, queue.memory->desc, RNG_MOST, DESC_WRITE, 0);
	dev_go(dev);
	check(ask() == RNG_MOST, "the copy is what counts");
	memset(queue.memory->desc, 0xff, RNG_MOST);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

/* Random bytes fall on avail index and ring; zeros in it would be a new chain or none. */
static void buffer_over_avail(struct dev *dev)
{
	start_rng(dev, 0, NULL, 0);
	queue_describe(&queue, 0, &queue.memory->avail, 2, DESC_WRITE, 0);
	check(ask() == 2, "flags of random bits are just flags");
	queue_describe(&queue, 0, &queue.memory->avail.ring[0], RNG_MOST, DESC_WRITE, 0);
	check(ask() == RNG_MOST, "served from what was read before");
}

/* --- indices --- */

static void jump(struct dev *dev, uint16_t idx)
{
	start_rng(dev, 0, buffer, 8);
	__atomic_store_n(&queue.memory->avail.idx, idx, __ATOMIC_RELEASE);
	queue_kick(&queue);
	await_needs_reset(dev);
	check(queue_used(&queue) == 0, "nothing was used");
}

static void avail_jumps_by_one_too_many(struct dev *dev)
{
	jump(dev, 17);
}

static void avail_jumps_half_way(struct dev *dev)
{
	jump(dev, 0x8000);
}

static void avail_goes_back_from_start(struct dev *dev)
{
	jump(dev, 0xffff);
}

static void avail_jumps_to_full(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	queue.published = 16;
	__atomic_store_n(&queue.memory->avail.idx, 16, __ATOMIC_RELEASE);
	queue_kick(&queue);
	check(queue_await(&queue) == 8, "a full ring is served");
}

static void avail_goes_back(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	for (unsigned i = 0; i < 5; i++)
		ask();
	__atomic_store_n(&queue.memory->avail.idx, 4, __ATOMIC_RELEASE);
	queue_kick(&queue);
	await_needs_reset(dev);
	check(queue_used(&queue) == 5, "no more was used");
}

static void avail_back_to_zero(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	for (unsigned i = 0; i < 20; i++)
		ask();
	__atomic_store_n(&queue.memory->avail.idx, 0, __ATOMIC_RELEASE);
	queue_kick(&queue);
	await_needs_reset(dev);
}

/* Stays one ring ahead of the device through several turns of its own, then stops. */
static void avail_runs_away(struct dev *dev)
{
	uint16_t target = 2000;

	start_rng(dev, 0, buffer, 8);
	while (queue_used(&queue) != target) {
		uint16_t ahead = (uint16_t)(queue_used(&queue) + 16);

		if (ahead > target)
			ahead = target;
		__atomic_store_n(&queue.memory->avail.idx, ahead, __ATOMIC_RELEASE);
		queue_kick(&queue);
	}
}

static void indices_wrap(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	for (unsigned i = 0; i < 0x10000 / 16 + 2; i++) {
		for (unsigned k = 0; k < 16; k++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		queue_await(&queue);
	}
	check(queue.published == 32, "round 2^16");
}

static void used_index_is_ours(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	ask();
	__atomic_store_n(&queue.memory->used.idx, 0x7777, __ATOMIC_RELEASE);
	ask();
	check(queue_used(&queue) == 2, "the device counts by itself");
}

/* With EVENT_IDX on, whatever stands in used_event must not stop the device. */
static void used_event_garbage(struct dev *dev)
{
	start_rng(dev, F_EVENT_IDX, buffer, 8);
	for (unsigned i = 0; i < 200; i++) {
		queue.memory->avail.ring[16] = (uint16_t)random32();
		check(ask() == 8, "served whatever the event index");
	}
}

static void avail_flags_garbage(struct dev *dev)
{
	start_rng(dev, 0, buffer, 8);
	for (unsigned i = 0; i < 50; i++) {
		queue.memory->avail.flags = (uint16_t)random32();
		check(ask() == 8, "served whatever the flags");
	}
	queue.memory->avail.flags = AVAIL_NO_INTERRUPT;
	reg_write(dev, REG_INTERRUPT_ACK, 3);
	ask();
	serve(DEVICE_VSOCK);
	check(reg_read(dev, REG_INTERRUPT_STATUS) == 0, "NO_INTERRUPT is honoured");
}

/* --- long chains --- */

/* A chain of @count descriptors of @size bytes each, all at @at. */
static void chain(uint16_t count, const void *at, uint32_t size, uint16_t flags)
{
	for (uint16_t i = 0; i < count; i++)
		queue_describe(&queue, i, at, size,
		               (uint16_t)(flags | (i + 1 < count ? DESC_NEXT : 0)),
		               (uint16_t)(i + 1));
}

static void chain_of_queue_size(struct dev *dev)
{
	start_rng(dev, 0, NULL, 0);
	chain(16, buffer, 8, DESC_WRITE);
	check(ask() == 128, "as long as the queue");
}

static void chain_longer_than_queue(struct dev *dev)
{
	start_rng(dev, F_INDIRECT, NULL, 0);
	for (uint16_t i = 0; i < 16; i++)
		indirect_table[i] =
			(struct vring_desc){ AT(buffer), 8,
			                     i < 15 ? DESC_WRITE | DESC_NEXT : DESC_WRITE,
			                     (uint16_t)(i + 1) };
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE | DESC_NEXT, 1);
	queue_describe(&queue, 1, indirect_table, 16 * sizeof(indirect_table[0]), DESC_INDIRECT, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

/* 256 buffers of 32 MiB, each of them in RAM. */
static void chain_beyond_4_gib(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, VSOCK_TX, 256);
	chain(256, (void *)(uintptr_t)(16u << 20), 32u << 20, 0);
	dev_go(dev);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

static void chain_of_512_mib(struct dev *dev)
{
	uint8_t *at = (uint8_t *)(uintptr_t)(16u << 20);

	start_rng(dev, 0, NULL, 0);
	chain(16, at, 32u << 20, DESC_WRITE);
	memset(at, 0x5a, PAGE);
	check(ask() == RNG_MOST, "512 MiB are asked for, 256 bytes come");
	for (unsigned i = RNG_MOST; i < PAGE; i++)
		check(at[i] == 0x5a, "and no more are written");
}

/* --- 5 GiB: RAM on both sides of the hole, one mapping on the host --- */

static void hole_is_not_spanned(struct dev *dev)
{
	start_rng(dev, 0, (void *)(uintptr_t)(LAYOUT_HOLE_START - 8), 16);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

static void hole_is_not_jumped(struct dev *dev)
{
	start_rng(dev, 0, (void *)(uintptr_t)(LAYOUT_HOLE_START - PAGE),
	          (uint32_t)(LAYOUT_HOLE_END - LAYOUT_HOLE_START) + 2 * PAGE);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

static void hole_ends_are_ram(struct dev *dev)
{
	start_rng(dev, 0, (void *)(uintptr_t)(LAYOUT_HOLE_START - 8), 8);
	check(ask() == 8, "below the hole");
	queue_describe(&queue, 0, (void *)(uintptr_t)LAYOUT_HOLE_END, 8, DESC_WRITE, 0);
	check(ask() == 8, "above the hole");
	queue_describe(&queue, 0, (void *)(uintptr_t)(LAYOUT_HOLE_END - 8), 16, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

#define RNG_CASE(name, outcome) HOSTILE_CASE(name, DEVICE_RNG, outcome)
#define PLACE_CASE(name_, bend) RNG_CASE(place_##name_, REFUSED),

const struct hostile_case queue_cases[] = {
	PLACES(PLACE_CASE) RNG_CASE(place_tight, SERVED),
	RNG_CASE(buffer_over_used, NEEDS_RESET),
	RNG_CASE(buffer_over_used_index, NEEDS_RESET),
	RNG_CASE(buffer_over_avail_event, NEEDS_RESET),
	RNG_CASE(buffer_behind_used, SERVED),
	RNG_CASE(buffer_into_used, NEEDS_RESET),
	RNG_CASE(buffer_over_descriptors, NEEDS_RESET),
	RNG_CASE(buffer_over_avail, SERVED),
	RNG_CASE(avail_jumps_by_one_too_many, NEEDS_RESET),
	RNG_CASE(avail_jumps_half_way, NEEDS_RESET),
	RNG_CASE(avail_goes_back_from_start, NEEDS_RESET),
	RNG_CASE(avail_jumps_to_full, SERVED),
	RNG_CASE(avail_goes_back, NEEDS_RESET),
	RNG_CASE(avail_back_to_zero, NEEDS_RESET),
	RNG_CASE(avail_runs_away, SERVED),
	RNG_CASE(indices_wrap, SERVED),
	RNG_CASE(used_index_is_ours, SERVED),
	RNG_CASE(used_event_garbage, SERVED),
	RNG_CASE(avail_flags_garbage, SERVED),
	RNG_CASE(chain_of_queue_size, SERVED),
	RNG_CASE(chain_longer_than_queue, NEEDS_RESET),
	HOSTILE_CASE(chain_beyond_4_gib, DEVICE_VSOCK, NEEDS_RESET),
	RNG_CASE(chain_of_512_mib, SERVED),
	RNG_CASE(hole_is_not_spanned, NEEDS_RESET),
	RNG_CASE(hole_is_not_jumped, NEEDS_RESET),
	RNG_CASE(hole_ends_are_ram, NEEDS_RESET),
	{ 0 },
};
