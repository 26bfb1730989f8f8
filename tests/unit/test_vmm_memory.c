/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_memory.c - the map of guest memory and the accessor that everything goes through.
 *
 * Wraps mmap, so that the host can be out of address space.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "vmm/memory.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define HOLE_START (3 * GIB)
#define HOLE_END (4 * GIB)
#define IMAGE_SIZE (2 * MIB)

static bool no_mmap;

void *__real_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	if (no_mmap) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(addr, length, prot, flags, fd, offset);
}

static int init(struct guest_memory *memory, uint64_t size, struct error *err)
{
	return guest_memory_init(memory, size, GPA(HOLE_START), GPA(HOLE_END), err);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *name;
		uint64_t size, low, high;
		int code;
	} rows[] = {
		{ "nothing", 0, 0, 0, -EINVAL },
		{ "below the least", MIB - 4096, 0, 0, -EINVAL },
		{ "the least", MIB, MIB, 0, 0 },
		{ "half a page more", MIB + 2048, 0, 0, -EINVAL },
		{ "512 MiB", 512 * MIB, 512 * MIB, 0, 0 },
		{ "up to the hole", 3 * GIB, 3 * GIB, 0, 0 },
		{ "a page above", 3 * GIB + 4096, 3 * GIB, 4096, 0 },
		{ "5 GiB", 5 * GIB, 3 * GIB, 2 * GIB, 0 },
		{ "the most", 64 * GIB, 3 * GIB, 61 * GIB, 0 },
		{ "a page too much", 64 * GIB + 4096, 0, 0, -EINVAL },
		{ "all there is", UINT64_MAX - 4095, 0, 0, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct guest_memory memory = { 0 };
		struct error err = { 0 };

		assert_row(rows[i].name, init(&memory, rows[i].size, &err) == rows[i].code);
		assert_row(rows[i].name, err.code == rows[i].code && !err.msg[0] == !err.code);
		if (rows[i].code) {
			assert_row(rows[i].name, memory.ram == NULL && memory.count == 0);
			continue;
		}
		assert_row(rows[i].name, memory.ram_size == rows[i].size);
		assert_row(rows[i].name, memory.count == (rows[i].high ? 2 : 1));
		assert_row(rows[i].name, memory.regions[0].base.value == 0);
		assert_row(rows[i].name, memory.regions[0].size == rows[i].low);
		assert_row(rows[i].name, memory.regions[0].writable);
		if (rows[i].high) {
			assert_row(rows[i].name, memory.regions[1].base.value == HOLE_END);
			assert_row(rows[i].name, memory.regions[1].size == rows[i].high);
			/* One mapping: the second part goes on where the first ends. */
			assert_row(rows[i].name,
			           memory.regions[1].host == memory.ram + rows[i].low);
		}
		assert_row(rows[i].name, (uintptr_t)memory.ram % (2 * MIB) == 0);
		assert_row(rows[i].name,
		           guest_memory_end(&memory).value ==
		                   (rows[i].high ? HOLE_END + rows[i].high : rows[i].low));
		guest_memory_finish(&memory);
		assert_row(rows[i].name, memory.ram == NULL);
	}
}

static void test_no_address_space(void **state)
{
	struct guest_memory memory = { 0 };
	struct error err = { 0 };

	(void)state;
	no_mmap = true;
	int ret = init(&memory, 512 * MIB, &err);
	no_mmap = false;
	assert_int_equal(ret, -ENOMEM);
	assert_string_equal(err.msg,
	                    "cannot reserve 512 MiB for the guest: Cannot allocate memory");
	assert_null(memory.ram);
	guest_memory_finish(&memory);
}

