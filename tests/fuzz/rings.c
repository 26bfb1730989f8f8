/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rings.c - see rings.h.
 *
 * Low RAM: ring N lies at N * RING_STRIDE, buffers from BUFFERS on in steps of BUFFER_STEP. A chain:
 *
 *	u8   descriptors - 1 (bits 0-2), CHAIN_* flags
 *	for each:
 *	u8   DESCRIPTOR_* flags
 *	u8   where, in steps
 *	u16  length; with DESCRIPTOR_HUGE in units of 64 KiB
 *	u8   with DESCRIPTOR_DATA: bytes that follow and are put into the buffer
 */
#include "tests/fuzz/rings.h"

#define RING_STRIDE 0x2000u
#define AVAIL 0x1000u
#define USED 0x1400u
#define BUFFERS 0x10000u
#define BUFFER_STEP 0x100u
/* Where the table of an indirect chain is put: the last page of low RAM. */
#define TABLE (RAM_LOW_SIZE - 0x1000u)

#define CHAIN_INDIRECT 0x08u
#define CHAIN_HIDDEN 0x10u /* described, not offered */
#define CHAIN_LOOP 0x20u   /* the last descriptor goes on to the first */

#define DESCRIPTOR_WRITABLE 0x01u
#define DESCRIPTOR_HIGH 0x02u
#define DESCRIPTOR_ROM 0x04u
#define DESCRIPTOR_DATA 0x08u
#define DESCRIPTOR_HUGE 0x10u

#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u

struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct used {
	uint32_t id, len;
};

static void *at(const struct rings *rings, uint64_t gpa, uint64_t size)
{
	return guest_memory_at(rings->memory, GPA(gpa), size, GUEST_READ);
}

static uint16_t *words(const struct rings *rings, unsigned index, uint64_t offset)
{
	return at(rings, index * RING_STRIDE + offset, 4);
}

void rings_init(struct rings *rings, const struct guest_memory *memory)
{
	*rings = (struct rings){ .memory = memory };
}

struct virtqueue_setup rings_start(struct rings *rings, unsigned index, uint16_t size)
{
	uint64_t base = index * RING_STRIDE;

	CHECK(index < RINGS_MAX && size <= RING_SIZE_MAX);
	memset(at(rings, base, RING_STRIDE), 0, RING_STRIDE);
	rings->ring[index] = (struct ring){ .size = size };
	return (struct virtqueue_setup){ size, GPA(base), GPA(base + AVAIL), GPA(base + USED) };
}

static struct descriptor take_descriptor(const struct rings *rings, struct input *in)
{
	uint8_t flags = input_u8(in);
	uint64_t base = flags & DESCRIPTOR_ROM ? ROM : flags & DESCRIPTOR_HIGH ? RAM_HIGH : BUFFERS;
	struct descriptor d = { .addr = base + input_u8(in) * (uint64_t)BUFFER_STEP };

	d.len = input_u16(in);
	if (flags & DESCRIPTOR_HUGE)
		d.len <<= 16;
	d.flags = flags & DESCRIPTOR_WRITABLE ? F_WRITE : 0;
	if (flags & DESCRIPTOR_DATA) {
		const uint8_t *data;
		size_t size = input_bytes(in, input_u8(in), &data);
		void *to = size ? guest_memory_at(rings->memory, GPA(d.addr), size, GUEST_WRITE)
		                : NULL;

		if (to)
			memcpy(to, data, size);
	}
	return d;
}

static void publish(struct rings *rings, unsigned index, uint16_t head)
{
	uint16_t *avail = words(rings, index, AVAIL);
	uint16_t size = rings->ring[index].size;

	avail[2 + avail[1] % size] = head;
	avail[1]++;
	rings->ring[index].published++;
}

void rings_offer(struct rings *rings, unsigned index, struct input *in)
{
	struct ring *ring = &rings->ring[index];
	uint8_t shape = input_u8(in);
	uint16_t count = (shape & 7u) + 1;
	uint64_t room = 0;

	if (ring->size == 0)
		return;
	bool indirect = shape & CHAIN_INDIRECT;
	uint16_t slots = indirect ? 1 : count;
	uint16_t head = ring->next;
	struct descriptor *table = at(rings, index * RING_STRIDE, RING_STRIDE);
	struct descriptor *to = indirect ? at(rings, TABLE, 0x1000) : table;

	for (uint16_t i = 0; i < count; i++) {
		struct descriptor d = take_descriptor(rings, in);
		uint16_t own = (uint16_t)(indirect ? i : (head + i) % ring->size);

		if (i + 1 < count || (shape & CHAIN_LOOP))
			d.flags |= F_NEXT;
		d.next = (uint16_t)(indirect ? i + 1 : (own + 1) % ring->size);
		if (i + 1 == count)
			d.next = indirect ? 0 : head;
		if (d.flags & F_WRITE)
			room += d.len;
		to[own] = d;
	}
	if (indirect)
		table[head] = (struct descriptor){ TABLE, count * 16u, F_INDIRECT, 0 };
	/* A table is shared by all indirect chains, a full ring overwrites its own descriptors. */
	if (indirect || (shape & (CHAIN_LOOP | CHAIN_HIDDEN)) || ring->waiting + slots > ring->size)
		rings->tampered = true;
	ring->next = (uint16_t)((head + slots) % ring->size);
	if (shape & CHAIN_HIDDEN)
		return;
	ring->offered[head] = true;
	ring->length[head] = (uint8_t)slots;
	ring->room[head] = room;
	ring->waiting = (uint16_t)(ring->waiting + slots);
	publish(rings, index, head);
}

void rings_poke(struct rings *rings, struct input *in)
{
	const uint8_t *data;
	uint64_t where = input_number(in, 3);
	size_t size = input_bytes(in, input_u8(in) % 32u + 1, &data);
	uint8_t *to = size ? guest_memory_at(rings->memory, GPA(where % (RAM_HIGH + RAM_HIGH_SIZE)),
	                                     size, GUEST_WRITE)
	                   : NULL;

	if (!to)
		return;
	memcpy(to, data, size);
	rings->tampered = true;
}

void rings_check(struct rings *rings, unsigned index)
{
	struct ring *ring = &rings->ring[index];

	if (ring->size == 0)
		return;
	const uint16_t *words_used = words(rings, index, USED);
	/* A driver may have given its own ring to the balloon: then it reads as zeros. */
	if (words(rings, index, AVAIL)[1] != ring->published)
		rings->tampered = true;
	const struct used *elements =
		at(rings, index * RING_STRIDE + USED + 4, ring->size * sizeof(*elements));

	while (!rings->tampered && ring->seen != words_used[1]) {
		struct used u = elements[ring->seen % ring->size];

		CHECK(u.id < ring->size && ring->offered[u.id]);
		CHECK(u.len <= ring->room[u.id]);
		ring->offered[u.id] = false;
		ring->waiting = (uint16_t)(ring->waiting - ring->length[u.id]);
		ring->seen++;
	}
}
