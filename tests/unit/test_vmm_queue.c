/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_queue.c - split virtqueues: good drivers, and one that breaks each invariant in turn.
 *
 * The invariants Q1 to Q9 are those of vmm/virtio/queue.c; a broken one is named in the error. Above
 * 700 lines, because all nine are broken in all the ways there are, over one ring.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmm_ring.h"

#define MIB ((uint64_t)1 << 20)
#define RAM (4 * MIB)
#define IMAGE_AT (8 * MIB)
#define BUFFERS 0x100000u /* where the test's buffers lie */
#define RING_AT 0x10000u
#define SIZE 8

struct bed {
	struct guest_memory memory;
	struct virtqueue queue;
	struct ring ring;
	struct virtqueue_chain chain;
	struct error err;
	uint8_t image[4096];
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed ||
	    guest_memory_init(&bed->memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &bed->err) ||
	    guest_memory_add(&bed->memory, GPA(IMAGE_AT), sizeof(bed->image), bed->image, false))
		return -1;
	virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
	ring_init(&bed->ring, &bed->memory, RING_AT, SIZE);
	bed->queue.setup = bed->ring.setup;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	guest_memory_finish(&bed->memory);
	free(bed);
	return 0;
}

static void activate(struct bed *bed)
{
	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	assert_true(bed->queue.active);
}

static int pop(struct bed *bed)
{
	return virtqueue_pop(&bed->queue, &bed->chain, &bed->err);
}

/* --- activation: Q1, Q2 --- */

static void test_activation(void **state)
{
	static const struct {
		const char *name;
		uint16_t size;
		uint64_t desc, avail, used;
		const char *rule; /* NULL: taken */
	} rows[] = {
		{ "as it should be", 8, 0x1000, 0x2000, 0x3000, NULL },
		{ "size 1", 1, 0x1000, 0x2000, 0x3000, NULL },
		{ "size 256", 256, 0x10000, 0x20000, 0x30000, NULL },
		{ "size 0", 0, 0x1000, 0x2000, 0x3000, "Q1" },
		{ "size 3", 3, 0x1000, 0x2000, 0x3000, "Q1" },
		{ "size 255", 255, 0x10000, 0x20000, 0x30000, "Q1" },
		{ "size 512", 512, 0x10000, 0x20000, 0x30000, "Q1" },
		{ "size 32768", 32768, 0x100000, 0x200000, 0x300000, "Q1" },
		{ "descriptors misaligned", 8, 0x1008, 0x2000, 0x3000, "Q2: a ring is misaligned" },
		{ "avail misaligned", 8, 0x1000, 0x2001, 0x3000, "Q2: a ring is misaligned" },
		{ "used misaligned", 8, 0x1000, 0x2000, 0x3002, "Q2: a ring is misaligned" },
		{ "least alignment", 8, 0x1010, 0x2002, 0x3004, NULL },
		{ "descriptors outside", 8, RAM, 0x2000, 0x3000, "Q2: a ring lies outside RAM" },
		{ "avail outside", 8, 0x1000, RAM, 0x3000, "Q2: a ring lies outside RAM" },
		{ "used outside", 8, 0x1000, 0x2000, RAM, "Q2: a ring lies outside RAM" },
		{ "descriptors over the end", 8, RAM - 8 * 16 + 16, 0x2000, 0x3000,
		  "Q2: a ring lies" },
		{ "avail over the end", 8, 0x1000, RAM - 4, 0x3000, "Q2: a ring lies outside RAM" },
		{ "used over the end by its event", 8, 0x1000, 0x2000, RAM - 68,
		  "Q2: a ring lies" },
		{ "used at the end", 8, 0x1000, 0x2000, RAM - 72, NULL },
		{ "at the top of the address space", 8, UINT64_MAX - 15, 0x2000, 0x3000,
		  "Q2: a ring lies" },
		{ "used in read-only memory", 8, 0x1000, 0x2000, IMAGE_AT,
		  "Q2: a ring lies outside RAM" },
		{ "rings that are only read, there", 8, IMAGE_AT, IMAGE_AT + 0x100, 0x3000, NULL },
		{ "used over descriptors", 8, 0x1000, 0x2000, 0x1040, "Q2: rings overlap" },
		{ "used over avail", 8, 0x1000, 0x2000, 0x2008, "Q2: rings overlap" },
		{ "avail over descriptors", 8, 0x1000, 0x107e, 0x3000, "Q2: rings overlap" },
		{ "all at 0", 8, 0, 0, 0, "Q2: rings overlap" },
		{ "one behind the other", 8, 0x1000, 0x1080, 0x1098, NULL },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed->err = (struct error){ 0 };
		virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
		bed->queue.setup =
			(struct virtqueue_setup){ rows[i].size, GPA(rows[i].desc),
			                          GPA(rows[i].avail), GPA(rows[i].used) };
		int ret = virtqueue_activate(&bed->queue, &bed->err);
		assert_row(rows[i].name, ret == (rows[i].rule ? -EINVAL : 0));
		assert_row(rows[i].name, bed->queue.active == !rows[i].rule);
		assert_row(rows[i].name, bed->queue.broken == !!rows[i].rule);
		if (rows[i].rule) {
			assert_row(rows[i].name,
			           strstr(bed->err.msg, "unit queue 3: ") == bed->err.msg);
			assert_row(rows[i].name, strstr(bed->err.msg, rows[i].rule));
			assert_row(rows[i].name, pop(bed) == 0);
		}
	}
}

