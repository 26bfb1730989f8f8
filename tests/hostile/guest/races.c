/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * races.c - what the device reads changes under its hands.
 *
 * While the I/O thread works off a full ring, the vCPU flips one word of it between two values, of
 * which one is usually against the rules. Which of them the device sees is its luck; it must be one
 * and the same for its check and its use. So each round ends with the ring used or with
 * DEVICE_NEEDS_RESET, no used length is more than the device gives, and no byte outside is written.
 */
#include "tests/hostile/guest/stream.h"

#define ROUNDS 1000
#define FLIPS 10000
#define OFFERED 64u
#define RNG_MOST 256u
#define VSOCK_TX 1u

static struct queue queue;

struct flip {
	void *word;
	uint64_t a, b;
	unsigned size;
};

static void store(const struct flip *flip, uint64_t value)
{
	if (flip->size == 2)
		__atomic_store_n((uint16_t *)flip->word, (uint16_t)value, __ATOMIC_SEQ_CST);
	else if (flip->size == 4)
		__atomic_store_n((uint32_t *)flip->word, (uint32_t)value, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n((uint64_t *)flip->word, value, __ATOMIC_SEQ_CST);
}

/* The used ring has only what was offered; nothing but the buffer was written. */
static void check_round(void)
{
	uint16_t used = queue_used(&queue);

	check(used <= queue.published + 1, "no more is used than was offered");
	for (uint16_t i = 0; i < used && i < queue.size; i++)
		check(queue.memory->used.ring[i].len <= RNG_MOST, "a used length");
	unsigned whole = 2 * OFFERED;
	while (whole < PAGE && canary[whole] == 0x5a)
		whole++;
	check(whole == PAGE, "nothing is written outside");
}

/* Ends early once the ring is used; always with the good value. */
static void flip_for_a_while(const struct flip *flip)
{
	for (unsigned i = 0; i < FLIPS && queue_used(&queue) < queue.published; i++) {
		store(flip, flip->b);
		store(flip, flip->a);
	}
}

/* Rounds of a full ring that @prepare describes, each flipped until the device is through with it. */
static void race(struct dev *dev, uint64_t features, unsigned index, struct flip (*prepare)(void))
{
	memset(canary, 0x5a, PAGE);
	for (unsigned round = 0; round < ROUNDS && !checks_failed(); round++) {
		dev_negotiate(dev, features);
		queue_start(&queue, dev, index, 16);
		struct flip flip = prepare();
		dev_go(dev);
		for (uint16_t i = 0; i < 16; i++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		do
			flip_for_a_while(&flip);
		while (queue_used(&queue) < queue.published &&
		       !(dev_status(dev) & STATUS_NEEDS_RESET));
		check_round();
	}
	dev_reset(dev);
}

static struct flip flip_address(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->desc[0].addr, AT(canary), LAYOUT_HOLE_START, 8 };
}

static struct flip flip_length(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->desc[0].len, OFFERED, 0xffffffff, 4 };
}

static struct flip flip_flags(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->desc[0].flags, DESC_WRITE, DESC_WRITE | DESC_NEXT, 2 };
}

static struct flip flip_next(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE | DESC_NEXT, 1);
	queue_describe(&queue, 1, canary + OFFERED, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->desc[0].next, 1, 0xffff, 2 };
}

static struct flip flip_indirect_length(void)
{
	indirect_table[0] = (struct vring_desc){ AT(canary), OFFERED, DESC_WRITE, 0 };
	queue_describe(&queue, 0, indirect_table, 16, DESC_INDIRECT, 0);
	return (struct flip){ &queue.memory->desc[0].len, 16, 0xfffffff0, 4 };
}

static struct flip flip_indirect_row(void)
{
	indirect_table[0] = (struct vring_desc){ AT(canary), OFFERED, DESC_WRITE, 0 };
	queue_describe(&queue, 0, indirect_table, 16, DESC_INDIRECT, 0);
	return (struct flip){ &indirect_table[0].addr, AT(canary), RAM_END - 1, 8 };
}

static struct flip flip_head(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->avail.ring[15], 0, 0xffff, 2 };
}

/* One more than was offered: too many at first, believable once the device has begun. */
static struct flip flip_avail_index(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->avail.idx, 16, 17, 2 };
}

static struct flip flip_used_event(void)
{
	queue_describe(&queue, 0, canary, OFFERED, DESC_WRITE, 0);
	return (struct flip){ &queue.memory->avail.ring[16], 0, 0x8000, 2 };
}

/* The header says 16 bytes of data, then 4 GiB, then 16 again. */
static struct flip flip_packet_length(void)
{
	static struct packet p;

	p = (struct packet){ .src_cid = GUEST_CID,
		             .dst_cid = HOST_CID,
		             .src_port = 1,
		             .dst_port = PORT_NOBODY,
		             .len = 16,
		             .type = TYPE_STREAM,
		             .op = OP_RW };
	queue_describe(&queue, 0, &p, sizeof(p), DESC_NEXT, 1);
	queue_describe(&queue, 1, buffer, 16, 0, 0);
	return (struct flip){ &p.len, 16, 0xffffffff, 4 };
}

#define RACE(name_, features_, flip_)                                                              \
	static void name_(struct dev *dev)                                                         \
	{                                                                                          \
		race(dev, features_, 0, flip_);                                                    \
	}

RACE(race_address, 0, flip_address)
RACE(race_length, 0, flip_length)
RACE(race_flags, 0, flip_flags)
RACE(race_next, 0, flip_next)
RACE(race_indirect_length, F_INDIRECT, flip_indirect_length)
RACE(race_indirect_row, F_INDIRECT, flip_indirect_row)
RACE(race_head, 0, flip_head)
RACE(race_avail_index, 0, flip_avail_index)
RACE(race_used_event, F_EVENT_IDX, flip_used_event)

static void race_packet_length(struct dev *dev)
{
	race(dev, 0, VSOCK_TX, flip_packet_length);
}

#define RNG_RACE(name) HOSTILE_CASE(name, DEVICE_RNG, SERVED)

const struct hostile_case race_cases[] = {
	RNG_RACE(race_address),
	RNG_RACE(race_length),
	RNG_RACE(race_flags),
	RNG_RACE(race_next),
	RNG_RACE(race_indirect_length),
	RNG_RACE(race_indirect_row),
	RNG_RACE(race_head),
	RNG_RACE(race_avail_index),
	RNG_RACE(race_used_event),
	HOSTILE_CASE(race_packet_length, DEVICE_VSOCK, SERVED),
	{ 0 },
};
