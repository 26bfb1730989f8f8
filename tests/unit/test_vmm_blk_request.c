/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_blk_request.c - what drivers ask of a disk, sane and hostile, however it is cut up.
 */
#include "tests/unit/unit.h"

#include <endian.h>
#include <linux/virtio_blk.h>

#include "vmm/virtio/blk_request.h"

#define CAPACITY 1000u /* sectors */
#define DATA_MAX 8192u

static uint8_t readable[16 + DATA_MAX], writable[DATA_MAX + 1];
static struct virtqueue_chain chain;
static struct blk_request request;

/* Makes @chain of the first bytes of both arrays, in buffers of at most @piece bytes. */
static void cut(uint64_t readable_size, uint64_t writable_size, uint32_t piece)
{
	const struct {
		uint8_t *data;
		uint64_t size;
		unsigned *count;
	} parts[] = { { readable, readable_size, &chain.readable },
		      { writable, writable_size, &chain.writable } };

	chain = (struct virtqueue_chain){ .readable_size = readable_size,
		                          .writable_size = writable_size };
	for (unsigned i = 0; i < 2; i++) {
		for (uint64_t at = 0; at < parts[i].size; at += piece) {
			uint64_t left = parts[i].size - at;

			assert_true(chain.readable + chain.writable < VIRTQUEUE_SIZE_MAX);
			chain.buffers[chain.readable + chain.writable] =
				(struct virtqueue_buffer){ .data = parts[i].data + at,
				                           .size = left < piece ? (uint32_t)left
				                                                : piece };
			(*parts[i].count)++;
		}
	}
}

static void set_header(uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = { .type = htole32(type),
		                                  .sector = htole64(sector) };

	memcpy(readable, &header, sizeof(header));
}

static int parse(bool read_only)
{
	const struct blk_limits limits = { .capacity = CAPACITY, .read_only = read_only };
	struct error err = { 0 };

	memset(&request, 0xee, sizeof(request));
	int ret = blk_request_parse(&chain, &limits, &request, &err);
	assert_true(ret == 0 || (ret == -EPROTO && err.msg[0]));
	return ret;
}

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define REFUSED_IO BLK_REFUSED, VIRTIO_BLK_S_IOERR
#define REFUSED_TYPE BLK_REFUSED, VIRTIO_BLK_S_UNSUPP

static void test_transfers(void **state)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint64_t sector, size; /* of the data */
		bool read_only;
		enum blk_op op;
		uint8_t status;
	} rows[] = {
		{ "read", IN, 7, 4096, false, BLK_READ, 0 },
		{ "read of a read-only disk", IN, 7, 4096, true, BLK_READ, 0 },
		{ "write", OUT, 7, 4096, false, BLK_WRITE, 0 },
		{ "write to a read-only disk", OUT, 7, 4096, true, REFUSED_IO },
		{ "first sector", IN, 0, 512, false, BLK_READ, 0 },
		{ "last sector", IN, CAPACITY - 1, 512, false, BLK_READ, 0 },
		{ "up to the end", OUT, CAPACITY - 8, 4096, false, BLK_WRITE, 0 },
		{ "no data", IN, 5, 0, false, BLK_READ, 0 },
		{ "no data at the end", OUT, CAPACITY, 0, false, BLK_WRITE, 0 },
		{ "no data behind the end", IN, CAPACITY + 1, 0, false, REFUSED_IO },
		{ "one sector too many", IN, CAPACITY - 7, 4096, false, REFUSED_IO },
		{ "one sector too many to write", OUT, CAPACITY - 7, 4096, false, REFUSED_IO },
		{ "at the end", IN, CAPACITY, 512, false, REFUSED_IO },
		{ "sector whose bytes overflow", IN, 1ull << 55, 512, false, REFUSED_IO },
		{ "sector that wraps with its size", IN, UINT64_MAX, 512, false, REFUSED_IO },
		{ "sector that wraps to inside", OUT, UINT64_MAX - 3, 4096, false, REFUSED_IO },
		{ "half a sector", IN, 0, 256, false, REFUSED_IO },
		{ "a byte too few", IN, 0, 511, false, REFUSED_IO },
		{ "a byte too many", OUT, 0, 513, false, REFUSED_IO },
	};
	static const uint32_t pieces[] = { 8192, 512, 100, 33 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
			bool out = rows[i].type == OUT;
			size_t at = 0;

			set_header(rows[i].type, rows[i].sector);
			cut(16 + (out ? rows[i].size : 0), (out ? 0 : rows[i].size) + 1, pieces[p]);
			assert_row(rows[i].name, parse(rows[i].read_only) == 0);
			assert_row(rows[i].name, request.op == rows[i].op);
			assert_row(rows[i].name, request.status == rows[i].status);
			assert_row(rows[i].name, request.range_count == 0);
			if (request.op == BLK_REFUSED)
				continue;
			assert_row(rows[i].name, request.offset == rows[i].sector * 512);
			assert_row(rows[i].name, request.size == rows[i].size);
			/* All of the data in its order, and nothing of header or status. */
			for (unsigned n = 0; n < request.iov_count; n++) {
				uint8_t *data = out ? readable + 16 : writable;

				assert_row(rows[i].name, request.iov[n].iov_base == data + at);
				assert_row(rows[i].name, request.iov[n].iov_len > 0);
				at += request.iov[n].iov_len;
			}
			assert_row(rows[i].name, at == rows[i].size);
		}
	}
}