static void test_activated_twice(void **state)
{
	struct bed *bed = *state;

	activate(bed);
	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), -EINVAL);
	assert_true(bed->queue.broken);
}

/* CVE-2026-5747's kind: what the driver writes later moves no live ring. */
static void test_frozen_by_activation(void **state)
{
	struct bed *bed = *state;

	activate(bed);
	bed->queue.setup = (struct virtqueue_setup){ 1, GPA(RAM), GPA(RAM), GPA(RAM) };
	ring_describe(&bed->ring, 7, BUFFERS, 16, 0, 0);
	ring_offer(&bed->ring, 7);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.head, 7);
}

/* --- good chains --- */

static void test_empty(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(pop(bed), 0);
	assert_false(virtqueue_wants_interrupt(&bed->queue));
	activate(bed);
	assert_int_equal(pop(bed), 0);
}

static void test_chain(void **state)
{
	struct bed *bed = *state;
	uint8_t text[64];

	ring_describe(&bed->ring, 2, BUFFERS, 5, RING_F_NEXT, 0);
	ring_describe(&bed->ring, 0, IMAGE_AT + 4, 3, RING_F_NEXT, 7);
	ring_describe(&bed->ring, 7, BUFFERS + 100, 4, RING_F_NEXT | RING_F_WRITE, 1);
	ring_describe(&bed->ring, 1, BUFFERS + 200, 100, RING_F_WRITE, 99);
	memcpy(bed->memory.ram + BUFFERS, "hello", 5);
	memcpy(bed->image + 4, "abc", 3);
	activate(bed);
	ring_offer(&bed->ring, 2);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.head, 2);
	assert_int_equal(bed->chain.readable, 2);
	assert_int_equal(bed->chain.writable, 2);
	assert_int_equal(bed->chain.readable_size, 8);
	assert_int_equal(bed->chain.writable_size, 104);

	memset(text, '.', sizeof(text));
	assert_int_equal(virtqueue_read(&bed->chain, 0, text, sizeof(text)), 8);
	assert_memory_equal(text, "helloabc.", 9);
	assert_int_equal(virtqueue_read(&bed->chain, 4, text, 2), 2);
	assert_memory_equal(text, "oalloabc", 8);
	assert_int_equal(virtqueue_read(&bed->chain, 8, text, sizeof(text)), 0);
	assert_int_equal(virtqueue_read(&bed->chain, UINT64_MAX, text, sizeof(text)), 0);

	assert_int_equal(virtqueue_write(&bed->chain, 0, "0123456789", 10), 10);
	assert_memory_equal(bed->memory.ram + BUFFERS + 100, "0123\0", 5);
	assert_memory_equal(bed->memory.ram + BUFFERS + 200, "456789\0", 7);
	memset(text, 'w', sizeof(text));
	assert_int_equal(virtqueue_write(&bed->chain, 60, text, sizeof(text)), 44);
	assert_int_equal(bed->memory.ram[BUFFERS + 300], 0);
	assert_int_equal(virtqueue_write(&bed->chain, 104, text, 1), 0);

	virtqueue_push(&bed->queue, bed->chain.head, 14);
	assert_int_equal(*bed->ring.used_idx, 1);
	assert_int_equal(ring_used_before(&bed->ring, 1).id, 2);
	assert_int_equal(ring_used_before(&bed->ring, 1).len, 14);
	assert_int_equal(pop(bed), 0);
}

