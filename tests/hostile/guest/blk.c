/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.c - disk requests that are cut short, point past the end, or have nowhere to answer.
 */
#include "tests/hostile/guest/hostile.h"

#define SECTORS 2048u /* what run.py gives it */
#define SECTOR 512u
#define DATA_MAX (64u << 10)

#define F_RO (1ull << 5)
#define F_FLUSH (1ull << 9)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

#define T_IN 0u
#define T_OUT 1u
#define T_FLUSH 4u
#define T_GET_ID 8u
#define T_DISCARD 11u
#define T_WRITE_ZEROES 13u

#define S_OK 0u
#define S_IOERR 1u
#define S_UNSUPP 2u
#define S_NONE 0xffu /* never answered */

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct segment {
	uint64_t sector;
	uint32_t sectors, flags;
};

static struct queue queue;
static struct header header;
static uint8_t status, data[DATA_MAX];

static void start(struct dev *dev)
{
	dev_negotiate(dev, dev_features(dev) & (F_RO | F_FLUSH | F_DISCARD | F_WRITE_ZEROES));
	queue_start(&queue, dev, 0, QUEUE_MAX);
	dev_go(dev);
}

/* Header, @size bytes at @at (none if 0), status. */
static void describe(uint32_t type, uint64_t sector, const void *at, uint32_t size, uint16_t flags)
{
	header = (struct header){ .type = type, .sector = sector };
	status = S_NONE;
	queue_describe(&queue, 0, &header, sizeof(header), DESC_NEXT, size ? 1 : 2);
	queue_describe(&queue, 1, at, size, flags | DESC_NEXT, 2);
	queue_describe(&queue, 2, &status, 1, DESC_WRITE, 0);
}

static uint8_t ask(void)
{
	queue_publish(&queue, 0);
	queue_kick(&queue);
	queue_await(&queue);
	return status;
}

static uint8_t transfer(uint32_t type, uint64_t sector, uint32_t size)
{
	describe(type, sector, data, size, type == T_IN ? DESC_WRITE : 0);
	return ask();
}

static void offer_broken(struct dev *dev)
{
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
	check(queue_used(&queue) == 0, "a request without an answer isn't used");
}

void serve_blk(struct dev *dev)
{
	start(dev);
	memset(data, 0xa5, SECTOR);
	check(transfer(T_OUT, 1, SECTOR) == S_OK, "serve: blk writes");
	memset(data, 0, SECTOR);
	check(transfer(T_IN, 1, SECTOR) == S_OK, "serve: blk reads");
	check(data[0] == 0xa5 && data[SECTOR - 1] == 0xa5, "serve: blk reads what it wrote");
}

/* --- too short --- */

static void blk_header_only(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, data, SECTOR, DESC_WRITE);
	queue.memory->desc[0].flags = 0;
	offer_broken(dev);
}

static void blk_header_short(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, data, SECTOR, DESC_WRITE);
	queue.memory->desc[0].len = 15;
	offer_broken(dev);
}

static void blk_no_header(struct dev *dev)
{
	start(dev);
	queue_describe(&queue, 0, &status, 1, DESC_WRITE, 0);
	offer_broken(dev);
}

static void blk_status_not_writable(struct dev *dev)
{
	start(dev);
	describe(T_OUT, 0, data, SECTOR, 0);
	queue.memory->desc[2].flags = 0;
	offer_broken(dev);
}

static void blk_status_in_image(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, data, SECTOR, DESC_WRITE);
	queue.memory->desc[2].addr = IMAGE_START;
	offer_broken(dev);
}

static void blk_data_in_image(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, (void *)IMAGE_START, SECTOR, DESC_WRITE);
	offer_broken(dev);
}

static void blk_header_in_pieces(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, data, SECTOR, DESC_WRITE);
	for (unsigned i = 0; i < sizeof(header); i++)
		queue_describe(&queue, (uint16_t)(i + 10), (uint8_t *)&header + i, 1, DESC_NEXT,
		               i + 1 < sizeof(header) ? (uint16_t)(i + 11) : 1);
	queue_publish(&queue, 10);
	queue_kick(&queue);
	queue_await(&queue);
	check(status == S_OK, "how a header is cut is the driver's affair");
}

static void blk_status_alone(struct dev *dev)
{
	start(dev);
	check(transfer(T_IN, 0, 0) == S_OK, "nothing is read, and that works");
	check(transfer(T_OUT, SECTORS, 0) == S_OK, "nothing written at the very end likewise");
}

/* --- past the end --- */