static void test_other_types(void **state)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint64_t writable;
		enum blk_op op;
		uint8_t status;
	} rows[] = {
		{ "flush", VIRTIO_BLK_T_FLUSH, 1, BLK_FLUSH, 0 },
		{ "id", VIRTIO_BLK_T_GET_ID, 21, BLK_GET_ID, 0 },
		{ "id without room", VIRTIO_BLK_T_GET_ID, 1, BLK_GET_ID, 0 },
		{ "scsi", 2, 513, REFUSED_TYPE },
		{ "scsi out", 3, 1, REFUSED_TYPE },
		{ "flush of old", 5, 1, REFUSED_TYPE },
		{ "lifetime", 10, 7, REFUSED_TYPE },
		{ "secure erase", VIRTIO_BLK_T_SECURE_ERASE, 1, REFUSED_TYPE },
		{ "zone append", 15, 9, REFUSED_TYPE },
		{ "barrier", 0x80000000u, 513, REFUSED_TYPE },
		{ "nonsense", UINT32_MAX, 1, REFUSED_TYPE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_header(rows[i].type, 0);
		cut(16, rows[i].writable, 4096);
		assert_row(rows[i].name, parse(false) == 0);
		assert_row(rows[i].name, request.op == rows[i].op);
		assert_row(rows[i].name, request.status == rows[i].status);
		assert_row(rows[i].name, request.iov_count == 0 && request.range_count == 0);
	}
}

#define DISCARD VIRTIO_BLK_T_DISCARD
#define ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define UNMAP VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

static void set_range(unsigned index, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = { htole64(sector), htole32(sectors),
		                                               htole32(flags) };

	memcpy(readable + 16 + index * sizeof(range), &range, sizeof(range));
}