static void test_longest_chain(void **state)
{
	struct bed *bed = *state;

	for (uint16_t i = 0; i < SIZE; i++)
		ring_describe(&bed->ring, i, BUFFERS + i * 16u, 1, i < SIZE - 1 ? RING_F_NEXT : 0,
		              (uint16_t)(i + 1));
	ring_offer(&bed->ring, 0);
	activate(bed);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.readable, SIZE);
}

static void test_unpop(void **state)
{
	struct bed *bed = *state;

	ring_describe(&bed->ring, 3, BUFFERS, 1, 0, 0);
	ring_offer(&bed->ring, 3);
	activate(bed);
	assert_int_equal(pop(bed), 1);
	virtqueue_unpop(&bed->queue, 1);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.head, 3);
	assert_int_equal(pop(bed), 0);
}

/* A device takes a batch, uses some of it, and puts the rest back. */
static void test_unpop_the_rest_of_a_batch(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(virtqueue_waiting(&bed->queue), 0); /* not active */
	for (uint16_t i = 0; i < 4; i++) {
		ring_describe(&bed->ring, i, BUFFERS + i * 16u, 1, 0, 0);
		ring_offer(&bed->ring, i);
	}
	activate(bed);
	assert_int_equal(virtqueue_waiting(&bed->queue), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pop(bed), 1);
	assert_int_equal(virtqueue_waiting(&bed->queue), 0);
	virtqueue_push(&bed->queue, 0, 0);
	virtqueue_push(&bed->queue, 1, 0);
	virtqueue_unpop(&bed->queue, 2);
	assert_int_equal(virtqueue_waiting(&bed->queue), 2);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.head, 2);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.head, 3);
	assert_int_equal(pop(bed), 0);
	virtqueue_unpop(&bed->queue, 0);
	assert_int_equal(pop(bed), 0);
}

static void test_interrupt_flag(void **state)
{
	struct bed *bed = *state;

	activate(bed);
	assert_true(virtqueue_wants_interrupt(&bed->queue));
	*bed->ring.avail_flags = 1;
	assert_false(virtqueue_wants_interrupt(&bed->queue));
	*bed->ring.avail_flags = 0xfffe; /* only bit 0 means something */
	assert_true(virtqueue_wants_interrupt(&bed->queue));
}

/* The indices run through 65536 several times, with a full ring at every phase. */
static void test_indices_wrap(void **state)
{
	struct bed *bed = *state;
	uint16_t next = 0;

	for (uint16_t i = 0; i < SIZE; i++)
		ring_describe(&bed->ring, i, BUFFERS + i * 16u, 1u + i, RING_F_WRITE, 0);
	activate(bed);
	for (unsigned total = 0; total < 200000;) {
		unsigned batch = 1 + total % SIZE;

		for (unsigned i = 0; i < batch; i++)
			ring_offer(&bed->ring, (uint16_t)((total + i) % SIZE));
		for (unsigned i = 0; i < batch; i++, total++) {
			assert_int_equal(pop(bed), 1);
			assert_int_equal(bed->chain.head, total % SIZE);
			assert_int_equal(bed->chain.writable_size, 1 + total % SIZE);
			virtqueue_push(&bed->queue, bed->chain.head, total);
			next++;
			assert_int_equal(*bed->ring.used_idx, next);
			assert_int_equal(ring_used_before(&bed->ring, next).len, total);
		}
		assert_int_equal(pop(bed), 0);
	}
}

