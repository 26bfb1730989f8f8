/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_memory.c - the map of guest memory and the accessor that everything goes through.
 *
 * Wraps mmap, so that the host can be out of address space or mappings.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "vmm/memory.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define HOLE_START (3 * GIB)
#define HOLE_END (4 * GIB)
#define IMAGE_SIZE (2 * MIB)

static bool no_mmap;
static unsigned mmaps;      /* calls */
static unsigned mmap_fails; /* the call of that number, counted from 1 */

void *__real_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	if (++mmaps == mmap_fails || no_mmap) {
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

/* --- a file's RAM ---------------------------------------------------------------------------- */

/* RAM of 7 blocks and a short one; the file has all but the blocks 2, 3 and 6. */
#define FILE_RAM (15 * MIB)
#define FILE_BLOCKS 8
static const uint8_t file_blocks[1] = { 0xb3 };

/* A file with the byte @block + 1 all over a block, and some that are no RAM at its end. */
static int make_file(void)
{
	static uint8_t bytes[2 * MIB];
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (uint64_t block = 0; block < FILE_BLOCKS; block++) {
		memset(bytes, (int)block + 1, sizeof(bytes));
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), (off_t)(block * 2 * MIB)),
		                 sizeof(bytes));
	}
	assert_int_equal(ftruncate(fd, FILE_RAM + 77), 0);
	return fd;
}

static void map_file(struct guest_memory *memory)
{
	struct error err = { 0 };
	int fd = make_file();

	assert_int_equal(init(memory, FILE_RAM, &err), 0);
	assert_int_equal(guest_memory_map_file(memory, fd, file_blocks, &err), 0);
	close(fd);
}

static uint8_t in_file(uint64_t offset)
{
	uint64_t block = offset / (2 * MIB);

	return file_blocks[0] >> block & 1 ? (uint8_t)(block + 1) : 0;
}

/* All of [offset, offset+size) is @value; the first byte of each page, and its last. */
static bool is_all(const struct guest_memory *memory, uint64_t offset, uint64_t size, uint8_t value)
{
	for (uint64_t at = offset; at < offset + size; at += 4096)
		if (memory->ram[at] != value || memory->ram[at + 4095] != value)
			return false;
	return true;
}

static void test_file_is_mapped(void **state)
{
	struct guest_memory memory = { 0 };

	(void)state;
	map_file(&memory);
	for (uint64_t at = 0; at < FILE_RAM; at += MIB) {
		assert_true(is_all(&memory, at, MIB, in_file(at)));
		assert_int_equal(guest_memory_has_file(&memory, at, 1), in_file(at) != 0);
	}
	assert_true(guest_memory_has_file(&memory, 0, FILE_RAM));
	assert_false(guest_memory_has_file(&memory, 4 * MIB, 4 * MIB));
	assert_true(guest_memory_has_file(&memory, 4 * MIB, 4 * MIB + 1));
	assert_true(guest_memory_has_file(&memory, 4 * MIB - 1, 1));
	assert_int_equal(memory.count, 1);
	guest_memory_finish(&memory);
	assert_null(memory.of_file);

	struct error err = { 0 };
	assert_int_equal(init(&memory, FILE_RAM, &err), 0);
	assert_false(guest_memory_has_file(&memory, 0, FILE_RAM));
	guest_memory_finish(&memory);
}

static void test_file_is_not_mapped(void **state)
{
	struct guest_memory memory = { 0 };
	struct error err = { 0 };
	int fd = make_file();

	(void)state;
	/* The first or the last of three runs. */
	for (unsigned fails = 1; fails <= 3; fails += 2) {
		assert_int_equal(init(&memory, FILE_RAM, &err), 0);
		mmap_fails = mmaps + fails;
		assert_int_equal(guest_memory_map_file(&memory, fd, file_blocks, &err), -ENOMEM);
		mmap_fails = 0;
		assert_string_equal(err.msg, "cannot map the guest's RAM: Cannot allocate memory");
		guest_memory_finish(&memory);
		assert_null(memory.ram);
	}
	close(fd);
}

