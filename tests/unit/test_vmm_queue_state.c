/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_queue_state.c - a virtqueue that is saved in one device and goes on in another, and states that
 * lie. The ring's memory is the same for both, as a copied guest's is.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmm_ring.h"

#define RAM ((uint64_t)4 << 20)
#define BUFFERS 0x100000u
#define RING_AT 0x10000u
#define SIZE 8

struct bed {
	struct guest_memory memory;
	struct virtqueue queue, copy;
	struct ring ring;
	struct virtqueue_chain chain;
	struct virtqueue_state state;
	struct error err;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed ||
	    guest_memory_init(&bed->memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
	virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
	ring_init(&bed->ring, &bed->memory, RING_AT, SIZE);
	for (uint16_t i = 0; i < SIZE; i++)
		ring_describe(&bed->ring, i, BUFFERS + i * 16u, 16, 0, 0);
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

static void expect_head(struct bed *bed, struct virtqueue *queue, uint16_t head)
{
	assert_int_equal(virtqueue_pop(queue, &bed->chain, &bed->err), 1);
	assert_int_equal(bed->chain.head, head);
}

static void expect_empty(struct bed *bed, struct virtqueue *queue)
{
	assert_int_equal(virtqueue_pop(queue, &bed->chain, &bed->err), 0);
}

static void copy(struct bed *bed)
{
	virtqueue_save(&bed->queue, &bed->state);
	assert_int_equal(virtqueue_restore(&bed->copy, &bed->state, &bed->err), 0);
}

/* The two bytes behind a ring: used_event behind avail's, avail_event behind used's (§2.7.7, §2.7.10). */
static uint16_t *used_event(const struct ring *ring)
{
	return &ring->avail_ring[ring->size];
}

static uint16_t avail_event(const struct ring *ring)
{
	uint16_t event;

	memcpy(&event, &ring->used_ring[ring->size], sizeof(event));
	return event;
}

/* --- going on -------------------------------------------------------------------------------- */

/* At each position of the indices, over their wrap at 2^16. */
static void test_goes_on(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t next = (uint16_t)(i % SIZE), behind = (uint16_t)((i + 1) % SIZE);

		ring_offer(&bed->ring, next);
		if (i % 997 == 0 || (i > 65530 && i < 65540)) {
			ring_offer(&bed->ring, behind);
			copy(bed);
			assert_int_equal(virtqueue_waiting(&bed->copy), 2);
			expect_head(bed, &bed->copy, next);
			virtqueue_push(&bed->copy, next, 5);
			assert_int_equal(*bed->ring.used_idx, (uint16_t)(i + 1));
			assert_int_equal(ring_used_before(&bed->ring, (uint16_t)(i + 1)).id, next);
			expect_head(bed, &bed->copy, behind);
			expect_empty(bed, &bed->copy);
			virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
			*bed->ring.avail_idx = (uint16_t)(i + 1);
		}
		expect_head(bed, &bed->queue, next);
		virtqueue_push(&bed->queue, next, 0);
	}
}

/* What was popped and put back before is popped again. */
static void test_unpopped(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	for (uint16_t i = 0; i < 3; i++)
		ring_offer(&bed->ring, i);
	for (uint16_t i = 0; i < 3; i++)
		expect_head(bed, &bed->queue, i);
	virtqueue_push(&bed->queue, 0, 0);
	virtqueue_unpop(&bed->queue, 2);
	copy(bed);
	expect_head(bed, &bed->copy, 1);
	expect_head(bed, &bed->copy, 2);
	expect_empty(bed, &bed->copy);
}

/* Whether an interrupt is due counts from where the original last looked. */
static void test_interrupts(void **state)
{
	static const struct {
		const char *name;
		uint16_t event; /* the driver wants to hear of this entry */
		bool wanted;
	} rows[] = {
		{ "told already", 0, false },
		{ "pushed, not told", 1, true },
		{ "the last that was pushed", 2, true },
		{ "to come", 3, false },
	};
	struct bed *bed = *state;

	bed->queue.event_idx = true;
	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	for (uint16_t i = 0; i < 3; i++) {
		ring_offer(&bed->ring, i);
		expect_head(bed, &bed->queue, i);
		virtqueue_push(&bed->queue, i, 0);
		if (i == 0)
			virtqueue_wants_interrupt(&bed->queue);
	}
	virtqueue_save(&bed->queue, &bed->state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
		assert_int_equal(virtqueue_restore(&bed->copy, &bed->state, &bed->err), 0);
		*used_event(&bed->ring) = rows[i].event;
		assert_row(rows[i].name, virtqueue_wants_interrupt(&bed->copy) == rows[i].wanted);
	}
}

static void test_indirect_stays_negotiated(void **state)
{
	struct bed *bed = *state;

	for (unsigned indirect = 0; indirect < 2; indirect++) {
		virtqueue_init(&bed->queue, &bed->memory, "unit", 3);
		virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
		ring_init(&bed->ring, &bed->memory, RING_AT, SIZE);
		bed->queue.setup = bed->ring.setup;
		bed->queue.indirect = indirect;
		assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
		ring_describe(&bed->ring, 0, BUFFERS, 16, RING_F_INDIRECT, 0);
		memset(bed->memory.ram + BUFFERS, 0, 16);
		memcpy(bed->memory.ram + BUFFERS + 1, "\x01\0\0\0\0\0\0\x01", 8); /* 256, 1 byte */
		ring_offer(&bed->ring, 0);
		copy(bed);
		assert_int_equal(virtqueue_pop(&bed->copy, &bed->chain, &bed->err),
		                 indirect ? 1 : -EPROTO);
	}
}

/* --- queues that aren't running -------------------------------------------------------------- */

static void test_not_ready(void **state)
{
	struct bed *bed = *state;

	/* Described in part, by a driver that is in the midst of it: judged when it says ready. */
	bed->queue.setup = (struct virtqueue_setup){ SIZE, GPA(RAM), GPA(1), GPA(2) };
	copy(bed);
	assert_false(bed->copy.active);
	assert_false(bed->copy.broken);
	assert_int_equal(bed->copy.setup.size, SIZE);
	assert_int_equal(bed->copy.setup.descriptors.value, RAM);
	assert_int_equal(bed->copy.setup.driver.value, 1);
	assert_int_equal(bed->copy.setup.device.value, 2);
	expect_empty(bed, &bed->copy);
	bed->copy.setup = bed->ring.setup;
	assert_int_equal(virtqueue_activate(&bed->copy, &bed->err), 0);
	ring_offer(&bed->ring, 4);
	expect_head(bed, &bed->copy, 4);
}

static void test_broken(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	*bed->ring.avail_idx = 100;
	assert_int_equal(virtqueue_pop(&bed->queue, &bed->chain, &bed->err), -EPROTO);
	*bed->ring.avail_idx = 0;
	ring_offer(&bed->ring, 0);
	copy(bed);
	assert_true(bed->copy.broken);
	expect_empty(bed, &bed->copy);
	assert_false(virtqueue_wants_interrupt(&bed->copy));
	assert_int_equal(virtqueue_waiting(&bed->copy), 0);
}

/* --- lies ------------------------------------------------------------------------------------ */

static void test_impossible_queues(void **state)
{
	static const struct {
		const char *name;
		uint16_t size;
		uint64_t desc, avail, used;
		const char *rule;
	} rows[] = {
		{ "size 0", 0, 0x1000, 0x2000, 0x3000, "Q1" },
		{ "size 3", 3, 0x1000, 0x2000, 0x3000, "Q1" },
		{ "size 512", 512, 0x10000, 0x20000, 0x30000, "Q1" },
		{ "misaligned", 8, 0x1008, 0x2000, 0x3000, "Q2: a ring is misaligned" },
		{ "outside", 8, 0x1000, RAM, 0x3000, "Q2: a ring lies outside RAM" },
		{ "over the end", 8, 0x1000, 0x2000, RAM - 68, "Q2: a ring lies outside RAM" },
		{ "wraps", 8, UINT64_MAX - 15, 0x2000, 0x3000, "Q2: a ring lies outside RAM" },
		{ "used over descriptors", 8, 0x1000, 0x2000, 0x1040, "Q2: rings overlap" },
		{ "all at 0", 8, 0, 0, 0, "Q2: rings overlap" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct virtqueue_state lie = {
			.setup = { rows[i].size, GPA(rows[i].desc), GPA(rows[i].avail),
			           GPA(rows[i].used) },
			.active = true,
		};

		bed->err = (struct error){ 0 };
		virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
		assert_row(rows[i].name, virtqueue_restore(&bed->copy, &lie, &bed->err) == -EINVAL);
		assert_row(rows[i].name, strstr(bed->err.msg, rows[i].rule));
		assert_row(rows[i].name, !bed->copy.active);
		expect_empty(bed, &bed->copy);
	}
}

/* Any position may be claimed: it is judged as a driver's index is. */
static void test_impossible_positions(void **state)
{
	static const struct {
		uint16_t next_avail, avail_idx;
		int got;
	} rows[] = { { 0, 0, 0 },           { 0, 8, 1 },         { 0, 9, -EPROTO },
		     { 1, 0, -EPROTO },     { 65535, 0, 1 },     { 65528, 0, 1 },
		     { 65527, 0, -EPROTO }, { 65535, 65535, 0 }, { 32768, 0, -EPROTO } };
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct virtqueue_state lie = { .setup = bed->ring.setup,
			                             .active = true,
			                             .next_avail = rows[i].next_avail,
			                             .next_used = 0x8001,
			                             .signalled = 77 };
		char name[32];

		snprintf(name, sizeof(name), "%u of %u", rows[i].next_avail, rows[i].avail_idx);
		virtqueue_init(&bed->copy, &bed->memory, "unit", 3);
		assert_int_equal(virtqueue_restore(&bed->copy, &lie, &bed->err), 0);
		*bed->ring.avail_idx = rows[i].avail_idx;
		assert_row(name, virtqueue_pop(&bed->copy, &bed->chain, &bed->err) == rows[i].got);
		assert_row(name, bed->copy.broken == (rows[i].got < 0));
		if (rows[i].got > 0)
			virtqueue_push(&bed->copy, bed->chain.head, 0);
		virtqueue_wants_interrupt(&bed->copy);
	}
}

/* --- asking for more ------------------------------------------------------------------------- */

static void test_await_more(void **state)
{
	struct bed *bed = *state;

	bed->queue.event_idx = true;
	assert_int_equal(virtqueue_await_more(&bed->queue), 0); /* not active */
	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	for (uint16_t i = 0; i < 3; i++)
		ring_offer(&bed->ring, i);
	expect_head(bed, &bed->queue, 0);
	/* "Tell me when there is an entry behind those that wait." */
	assert_int_equal(virtqueue_await_more(&bed->queue), 2);
	assert_int_equal(avail_event(&bed->ring), 3);
	assert_int_equal(virtqueue_waiting(&bed->queue), 2);
	ring_offer(&bed->ring, 3);
	assert_int_equal(virtqueue_await_more(&bed->queue), 3);
	assert_int_equal(avail_event(&bed->ring), 4);
	bed->queue.broken = true;
	ring_offer(&bed->ring, 4);
	assert_int_equal(virtqueue_await_more(&bed->queue), 0);
	assert_int_equal(avail_event(&bed->ring), 4);
}

/* Without event indices a driver always notifies, and what lies behind the ring isn't ours. */
static void test_await_more_without_events(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(virtqueue_activate(&bed->queue, &bed->err), 0);
	for (uint16_t i = 0; i < 3; i++)
		ring_offer(&bed->ring, i);
	assert_int_equal(virtqueue_await_more(&bed->queue), 3);
	assert_int_equal(avail_event(&bed->ring), 0);
}

int main(void)
{
#define STATE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		STATE_TEST(test_goes_on),           STATE_TEST(test_unpopped),
		STATE_TEST(test_interrupts),        STATE_TEST(test_indirect_stays_negotiated),
		STATE_TEST(test_not_ready),         STATE_TEST(test_broken),
		STATE_TEST(test_impossible_queues), STATE_TEST(test_impossible_positions),
		STATE_TEST(test_await_more),        STATE_TEST(test_await_more_without_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