/* A descriptor is read once: what the guest makes of it later isn't seen. */
static void test_changed_after_pop(void **state)
{
	struct bed *bed = *state;
	uint8_t byte = 0;

	ring_describe(&bed->ring, 0, BUFFERS, 4, RING_F_NEXT, 1);
	ring_describe(&bed->ring, 1, BUFFERS + 64, 4, RING_F_WRITE, 0);
	ring_offer(&bed->ring, 0);
	activate(bed);
	assert_int_equal(pop(bed), 1);
	ring_describe(&bed->ring, 0, RAM, UINT32_MAX, RING_F_NEXT | RING_F_WRITE, 0xffff);
	ring_describe(&bed->ring, 1, 0, UINT32_MAX, RING_F_INDIRECT, 1);
	bed->ring.avail_ring[0] = 0xffff;
	assert_int_equal(bed->chain.readable_size, 4);
	assert_int_equal(bed->chain.writable_size, 4);
	assert_ptr_equal(bed->chain.buffers[0].data, bed->memory.ram + BUFFERS);
	assert_ptr_equal(bed->chain.buffers[1].data, bed->memory.ram + BUFFERS + 64);
	assert_int_equal(virtqueue_write(&bed->chain, 4, &byte, 1), 0);
}

/* --- broken chains: Q3 to Q9 --- */

#define RULE(name_, statement)                                                                     \
	static void name_(struct ring *r)                                                          \
	{                                                                                          \
		statement;                                                                         \
	}
RULE(ran_away, *r->avail_idx = SIZE + 1)
RULE(went_back, *r->avail_idx = 0xffff)
RULE(head_beyond, r->avail_ring[0] = SIZE)
RULE(head_far_beyond, r->avail_ring[0] = 0xffff)
RULE(next_beyond, ring_describe(r, 0, BUFFERS, 4, RING_F_NEXT, SIZE))
RULE(next_far_beyond, ring_describe(r, 0, BUFFERS, 4, RING_F_NEXT, 0xffff))
RULE(to_itself, ring_describe(r, 0, BUFFERS, 4, RING_F_NEXT, 0))
RULE(in_a_circle, ring_describe(r, 1, BUFFERS, 4, RING_F_NEXT | RING_F_WRITE, 1))
RULE(no_length, ring_describe(r, 0, BUFFERS, 0, 0, 0))
RULE(outside, ring_describe(r, 0, RAM, 1, 0, 0))
RULE(over_the_end, ring_describe(r, 0, RAM - 4, 5, 0, 0))
RULE(to_the_top, ring_describe(r, 0, UINT64_MAX, 1, 0, 0))
RULE(wraps, ring_describe(r, 0, UINT64_MAX - 3, 8, 0, 0))
RULE(huge, ring_describe(r, 0, 0, UINT32_MAX, 0, 0))
RULE(write_read_only, ring_describe(r, 0, IMAGE_AT, 4, RING_F_WRITE, 0))
RULE(write_used, ring_describe(r, 0, r->setup.device.value, 4, RING_F_WRITE, 0))
RULE(write_used_event,
     ring_describe(r, 0, r->setup.device.value + 4 + 8 * SIZE, 2, RING_F_WRITE, 0))
RULE(read_used, ring_describe(r, 0, r->setup.device.value - 1, 2, 0, 0))
RULE(around_used, ring_describe(r, 0, 0, (uint32_t)RAM, 0, 0))
RULE(readable_behind, ring_describe(r, 0, BUFFERS, 4, RING_F_NEXT | RING_F_WRITE, 2))
RULE(indirect, ring_describe(r, 0, BUFFERS, 16, RING_F_INDIRECT, 0))
RULE(indirect_next, ring_describe(r, 0, BUFFERS, 16, RING_F_INDIRECT | RING_F_NEXT, 1))
RULE(indirect_writable, ring_describe(r, 0, BUFFERS, 16, RING_F_INDIRECT | RING_F_WRITE, 1))

