/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rings.h - a driver's side of split virtqueues (virtio 1.2 §2.7) in guest_ram.h's memory, as an
 * input wants them: honest chains in few bytes, and any byte of guest memory poked in between. One
 * thread.
 *
 * While nothing was poked, what a device returns is checked: a head that was offered, once, with no
 * more bytes written than there was room for.
 */
#ifndef CLOCHE_TESTS_FUZZ_RINGS_H
#define CLOCHE_TESTS_FUZZ_RINGS_H

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/guest_ram.h"
#include "vmm/virtio/queue.h"

#define RINGS_MAX 5
#define RING_SIZE_MAX 256

struct ring {
	uint16_t size;
	uint16_t next;                 /* descriptor that the next chain begins with */
	uint16_t published;            /* the index in the avail ring, as it should be */
	uint16_t seen;                 /* used elements looked at */
	uint16_t waiting;              /* descriptors of chains that weren't returned */
	bool offered[RING_SIZE_MAX];   /* by head */
	uint8_t length[RING_SIZE_MAX]; /* descriptors of the chain, by head */
	uint64_t room[RING_SIZE_MAX];  /* writable bytes of the chain, by head */
};

struct rings {
	const struct guest_memory *memory;
	bool tampered; /* what is in memory is no longer what was offered */
	struct ring ring[RINGS_MAX];
};

/* Forgets all; nothing is offered. Borrows @memory, which is guest_ram_reset()'s. */
void rings_init(struct rings *rings, const struct guest_memory *memory);

/* The places of ring @index with @size descriptors; empties it. */
struct virtqueue_setup rings_start(struct rings *rings, unsigned index, uint16_t size);

/* Builds one chain in ring @index from @in and offers it. */
void rings_offer(struct rings *rings, unsigned index, struct input *in);

/* Writes a few bytes from @in anywhere in RAM. */
void rings_poke(struct rings *rings, struct input *in);

/* Looks at what ring @index returned since the last time. */
void rings_check(struct rings *rings, unsigned index);

#endif