static void test_discard_of_file(void **state)
{
	/* After all was written; '0': zeros, 'f': the file's, 'w': what was written; 1 MiB each. */
	static const struct {
		const char *name;
		uint64_t offset, size; /* KiB */
		const char *ram;
		unsigned mmaps;
	} rows[] = {
		{ "half a block of the file's", 0, 1024, "fwwwwwwwwwwwwww", 0 },
		{ "a block of the file's", 2048, 2048, "ww00wwwwwwwwwww", 1 },
		{ "two of them", 0, 4096, "0000wwwwwwwwwww", 1 },
		{ "two halves of the file's", 1024, 2048, "wffwwwwwwwwwwww", 0 },
		{ "half, whole", 1024, 3072, "wf00wwwwwwwwwww", 1 },
		{ "whole, anonymous", 2048, 3072, "ww000wwwwwwwwww", 1 },
		{ "anonymous, half", 7168, 2048, "wwwwwww0fwwwwww", 0 },
		{ "the short one at the end", 14336, 1024, "wwwwwwwwwwwwww0", 1 },
		{ "all", 0, 15360, "000000000000000", 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct guest_memory memory = { 0 };

		map_file(&memory);
		memset(memory.ram, 0x77, FILE_RAM);
		unsigned before = mmaps;
		assert_row(rows[i].name,
		           guest_memory_discard(&memory, memory.ram + rows[i].offset * 1024,
		                                rows[i].size * 1024) == 0);
		assert_row(rows[i].name, mmaps - before == rows[i].mmaps);
		for (uint64_t mib = 0; rows[i].ram[mib]; mib++) {
			char is = rows[i].ram[mib];
			uint8_t value = is == '0' ? 0 : is == 'f' ? in_file(mib * MIB) : 0x77;

			assert_row(rows[i].name, is_all(&memory, mib * MIB, MIB, value));
			if (is == '0')
				assert_row(rows[i].name,
				           !guest_memory_has_file(&memory, mib * MIB, 1));
		}
		guest_memory_finish(&memory);
	}
}

/* The host limits how many mappings there are. */
static void test_discard_of_many(void **state)
{
	static uint8_t all[(GUEST_REPLACED_MAX + 8) * 2 / 8];
	uint64_t blocks = (GUEST_REPLACED_MAX + 8) * 2;
	struct guest_memory memory = { 0 };
	struct error err = { 0 };
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	memset(all, 0xff, sizeof(all));
	assert_int_equal(ftruncate(fd, (off_t)(blocks * 2 * MIB)), 0);
	assert_int_equal(init(&memory, blocks * 2 * MIB, &err), 0);
	assert_int_equal(guest_memory_map_file(&memory, fd, all, &err), 0);
	close(fd);
	unsigned before = mmaps;
	for (uint64_t block = 0; block < blocks; block += 2) {
		memory.ram[block * 2 * MIB] = 1;
		assert_int_equal(
			guest_memory_discard(&memory, memory.ram + block * 2 * MIB, 2 * MIB), 0);
		assert_int_equal(memory.ram[block * 2 * MIB], 0);
		assert_int_equal(guest_memory_has_file(&memory, block * 2 * MIB, 1),
		                 block / 2 >= GUEST_REPLACED_MAX);
	}
	assert_int_equal(mmaps - before, GUEST_REPLACED_MAX);
	guest_memory_finish(&memory);
}

static void test_discard_that_the_host_refuses(void **state)
{
	struct guest_memory memory = { 0 };

	(void)state;
	map_file(&memory);
	memory.ram[0] = 0x77;
	mmap_fails = mmaps + 1;
	assert_int_equal(guest_memory_discard(&memory, memory.ram, 2 * MIB), -ENOMEM);
	mmap_fails = 0;
	assert_int_equal(memory.ram[0], 0x77);
	assert_true(guest_memory_has_file(&memory, 0, 1));
	assert_int_equal(guest_memory_discard(&memory, memory.ram, 2 * MIB), 0);
	assert_int_equal(memory.ram[0], 0);
	guest_memory_finish(&memory);
}

static void test_no_discard_while_loading(void **state)
{
	struct guest_memory memory = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(init(&memory, 4 * MIB, &err), 0);
	memset(memory.ram, 0x77, 4 * MIB);
	atomic_store(&memory.loading, true);
	assert_int_equal(guest_memory_discard(&memory, memory.ram, 2 * MIB), -EAGAIN);
	assert_int_equal(guest_memory_discard(&memory, memory.ram + 1, 2 * MIB), -EINVAL);
	assert_true(is_all(&memory, 0, 4 * MIB, 0x77));
	atomic_store(&memory.loading, false);
	assert_int_equal(guest_memory_discard(&memory, memory.ram, 2 * MIB), 0);
	assert_true(is_all(&memory, 0, 2 * MIB, 0));
	guest_memory_finish(&memory);
}

static void test_runs_of_blocks(void **state)
{
	static const uint8_t blocks[] = { 0xb3, 0x00, 0xff }; /* 11001101 00000000 11111111 */
	static const uint64_t ends[] = { 2, 2, 4, 4, 6, 6, 7, 8, 16 };

	(void)state;
	for (uint64_t i = 0; i < ARRAY_SIZE(ends); i++)
		assert_int_equal(guest_block_run_end(blocks, i, 24), ends[i]);
	assert_int_equal(guest_block_run_end(blocks, 16, 24), 24);
	assert_int_equal(guest_block_run_end(blocks, 8, 13), 13);
	assert_int_equal(guest_block_run_end(blocks, 0, 1), 1);
	assert_int_equal(guest_blocks(0), 0);
	assert_int_equal(guest_blocks(1), 1);
	assert_int_equal(guest_blocks(2 * MIB), 1);
	assert_int_equal(guest_blocks(2 * MIB + 1), 2);
	assert_int_equal(guest_blocks(GUEST_MEMORY_MAX), GUEST_BLOCKS_MAX);
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
		cmocka_unit_test(test_file_is_mapped),
		cmocka_unit_test(test_file_is_not_mapped),
		cmocka_unit_test(test_discard_of_file),
		cmocka_unit_test(test_discard_of_many),
		cmocka_unit_test(test_discard_that_the_host_refuses),
		cmocka_unit_test(test_no_discard_while_loading),
		cmocka_unit_test(test_runs_of_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