static void test_broken_chains(void **state)
{
	static const struct {
		const char *name;
		void (*spoil)(struct ring *r);
		const char *rule;
	} rows[] = {
		{ "avail index ran away", ran_away, "Q3" },
		{ "avail index went back", went_back, "Q3" },
		{ "head beyond the queue", head_beyond, "Q4" },
		{ "head far beyond", head_far_beyond, "Q4" },
		{ "next beyond the queue", next_beyond, "Q4" },
		{ "next far beyond", next_far_beyond, "Q4" },
		{ "to itself", to_itself, "Q5" },
		{ "in a circle", in_a_circle, "Q5" },
		{ "no length", no_length, "Q6: buffer of no length" },
		{ "outside RAM", outside, "Q6: buffer outside memory" },
		{ "over the end of RAM", over_the_end, "Q6: buffer outside memory" },
		{ "the last address", to_the_top, "Q6: buffer outside memory" },
		{ "addr + len wraps", wraps, "Q6: buffer outside memory" },
		{ "4 GiB long", huge, "Q6: buffer outside memory" },
		{ "writable in read-only memory", write_read_only, "Q6: buffer outside memory" },
		{ "over the used ring", write_used, "Q6: buffer over the used ring" },
		{ "over the used ring's event", write_used_event, "Q6: buffer over the used ring" },
		{ "reads the used ring", read_used, "Q6: buffer over the used ring" },
		{ "around the used ring", around_used, "Q6: buffer over the used ring" },
		{ "readable behind writable", readable_behind, "Q7" },
		{ "indirect", indirect, "Q9" },
		{ "indirect and next", indirect_next, "Q9" },
		{ "indirect and writable", indirect_writable, "Q9" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed->err = (struct error){ 0 };
		virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
		ring_init(&bed->ring, &bed->memory, RING_AT, SIZE);
		bed->queue.setup = bed->ring.setup;
		ring_describe(&bed->ring, 0, BUFFERS, 4, RING_F_NEXT, 1);
		ring_describe(&bed->ring, 1, BUFFERS + 64, 4, RING_F_WRITE, 0);
		ring_describe(&bed->ring, 2, BUFFERS + 128, 4, 0, 0);
		ring_offer(&bed->ring, 0);
		activate(bed);
		rows[i].spoil(&bed->ring);
		assert_row(rows[i].name, pop(bed) == -EPROTO);
		assert_row(rows[i].name, bed->err.code == -EPROTO);
		assert_row(rows[i].name, strstr(bed->err.msg, "unit queue 3: ") == bed->err.msg);
		assert_row(rows[i].name, strstr(bed->err.msg, rows[i].rule));
		assert_row(rows[i].name, bed->queue.broken);
		/* Nothing was used, and nothing more is read. */
		assert_row(rows[i].name, *bed->ring.used_idx == 0);
		assert_row(rows[i].name, pop(bed) == 0);
		assert_row(rows[i].name, !virtqueue_wants_interrupt(&bed->queue));
	}
}

/* --- indirect tables (§2.7.5.3) --- */

#define TABLE (BUFFERS + 0x800)

static void table_describe(struct bed *bed, uint64_t table, unsigned index, uint64_t addr,
                           uint32_t len, unsigned flags, uint16_t next)
{
	struct ring_desc desc = { addr, len, (uint16_t)flags, next };

	memcpy(bed->memory.ram + table + index * sizeof(desc), &desc, sizeof(desc));
}

/* A direct descriptor, then a table in odd order; once more from a table that isn't aligned. */
static void test_indirect(void **state)
{
	static const uint64_t tables[] = { TABLE, TABLE + 3 };
	struct bed *bed = *state;

	bed->queue.indirect = true;
	activate(bed);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		ring_describe(&bed->ring, 0, BUFFERS, 4, RING_F_NEXT, 5);
		/* The device ignores WRITE here (§2.7.5.3.2), and next has no meaning. */
		ring_describe(&bed->ring, 5, tables[i], 3 * 16, RING_F_INDIRECT | RING_F_WRITE, 7);
		table_describe(bed, tables[i], 0, BUFFERS + 16, 5, RING_F_NEXT, 2);
		table_describe(bed, tables[i], 2, BUFFERS + 32, 6, RING_F_NEXT | RING_F_WRITE, 1);
		table_describe(bed, tables[i], 1, BUFFERS + 48, 7, RING_F_WRITE, 9);
		ring_offer(&bed->ring, 0);
		assert_int_equal(pop(bed), 1);
		assert_int_equal(bed->chain.head, 0);
		assert_int_equal(bed->chain.readable, 2);
		assert_int_equal(bed->chain.writable, 2);
		assert_int_equal(bed->chain.readable_size, 9);
		assert_int_equal(bed->chain.writable_size, 13);
		assert_ptr_equal(bed->chain.buffers[2].data, bed->memory.ram + BUFFERS + 32);
		virtqueue_push(&bed->queue, bed->chain.head, 0);
	}
}

