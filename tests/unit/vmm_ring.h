/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_ring.h - the driver's side of a split virtqueue in a test's guest memory (virtio 1.2 §2.7).
 *
 * Written down from the standard, not shared with the device under test. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_RING_H
#define CLOCHE_TESTS_UNIT_VMM_RING_H

#include "tests/unit/unit.h"
#include "vmm/memory.h"
#include "vmm/virtio/queue.h"

#define RING_F_NEXT 1u
#define RING_F_WRITE 2u
#define RING_F_INDIRECT 4u

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct ring_used {
	uint32_t id, len;
};

struct ring {
	uint16_t size;
	struct virtqueue_setup setup;
	struct ring_desc *desc; /* borrowed: guest memory, as all below */
	uint16_t *avail_flags, *avail_idx, *avail_ring;
	uint16_t *used_flags, *used_idx;
	struct ring_used *used_ring;
};

/* Lays the three parts out from @base on; they take less than @size * 26 + 64 bytes. */
static inline void ring_init(struct ring *ring, const struct guest_memory *memory, uint64_t base,
                             uint16_t size)
{
	uint64_t avail = base + (uint64_t)size * 16;
	uint64_t used = (avail + 6 + (uint64_t)size * 2 + 3) & ~(uint64_t)3;

	*ring = (struct ring){ .size = size, .setup = { size, GPA(base), GPA(avail), GPA(used) } };
	ring->desc = guest_memory_at(memory, GPA(base), (uint64_t)size * 16, GUEST_WRITE);
	ring->avail_flags =
		guest_memory_at(memory, GPA(avail), 6 + (uint64_t)size * 2, GUEST_WRITE);
	ring->used_flags = guest_memory_at(memory, GPA(used), 6 + (uint64_t)size * 8, GUEST_WRITE);
	assert_true(ring->desc && ring->avail_flags && ring->used_flags);
	memset(ring->desc, 0, (size_t)size * 16);
	memset(ring->avail_flags, 0, 6 + (size_t)size * 2);
	memset(ring->used_flags, 0, 6 + (size_t)size * 8);
	ring->avail_idx = ring->avail_flags + 1;
	ring->avail_ring = ring->avail_flags + 2;
	ring->used_idx = ring->used_flags + 1;
	ring->used_ring = (struct ring_used *)(void *)(ring->used_flags + 2);
}

static inline void ring_describe(struct ring *ring, uint16_t index, uint64_t addr, uint32_t len,
                                 unsigned flags, uint16_t next)
{
	ring->desc[index] = (struct ring_desc){ addr, len, (uint16_t)flags, next };
}

static inline void ring_offer(struct ring *ring, uint16_t head)
{
	ring->avail_ring[*ring->avail_idx % ring->size] = head;
	/* As a driver does it: all else is there before the index says so. */
	__atomic_store_n(ring->avail_idx, (uint16_t)(*ring->avail_idx + 1), __ATOMIC_RELEASE);
}

/* The used element before the index @idx. */
static inline struct ring_used ring_used_before(const struct ring *ring, uint16_t idx)
{
	return ring->used_ring[(uint16_t)(idx - 1) % ring->size];
}

#endif
