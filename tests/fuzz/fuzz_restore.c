/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_restore.c - the small files beside a snapshot: a template's trailer and a first-touch order.
 *
 * The input is u8 flags, u24 size of RAM (pages, less one), and the file. Flags: 1: an order, not a
 * trailer; 2: the hash at its end is made to fit. What is taken must be what would have been written.
 */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/snapshot/template_trailer.h"
#include "vmm/snapshot/touch.h"

#define IS_ORDER 1u
#define SEALED 2u

static const struct snapshot_id id = { "seed" };

void fuzz_init(void)
{
}

static void seal(uint8_t *bytes, size_t size)
{
	if (size < 8)
		return;
	uint64_t hash = XXH3_64bits(bytes, size - 8);
	for (unsigned i = 0; i < 8; i++)
		bytes[size - 8 + i] = (uint8_t)(hash >> (8 * i));
}

static void try_trailer(const uint8_t *bytes, size_t size, uint64_t ram_size)
{
	static uint8_t again[TEMPLATE_TRAILER_MAX];
	static struct block_set blocks;
	struct error err = { 0 };

	int ret = template_trailer_decode(bytes, size, &id, ram_size, &blocks, &err);
	CHECK(ret == err.code && (ret == 0 || ret == -EBADMSG));
	if (ret)
		return;
	CHECK(size == template_trailer_size(ram_size));
	CHECK(template_trailer_encode(&id, ram_size, &blocks, again) == 0);
	CHECK(memcmp(again, bytes, size) == 0);
	/* What would be mapped is in RAM. */
	uint64_t count = guest_blocks(ram_size);
	for (uint64_t first = 0; first < count;
	     first = guest_block_run_end(blocks.bits, first, count))
		CHECK(guest_block_run_end(blocks.bits, first, count) <= count);
	for (uint64_t block = count; block < GUEST_BLOCKS_MAX; block++)
		CHECK(!guest_block_is_set(blocks.bits, block));
}

static void try_order(const uint8_t *bytes, size_t size, uint64_t ram_size)
{
	uint64_t chunks = (ram_size + SNAPSHOT_CHUNK_SIZE - 1) / SNAPSHOT_CHUNK_SIZE;
	struct wire_writer again = { .data = NULL };
	struct touch_order order = { 0 };
	struct error err = { 0 };

	int ret = touch_decode(bytes, size, &id, chunks, &order, &err);
	CHECK(ret == err.code && (ret == 0 || ret == -EBADMSG));
	if (ret) {
		CHECK(!order.chunks);
		return;
	}
	CHECK(order.count <= chunks);
	for (size_t i = 0; i < order.count; i++)
		CHECK(order.chunks[i] < chunks);
	touch_encode(&id, chunks, &order, &again);
	CHECK(!again.failed && again.size == size && memcmp(again.data, bytes, size) == 0);
	wire_writer_finish(&again);
	touch_order_finish(&order);
}

void fuzz_one(struct input *in)
{
	uint8_t flags = input_u8(in);
	uint64_t ram_size = (input_number(in, 3) + 1) * GUEST_PAGE_SIZE;
	/* Of its own size, so that a byte too far is seen. */
	size_t size = in->size;
	uint8_t *bytes = malloc(size ? size : 1);

	CHECK(bytes);
	memcpy(bytes, in->data, size);
	if (flags & SEALED)
		seal(bytes, size);
	if (flags & IS_ORDER)
		try_order(bytes, size, ram_size);
	else
		try_trailer(bytes, size, ram_size);
	free(bytes);
}