/* A table as long as the queue fills a chain; a direct descriptor before it is one too many. */
static void test_longest_indirect(void **state)
{
	struct bed *bed = *state;

	bed->queue.indirect = true;
	for (uint16_t i = 0; i < SIZE; i++)
		table_describe(bed, TABLE, i, BUFFERS + i * 16u, 1, i < SIZE - 1 ? RING_F_NEXT : 0,
		               (uint16_t)(i + 1));
	ring_describe(&bed->ring, 0, TABLE, SIZE * 16, RING_F_INDIRECT, 0);
	ring_describe(&bed->ring, 1, BUFFERS, 1, RING_F_NEXT, 0);
	activate(bed);
	ring_offer(&bed->ring, 0);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(bed->chain.readable, SIZE);
	ring_offer(&bed->ring, 1);
	assert_int_equal(pop(bed), -EPROTO);
	assert_non_null(strstr(bed->err.msg, "Q5"));
}

static void test_broken_tables(void **state)
{
	static const struct {
		const char *name;
		struct ring_desc head;  /* descriptor 0 */
		struct ring_desc entry; /* entry 0 of the table; entry 1 is good and the last */
		const char *rule;
	} rows[] = {
		{ "empty", { TABLE, 0, RING_F_INDIRECT, 0 }, { BUFFERS, 4, 0, 0 }, "Q9" },
		{ "half a descriptor",
		  { TABLE, 24, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, 0, 0 },
		  "Q9" },
		{ "one too many",
		  { TABLE, (SIZE + 1) * 16, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, 0, 0 },
		  "Q9: indirect table larger" },
		{ "4 GiB", { TABLE, 0xfffffff0, RING_F_INDIRECT, 0 }, { BUFFERS, 4, 0, 0 }, "Q9" },
		{ "over the end",
		  { RAM - 16, 32, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, 0, 0 },
		  "Q9" },
		{ "wraps",
		  { UINT64_MAX - 15, 32, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, 0, 0 },
		  "Q9" },
		{ "not the last",
		  { TABLE, 32, RING_F_INDIRECT | RING_F_NEXT, 1 },
		  { BUFFERS, 4, 0, 0 },
		  "Q9" },
		{ "nested",
		  { TABLE, 32, RING_F_INDIRECT, 0 },
		  { TABLE, 32, RING_F_INDIRECT, 0 },
		  "Q9: indirect descriptor in" },
		{ "next beyond",
		  { TABLE, 32, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, RING_F_NEXT, 2 },
		  "Q4" },
		{ "to itself",
		  { TABLE, 32, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, RING_F_NEXT, 0 },
		  "Q5" },
		{ "buffer outside", { TABLE, 32, RING_F_INDIRECT, 0 }, { RAM, 4, 0, 0 }, "Q6" },
		{ "wrong order",
		  { TABLE, 32, RING_F_INDIRECT, 0 },
		  { BUFFERS, 4, RING_F_WRITE | RING_F_NEXT, 1 },
		  "Q7" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct ring_desc *h = &rows[i].head, *e = &rows[i].entry;

		virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
		ring_init(&bed->ring, &bed->memory, RING_AT, SIZE);
		bed->queue.setup = bed->ring.setup;
		bed->queue.indirect = true;
		ring_describe(&bed->ring, 0, h->addr, h->len, h->flags, h->next);
		ring_describe(&bed->ring, 1, BUFFERS, 4, 0, 0);
		table_describe(bed, TABLE, 0, e->addr, e->len, e->flags, e->next);
		table_describe(bed, TABLE, 1, BUFFERS, 4, 0, 0);
		activate(bed);
		ring_offer(&bed->ring, 0);
		assert_row(rows[i].name, pop(bed) == -EPROTO);
		assert_row(rows[i].name, strstr(bed->err.msg, rows[i].rule));
		assert_row(rows[i].name, pop(bed) == 0);
	}
}

/* --- event indices (§2.7.10) --- */

static uint16_t *used_event(struct ring *ring)
{
	return &ring->avail_ring[ring->size];
}

static uint16_t avail_event(const struct ring *ring)
{
	uint16_t event;

	memcpy(&event, &ring->used_ring[ring->size], sizeof(event));
	return event;
}

/* The driver is asked to notify when the ring has been found empty, and at no other time. */
static void test_avail_event(void **state)
{
	struct bed *bed = *state;

	bed->queue.event_idx = true;
	for (uint16_t i = 0; i < SIZE; i++)
		ring_describe(&bed->ring, i, BUFFERS, 4, 0, 0);
	activate(bed);
	for (unsigned round = 1; round <= 70000 / 3; round++) {
		uint16_t before = avail_event(&bed->ring);

		for (unsigned i = 0; i < 3; i++)
			ring_offer(&bed->ring, (uint16_t)i);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(pop(bed), 1);
			assert_int_equal(avail_event(&bed->ring), before);
			virtqueue_push(&bed->queue, bed->chain.head, 0);
		}
		assert_int_equal(pop(bed), 0);
		assert_int_equal(avail_event(&bed->ring), (uint16_t)(3 * round));
	}
}

