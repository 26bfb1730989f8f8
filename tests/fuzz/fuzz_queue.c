/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_queue.c - vmm/virtio/queue.c: rings and descriptors that are anything at all.
 *
 * An input sets up one queue, then plays driver and device by turns. Beyond what sanitizers see, it
 * checks what queue.h promises of a chain: bounds, order, sums.
 */
#include <stdlib.h>

#include "tests/fuzz/rings.h"

#define STEPS_MAX 200
#define HELD_MAX 32

enum step { OFFER, POKE, POP, PUSH, UNPOP, ASK, SKIP, STEPS };

struct bed {
	struct rings rings;
	struct virtqueue queue;
	struct virtqueue_chain chain; /* popped last */
	bool fresh;                   /* nothing was done with the queue since */
	uint16_t held[HELD_MAX];      /* heads popped, not pushed */
	unsigned held_count;
};

void fuzz_init(void)
{
}

static void start(struct bed *bed, struct input *in)
{
	struct error err = { 0 };
	uint8_t flags = input_u8(in);

	rings_init(&bed->rings, guest_ram_reset());
	virtqueue_init(&bed->queue, bed->rings.memory, "fuzz", 0);
	bed->queue.event_idx = flags & 1;
	bed->queue.indirect = flags & 2;
	bed->queue.setup = rings_start(&bed->rings, 0, (uint16_t)(1u << (flags >> 4) % 9));
	if (flags & 4) { /* a driver that puts them where it likes */
		bed->rings.tampered = true;
		bed->queue.setup.size = input_u16(in);
		bed->queue.setup.descriptors.value = input_number(in, 3);
		bed->queue.setup.driver.value = input_number(in, 3);
		bed->queue.setup.device.value = input_number(in, 3);
	}
	virtqueue_activate(&bed->queue, &err);
	CHECK(bed->queue.active != bed->queue.broken);
	CHECK(!bed->queue.broken || err.code < 0);
}

static bool in_memory(const struct guest_memory *memory, const struct virtqueue_buffer *b,
                      bool writable)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct guest_region *r = &memory->regions[i];

		if (b->data >= r->host && b->data < r->host + r->size)
			return b->size <= (uint64_t)(r->host + r->size - b->data) &&
			       (r->writable || !writable);
	}
	return false;
}

/* Q5 to Q8, and that the helpers agree with the chain. */
static void check_chain(const struct bed *bed)
{
	const struct virtqueue_chain *chain = &bed->chain;
	uint64_t sums[2] = { 0 };
	uint8_t bytes[300];

	CHECK(chain->head < bed->queue.size);
	CHECK(chain->readable + chain->writable > 0);
	CHECK(chain->readable + chain->writable <= bed->queue.size);
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		bool writable = i >= chain->readable;

		CHECK(chain->buffers[i].size > 0);
		CHECK(in_memory(bed->queue.memory, &chain->buffers[i], writable));
		sums[writable] += chain->buffers[i].size;
	}
	CHECK(sums[0] == chain->readable_size && sums[1] == chain->writable_size);
	CHECK(sums[0] <= UINT32_MAX && sums[1] <= UINT32_MAX);

	size_t read = virtqueue_read(chain, 3, bytes, sizeof(bytes));
	uint64_t rest = sums[0] > 3 ? sums[0] - 3 : 0;
	CHECK(read == (rest < sizeof(bytes) ? rest : sizeof(bytes)));
}

static void pop(struct bed *bed)
{
	struct error err = { 0 };

	if (bed->held_count == HELD_MAX)
		return;
	int got = virtqueue_pop(&bed->queue, &bed->chain, &err);

	CHECK(got <= 0 || bed->queue.active);
	CHECK((got < 0) == (err.code < 0));
	CHECK(got >= 0 || bed->queue.broken);
	bed->fresh = got > 0;
	if (got <= 0)
		return;
	check_chain(bed);
	bed->held[bed->held_count++] = bed->chain.head;
}

/* The oldest goes back first: what was popped last can still be undone. */
static void push(struct bed *bed, struct input *in)
{
	uint8_t pattern[64];
	size_t offset = input_u8(in), written = 0;

	if (bed->held_count == 0)
		return;
	uint16_t head = bed->held[0];
	memset(pattern, 0xa5, sizeof(pattern));
	if (bed->fresh && bed->held_count == 1)
		written = virtqueue_write(&bed->chain, offset, pattern, sizeof(pattern));
	virtqueue_push(&bed->queue, head, (uint32_t)written);
	bed->held_count--;
	memmove(bed->held, bed->held + 1, bed->held_count * sizeof(bed->held[0]));
	bed->fresh = false;
	rings_check(&bed->rings, 0);
}

static void unpop(struct bed *bed, struct input *in)
{
	unsigned count = bed->held_count ? input_u8(in) % (bed->held_count + 1) : 0;
	unsigned before = virtqueue_waiting(&bed->queue);

	virtqueue_unpop(&bed->queue, count);
	CHECK(bed->queue.broken || virtqueue_waiting(&bed->queue) == ((before + count) & 0xffff));
	bed->held_count -= count;
	bed->fresh = false;
}

void fuzz_one(struct input *in)
{
	static struct bed bed;

	bed.held_count = 0;
	bed.fresh = false;
	start(&bed, in);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
		switch ((enum step)(input_u8(in) % STEPS)) {
		case OFFER:
			rings_offer(&bed.rings, 0, in);
			break;
		case POKE:
			rings_poke(&bed.rings, in);
			break;
		case POP:
			pop(&bed);
			break;
		case PUSH:
			push(&bed, in);
			break;
		case UNPOP:
			unpop(&bed, in);
			break;
		case ASK:
			virtqueue_wants_interrupt(&bed.queue);
			break;
		case SKIP: /* many turns at once: indices wrap after 65536 */
			bed.queue.next_avail = (uint16_t)(bed.queue.next_avail + input_u16(in));
			bed.queue.next_used = (uint16_t)(bed.queue.next_used + input_u16(in));
			bed.rings.tampered = true;
			break;
		case STEPS:
			break;
		}
	}
}