static void blk_lba_past_end(struct dev *dev)
{
	static const uint64_t wrong[] = { SECTORS,    SECTORS + 1, 1ull << 32,
		                          1ull << 55, 1ull << 63,  ~0ull };

	start(dev);
	check(transfer(T_IN, SECTORS - 1, SECTOR) == S_OK, "the last sector");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check(transfer(T_IN, wrong[i], SECTOR) == S_IOERR, "no read past the end");
		check(transfer(T_OUT, wrong[i], SECTOR) == S_IOERR, "no write past the end");
	}
}

static void blk_sectors_overflow(struct dev *dev)
{
	start(dev);
	check(transfer(T_IN, SECTORS - 1, 2 * SECTOR) == S_IOERR, "one sector too many");
	check(transfer(T_OUT, SECTORS - 1, 2 * SECTOR) == S_IOERR, "one sector too many");
	check(transfer(T_OUT, ~0ull, 2 * SECTOR) == S_IOERR, "sector + count wraps");
	describe(T_IN, 0, (void *)(uintptr_t)(16u << 20), 40u << 20, DESC_WRITE);
	check(ask() == S_IOERR, "40 MiB of a disk of one");
}

static void blk_odd_length(struct dev *dev)
{
	static const uint32_t wrong[] = { 1, 511, 513, 1023 };

	start(dev);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check(transfer(T_IN, 0, wrong[i]) == S_IOERR, "whole sectors only");
		check(transfer(T_OUT, 0, wrong[i]) == S_IOERR, "whole sectors only");
	}
}

static void blk_same_buffer_many_times(struct dev *dev)
{
	start(dev);
	describe(T_IN, 0, data, SECTOR, DESC_WRITE);
	queue.memory->desc[0].next = 3;
	for (uint16_t i = 3; i < QUEUE_MAX; i++)
		queue_describe(&queue, i, data, SECTOR, DESC_WRITE | DESC_NEXT,
		               i + 1u < QUEUE_MAX ? (uint16_t)(i + 1) : 2);
	check(ask() == S_OK, "253 sectors into one buffer");
}

/* --- other requests --- */

static void blk_unknown_type(struct dev *dev)
{
	static const uint32_t wrong[] = { 2, 3, 5, 9, 14, 0x80000000, 0xffffffff };

	start(dev);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		check(transfer(wrong[i], 0, SECTOR) == S_UNSUPP, "said to be unsupported");
}

static void blk_write_with_writable_data(struct dev *dev)
{
	start(dev);
	describe(T_OUT, 0, data, SECTOR, DESC_WRITE);
	check(ask() == S_OK, "a write of nothing");
	describe(T_IN, 0, data, SECTOR, 0);
	check(ask() == S_OK, "a read of nothing");
}

static void blk_get_id_short(struct dev *dev)
{
	start(dev);
	memset(data, 0x5a, 64);
	describe(T_GET_ID, 0, data, 3, DESC_WRITE);
	check(ask() == S_OK && data[3] == 0x5a, "as much as there is room for");
	describe(T_GET_ID, ~0ull, data, 64, DESC_WRITE);
	check(ask() == S_OK && data[20] == 0x5a, "20 bytes, wherever the sector points");
}

static uint8_t discard(uint32_t type, const struct segment *segments, uint32_t bytes)
{
	memcpy(data, segments, bytes);
	describe(type, 0, data, bytes, 0);
	return ask();
}

static void blk_discard_past_end(struct dev *dev)
{
	static const struct segment wrong[] = { { SECTORS, 1, 0 },     { SECTORS - 1, 2, 0 },
		                                { ~0ull, 1, 0 },       { 1ull << 55, 8, 0 },
		                                { 0, 0xffffffff, 0 },  { ~0ull, 0xffffffff, 0 },
		                                { 0, SECTORS + 1, 0 }, { 0, 0, 0 } };

	start(dev);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check(discard(T_DISCARD, &wrong[i], sizeof(wrong[i])) == S_IOERR, "no discard");
		check(discard(T_WRITE_ZEROES, &wrong[i], sizeof(wrong[i])) == S_IOERR, "no zeroes");
	}
}

/* The first of two is good: neither may be done. */
static void blk_discard_second_is_bad(struct dev *dev)
{
	static const struct segment segments[] = { { 8, 8, 0 }, { SECTORS, 8, 0 } };

	start(dev);
	memset(data, 0xc3, SECTOR);
	check(transfer(T_OUT, 8, SECTOR) == S_OK, "written");
	check(discard(T_WRITE_ZEROES, segments, sizeof(segments)) == S_IOERR, "refused");
	check(transfer(T_IN, 8, SECTOR) == S_OK && data[0] == 0xc3, "and nothing was zeroed");
}