/* An interrupt is wanted when the used index passes used_event, once. */
static void test_used_event(void **state)
{
	struct bed *bed = *state;
	unsigned wanted = 0;

	bed->queue.event_idx = true;
	*bed->ring.avail_flags = 1; /* NO_INTERRUPT means nothing now */
	for (uint16_t i = 0; i < SIZE; i++)
		ring_describe(&bed->ring, i, BUFFERS, 4, 0, 0);
	activate(bed);
	*used_event(&bed->ring) = 2;
	for (unsigned total = 1; total <= 70000; total++) {
		ring_offer(&bed->ring, (uint16_t)(total % SIZE));
		assert_int_equal(pop(bed), 1);
		virtqueue_push(&bed->queue, bed->chain.head, 0);
		bool wants = virtqueue_wants_interrupt(&bed->queue);
		/* Entry 2 is the third. From then on the driver asks for every fifth. */
		assert_int_equal(wants, total >= 3 && (total - 3) % 5 == 0);
		assert_false(virtqueue_wants_interrupt(&bed->queue));
		if (wants) {
			wanted++;
			*used_event(&bed->ring) = (uint16_t)(total + 4);
		}
	}
	assert_int_equal(wanted, 70000 / 5);
	/* Several at once that pass the event count as one. */
	*used_event(&bed->ring) = (uint16_t)(70000 + 1);
	for (unsigned i = 0; i < 4; i++) {
		ring_offer(&bed->ring, (uint16_t)i);
		assert_int_equal(pop(bed), 1);
		virtqueue_push(&bed->queue, bed->chain.head, 0);
	}
	assert_true(virtqueue_wants_interrupt(&bed->queue));
	assert_false(virtqueue_wants_interrupt(&bed->queue));
}