static void test_accessor(void **state)
{
	static const struct {
		const char *name;
		uint64_t gpa, size;
		enum guest_access access;
		int64_t offset; /* from the start of RAM; -1: refused; -2: the image's start */
	} rows[] = {
		{ "first byte", 0, 1, GUEST_READ, 0 },
		{ "all of the low part", 0, 3 * GIB, GUEST_WRITE, 0 },
		{ "one byte more than the low part", 0, 3 * GIB + 1, GUEST_READ, -1 },
		{ "no bytes", 0, 0, GUEST_READ, -1 },
		{ "no bytes at the end", 3 * GIB, 0, GUEST_READ, -1 },
		{ "last byte before the hole", 3 * GIB - 1, 1, GUEST_WRITE, 3 * GIB - 1 },
		{ "into the hole", 3 * GIB - 1, 2, GUEST_READ, -1 },
		{ "across the hole", 3 * GIB - 1, GIB + 2, GUEST_READ, -1 },
		{ "in the hole", 3 * GIB, 1, GUEST_READ, -1 },
		{ "last byte of the hole", 4 * GIB - 1, 1, GUEST_READ, -1 },
		{ "from the hole into RAM", 4 * GIB - 1, 2, GUEST_READ, -1 },
		{ "first byte above the hole", 4 * GIB, 1, GUEST_WRITE, 3 * GIB },
		{ "all of the high part", 4 * GIB, 2 * GIB, GUEST_WRITE, 3 * GIB },
		{ "last byte of RAM", 6 * GIB - 1, 1, GUEST_READ, 5 * GIB - 1 },
		/* The image touches the RAM here: crossing is refused although every byte exists. */
		{ "from RAM into the image", 6 * GIB - 1, 2, GUEST_READ, -1 },
		{ "the image", 6 * GIB, IMAGE_SIZE, GUEST_READ, -2 },
		{ "writing to the image", 6 * GIB, 1, GUEST_WRITE, -1 },
		{ "behind the image", 6 * GIB + IMAGE_SIZE, 1, GUEST_READ, -1 },
		{ "out of the image", 6 * GIB, IMAGE_SIZE + 1, GUEST_READ, -1 },
		{ "size that wraps", 4096, UINT64_MAX - 4095, GUEST_READ, -1 },
		{ "size that wraps to little", 4096, UINT64_MAX - 4094, GUEST_READ, -1 },
		{ "the largest size", 0, UINT64_MAX, GUEST_READ, -1 },
		{ "the last address", UINT64_MAX, 1, GUEST_READ, -1 },
		{ "the last address and on", UINT64_MAX, UINT64_MAX, GUEST_READ, -1 },
	};
	struct guest_memory memory = { 0 };
	struct error err = { 0 };
	uint8_t image;

	(void)state;
	assert_int_equal(init(&memory, 5 * GIB, &err), 0);
	assert_int_equal(guest_memory_add(&memory, GPA(6 * GIB), IMAGE_SIZE, &image, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *expected = rows[i].offset == -1   ? NULL
		                    : rows[i].offset == -2 ? &image
		                                           : memory.ram + rows[i].offset;
		uint8_t *at =
			guest_memory_at(&memory, GPA(rows[i].gpa), rows[i].size, rows[i].access);

		assert_row(rows[i].name, at == expected);
	}
	guest_memory_finish(&memory);
}

static void test_no_memory_at_all(void **state)
{
	struct guest_memory memory = { 0 };

	(void)state;
	assert_null(guest_memory_at(&memory, GPA(0), 1, GUEST_READ));
	assert_int_equal(guest_memory_end(&memory).value, 0);
	guest_memory_finish(&memory);
}

static void test_table_is_bounded(void **state)
{
	struct guest_memory memory = { 0 };
	uint8_t host;

	(void)state;
	for (unsigned i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++)
		assert_int_equal(guest_memory_add(&memory, GPA(i * GIB), MIB, &host, true), 0);
	assert_int_equal(guest_memory_add(&memory, GPA(40 * GIB), MIB, &host, true), -ENOSPC);
	assert_int_equal(memory.count, GUEST_MEMORY_REGIONS_MAX);
}

static void test_fresh_ram_is_zero_and_keeps(void **state)
{
	struct guest_memory memory = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(init(&memory, 4 * GIB, &err), 0);
	uint8_t *last = guest_memory_at(&memory, GPA(5 * GIB - 1), 1, GUEST_WRITE);
	assert_non_null(last);
	assert_int_equal(*last, 0);
	*last = 0x5a;
	assert_int_equal(memory.ram[4 * GIB - 1], 0x5a);
	guest_memory_finish(&memory);
}

static void test_discard(void **state)
{
	static const struct {
		const char *name;
		int64_t offset;
		uint64_t size;
		int answer;
	} rows[] = {
		{ "a page", 4096, 4096, 0 },
		{ "huge pages", 2 * MIB, 4 * MIB, 0 },
		{ "to the end", 7 * MIB, MIB, 0 },
		{ "all", 0, 8 * MIB, 0 },
		{ "nothing", 4096, 0, -EINVAL },
		{ "begins within a page", 1, 4096, -EINVAL },
		{ "ends within a page", 0, 4097, -EINVAL },
		{ "over the end", 8 * MIB - 4096, 8192, -EINVAL },
		{ "behind the end", 8 * MIB, 4096, -EINVAL },
		{ "before RAM", -4096, 4096, -EINVAL },
		{ "before RAM and into it", -4096, 8192, -EINVAL },
		{ "size that wraps", 4096, UINT64_MAX - 4095, -EINVAL },
	};
	struct guest_memory memory = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(init(&memory, 8 * MIB, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *host = (uint8_t *)((uintptr_t)memory.ram + (uintptr_t)rows[i].offset);

		memset(memory.ram, 0x5a, 8 * MIB);
		assert_row(rows[i].name,
		           guest_memory_discard(&memory, host, rows[i].size) == rows[i].answer);
		for (uint64_t at = 0; at < 8 * MIB; at += 4096) {
			bool gone = rows[i].answer == 0 && at >= (uint64_t)rows[i].offset &&
			            at - (uint64_t)rows[i].offset < rows[i].size;

			assert_row(rows[i].name, memory.ram[at] == (gone ? 0 : 0x5a));
			assert_row(rows[i].name, memory.ram[at + 4095] == (gone ? 0 : 0x5a));
		}
	}
	guest_memory_finish(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_address_space),
		cmocka_unit_test(test_accessor),
		cmocka_unit_test(test_no_memory_at_all),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_fresh_ram_is_zero_and_keeps),
		cmocka_unit_test(test_discard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