static void test_ranges(void **state)
{
	static const struct {
		const char *name;
		uint32_t type, sectors, flags;
		uint64_t sector;
		enum blk_op op;
		uint8_t status;
	} rows[] = {
		{ "discard", DISCARD, 8, 0, 16, BLK_DISCARD, 0 },
		{ "discard of all", DISCARD, CAPACITY, 0, 0, BLK_DISCARD, 0 },
		{ "discard that unmaps", DISCARD, 8, UNMAP, 16, REFUSED_TYPE },
		{ "zeroes", ZEROES, 8, 0, 16, BLK_WRITE_ZEROES, 0 },
		{ "zeroes that unmap", ZEROES, 8, UNMAP, 16, BLK_WRITE_ZEROES, 0 },
		{ "unknown flag", ZEROES, 8, 2, 16, REFUSED_TYPE },
		{ "all flags", DISCARD, 8, UINT32_MAX, 16, REFUSED_TYPE },
		{ "no sectors", DISCARD, 0, 0, 16, REFUSED_IO },
		{ "one too many", ZEROES, 8, 0, CAPACITY - 7, REFUSED_IO },
		{ "behind the end", DISCARD, 1, 0, CAPACITY, REFUSED_IO },
		{ "far too many", DISCARD, UINT32_MAX, 0, 0, REFUSED_IO },
		{ "wraps", DISCARD, 2, 0, UINT64_MAX, REFUSED_IO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_header(rows[i].type, 0);
		set_range(0, rows[i].sector, rows[i].sectors, rows[i].flags);
		cut(32, 1, 7);
		assert_row(rows[i].name, parse(false) == 0);
		assert_row(rows[i].name, request.op == rows[i].op);
		assert_row(rows[i].name, request.status == rows[i].status);
		if (request.op == BLK_REFUSED)
			continue;
		assert_row(rows[i].name, request.range_count == 1);
		assert_row(rows[i].name, request.ranges[0].offset == rows[i].sector * 512);
		assert_row(rows[i].name, request.ranges[0].size == rows[i].sectors * 512ull);
		assert_row(rows[i].name, request.ranges[0].unmap == (rows[i].flags == UNMAP));

		assert_row(rows[i].name, parse(true) == 0);
		assert_row(rows[i].name, request.op == BLK_REFUSED);
		assert_row(rows[i].name, request.status == VIRTIO_BLK_S_IOERR);
	}
}

static void test_many_ranges(void **state)
{
	(void)state;
	set_header(DISCARD, 0);
	for (unsigned i = 0; i <= BLK_RANGES_MAX; i++)
		set_range(i, i * 10, i + 1, 0);
	cut(16 + BLK_RANGES_MAX * 16, 1, 40);
	assert_int_equal(parse(false), 0);
	assert_int_equal(request.op, BLK_DISCARD);
	assert_int_equal(request.range_count, BLK_RANGES_MAX);
	for (unsigned i = 0; i < BLK_RANGES_MAX; i++) {
		assert_int_equal(request.ranges[i].offset, i * 10 * 512);
		assert_int_equal(request.ranges[i].size, (i + 1) * 512);
	}
	/* One more than there may be, none, and one that is cut off. */
	static const uint64_t bad[] = { (BLK_RANGES_MAX + 1) * 16, 0, 15, 17, 24, DATA_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cut(16 + bad[i], 1, 8192);
		assert_int_equal(parse(false), 0);
		assert_int_equal(request.op, BLK_REFUSED);
		assert_int_equal(request.status, VIRTIO_BLK_S_IOERR);
	}
	/* A bad one among good ones. */
	set_range(BLK_RANGES_MAX - 1, CAPACITY, 1, 0);
	cut(16 + BLK_RANGES_MAX * 16, 1, 8192);
	assert_int_equal(parse(false), 0);
	assert_int_equal(request.op, BLK_REFUSED);
}

/* Without a whole header or a status byte there is no way to answer. */
static void test_no_answer(void **state)
{
	static const struct {
		uint64_t readable, writable;
	} rows[] = {
		{ 0, 0 }, { 0, 1 }, { 15, 1 }, { 16, 0 }, { 528, 0 }, { 0, 513 }, { 1, 4096 }
	};

	(void)state;
	set_header(OUT, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cut(rows[i].readable, rows[i].writable, 4096);
		assert_int_equal(parse(false), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers), cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_ranges),    cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_no_answer),
	};

	return cmocka_run_group_tests_name("vmm_blk_request", tests, NULL, NULL);
}