/* Q8 needs more RAM than the other tests: 256 descriptors of 128 MiB each, all the same bytes. */
static void test_more_than_4_gib(void **state)
{
	static const unsigned flags[] = { 0, RING_F_WRITE };
	const uint32_t part = 128u << 20;

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(flags); f++) {
		struct guest_memory memory = { 0 };
		struct virtqueue queue;
		struct virtqueue_chain chain;
		struct error err = { 0 };
		struct ring ring;

		assert_int_equal(guest_memory_init(&memory, 256 * MIB, GPA(3ull << 30),
		                                   GPA(4ull << 30), &err),
		                 0);
		virtqueue_init(&queue, &memory, "unit", 0);
		ring_init(&ring, &memory, RING_AT, 64);
		queue.setup = ring.setup;
		for (uint16_t i = 0; i < 64; i++)
			ring_describe(&ring, i, 128 * MIB, part, flags[f] | RING_F_NEXT,
			              (uint16_t)(i + 1));
		ring.desc[30].flags = (uint16_t)flags[f]; /* 31 parts: below 4 GiB */
		ring_offer(&ring, 0);
		assert_int_equal(virtqueue_activate(&queue, &err), 0);
		assert_int_equal(virtqueue_pop(&queue, &chain, &err), 1);
		assert_int_equal(chain.readable_size + chain.writable_size, 31ull * part);
		ring.desc[30].flags |= RING_F_NEXT;
		ring.desc[31].flags = (uint16_t)flags[f]; /* 32 parts: 4 GiB, one byte too much */
		ring_offer(&ring, 0);
		assert_int_equal(virtqueue_pop(&queue, &chain, &err), -EPROTO);
		assert_non_null(strstr(err.msg, "Q8"));
		guest_memory_finish(&memory);
	}
}

/* The same head twice is the driver's own loss: it gets both back. */
static void test_same_head_twice(void **state)
{
	struct bed *bed = *state;

	ring_describe(&bed->ring, 4, BUFFERS, 4, RING_F_WRITE, 0);
	ring_offer(&bed->ring, 4);
	ring_offer(&bed->ring, 4);
	activate(bed);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pop(bed), 1);
		assert_int_equal(bed->chain.head, 4);
		virtqueue_push(&bed->queue, 4, 0);
	}
	assert_int_equal(*bed->ring.used_idx, 2);
}

/* A buffer over the descriptors or the avail ring harms nobody but the guest. */
static void test_buffer_over_own_rings(void **state)
{
	struct bed *bed = *state;
	uint8_t junk[SIZE * 16];

	memset(junk, 0xff, sizeof(junk));
	ring_describe(&bed->ring, 0, RING_AT, sizeof(junk), RING_F_WRITE, 0);
	ring_offer(&bed->ring, 0);
	activate(bed);
	assert_int_equal(pop(bed), 1);
	assert_int_equal(virtqueue_write(&bed->chain, 0, junk, sizeof(junk)), sizeof(junk));
	virtqueue_push(&bed->queue, 0, sizeof(junk));
	ring_offer(&bed->ring, 0);
	assert_int_equal(pop(bed), -EPROTO);
}

int main(void)
{
#define QUEUE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(test_activation),
		QUEUE_TEST(test_activated_twice),
		QUEUE_TEST(test_frozen_by_activation),
		QUEUE_TEST(test_empty),
		QUEUE_TEST(test_chain),
		QUEUE_TEST(test_longest_chain),
		QUEUE_TEST(test_unpop),
		QUEUE_TEST(test_unpop_the_rest_of_a_batch),
		QUEUE_TEST(test_interrupt_flag),
		QUEUE_TEST(test_indices_wrap),
		QUEUE_TEST(test_changed_after_pop),
		QUEUE_TEST(test_broken_chains),
		QUEUE_TEST(test_indirect),
		QUEUE_TEST(test_longest_indirect),
		QUEUE_TEST(test_broken_tables),
		QUEUE_TEST(test_avail_event),
		QUEUE_TEST(test_used_event),
		QUEUE_TEST(test_more_than_4_gib),
		QUEUE_TEST(test_same_head_twice),
		QUEUE_TEST(test_buffer_over_own_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