static void blk_discard_lists(struct dev *dev)
{
	static const struct segment segments[64];

	start(dev);
	check(discard(T_DISCARD, segments, sizeof(segments)) == S_IOERR, "more than there may be");
	check(discard(T_DISCARD, segments, 15) == S_IOERR, "less than one");
	check(discard(T_DISCARD, segments, 17) == S_IOERR, "one and a bit");
	check(transfer(T_DISCARD, 0, 0) == S_IOERR, "none");
}

static void blk_discard_unknown_flags(struct dev *dev)
{
	static const struct segment segment = { 0, 8, 0xfffffffe };

	start(dev);
	check(discard(T_DISCARD, &segment, sizeof(segment)) == S_UNSUPP, "unsupported");
	check(discard(T_WRITE_ZEROES, &segment, sizeof(segment)) == S_UNSUPP, "unsupported");
}

static void blk_flush_flood(struct dev *dev)
{
	start(dev);
	describe(T_FLUSH, 0, NULL, 0, 0);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < 64; k++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		queue_await(&queue);
		check(status == S_OK, "flushed");
	}
}

static void blk_config_written(struct dev *dev)
{
	start(dev);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned offset = REG_CONFIG; offset < REG_CONFIG + 0x80; offset += size)
			mmio_write(dev->base + offset, size, ~0ull);
	check(mmio_read(dev->base + REG_CONFIG, 8) == SECTORS, "the capacity stays");
}

/* Nothing is written to a buffer once a reset has read back (§2.4.2). */
static void blk_reset_during_io(struct dev *dev)
{
	for (unsigned round = 0; round < 100; round++) {
		start(dev);
		describe(T_IN, 0, data, DATA_MAX, DESC_WRITE);
		for (unsigned i = 0; i < 64; i++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		for (unsigned i = 0; i < round * 50; i++)
			relax();
		dev_reset(dev);
		while (dev_status(dev) != 0)
			relax();
		uint16_t used = queue_used(&queue);
		memset(data, 0x5a, DATA_MAX);
		serve(DEVICE_RNG);
		unsigned whole = 0;
		while (whole < DATA_MAX && data[whole] == 0x5a)
			whole++;
		check(whole == DATA_MAX, "no byte after the reset");
		check(queue_used(&queue) == used, "nothing is used after the reset");
	}
}

/* --- the disk that is read-only: the second --- */

static void blk_read_only(struct dev *dev)
{
	static const struct segment segment = { 0, 8, 0 };
	struct dev disk = { dev->base + 0x1000, dev->id };

	check(reg_read(&disk, REG_DEVICE_ID) == DEVICE_BLK && (dev_features(&disk) & F_RO),
	      "the second disk is read-only");
	start(&disk);
	check(transfer(T_IN, 0, SECTOR) == S_OK, "read");
	check(transfer(T_OUT, 0, SECTOR) == S_IOERR, "not written");
	check(discard(T_DISCARD, &segment, sizeof(segment)) == S_IOERR, "not discarded");
	check(discard(T_WRITE_ZEROES, &segment, sizeof(segment)) == S_IOERR, "not zeroed");
	check(!(dev_status(&disk) & STATUS_NEEDS_RESET), "and all is well");
	dev_reset(&disk);
}

#define CASE(name, outcome) HOSTILE_CASE(name, DEVICE_BLK, outcome)

const struct hostile_case blk_cases[] = {
	CASE(blk_header_only, NEEDS_RESET),
	CASE(blk_header_short, NEEDS_RESET),
	CASE(blk_no_header, NEEDS_RESET),
	CASE(blk_status_not_writable, NEEDS_RESET),
	CASE(blk_status_in_image, NEEDS_RESET),
	CASE(blk_data_in_image, NEEDS_RESET),
	CASE(blk_header_in_pieces, SERVED),
	CASE(blk_status_alone, SERVED),
	CASE(blk_lba_past_end, SERVED),
	CASE(blk_sectors_overflow, SERVED),
	CASE(blk_odd_length, SERVED),
	CASE(blk_same_buffer_many_times, SERVED),
	CASE(blk_unknown_type, SERVED),
	CASE(blk_write_with_writable_data, SERVED),
	CASE(blk_get_id_short, SERVED),
	CASE(blk_discard_past_end, SERVED),
	CASE(blk_discard_second_is_bad, SERVED),
	CASE(blk_discard_lists, SERVED),
	CASE(blk_discard_unknown_flags, SERVED),
	CASE(blk_flush_flood, SERVED),
	CASE(blk_config_written, SERVED),
	CASE(blk_reset_during_io, SERVED),
	CASE(blk_read_only, SERVED),
	{ 0 },
};
