/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_vmm_untouched.c - pages that nobody has touched are known, all others are not taken for zero. */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/untouched.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define RAM (40 * MIB + 12 * KIB) /* more than is read at once; the last unit is short */
#define UNIT (64 * KIB)

static void make(struct guest_memory *memory)
{
	struct error err = { 0 };

	if (guest_memory_init(memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &err))
		fail_msg("%s", err.msg);
	/* Or else a touch takes 2 MiB. */
	madvise(memory->ram, RAM, MADV_NOHUGEPAGE);
}

static struct untouched *scan(const struct guest_memory *memory)
{
	struct untouched *untouched;
	struct error err = { 0 };

	if (untouched_scan(memory, &untouched, &err))
		fail_msg("%s", err.msg);
	return untouched;
}

static void test_touched_and_not(void **state)
{
	/* Offsets that are touched; reading counts as well. */
	static const uint64_t writes[] = { 0, 3 * MIB + 5, 16 * MIB - 1, RAM - 1 };
	static const uint64_t reads[] = { 9 * MIB, 16 * MIB + UNIT };
	struct guest_memory memory = { 0 };
	bool touched[RAM / UNIT + 1] = { false };

	(void)state;
	make(&memory);
	struct untouched *untouched = scan(&memory);
	assert_true(untouched_is(untouched, 0, RAM));
	untouched_destroy(untouched);

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		memory.ram[writes[i]] = 1;
		touched[writes[i] / UNIT] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		assert_int_equal(*(volatile uint8_t *)(memory.ram + reads[i]), 0);
		touched[reads[i] / UNIT] = true;
	}
	untouched = scan(&memory);
	for (uint64_t unit = 0; unit < ARRAY_SIZE(touched); unit++) {
		uint64_t size = RAM - unit * UNIT < UNIT ? RAM - unit * UNIT : UNIT;

		assert_int_equal(untouched_is(untouched, unit * UNIT, size), !touched[unit]);
		assert_int_equal(untouched_is(untouched, unit * UNIT, 1), !touched[unit]);
	}
	assert_true(untouched_is(untouched, UNIT, 3 * MIB - UNIT));
	assert_false(untouched_is(untouched, UNIT, 3 * MIB - UNIT + 1));
	assert_false(untouched_is(untouched, 2 * MIB, 10 * MIB));
	assert_false(untouched_is(untouched, UNIT - 1, 2));
	untouched_destroy(untouched);

	/* What is given back is as before. */
	assert_int_equal(guest_memory_discard(&memory, memory.ram, 16 * MIB), 0);
	untouched = scan(&memory);
	assert_true(untouched_is(untouched, 0, 16 * MIB));
	assert_false(untouched_is(untouched, 0, RAM));
	untouched_destroy(untouched);
	guest_memory_finish(&memory);
}

/* Nobody knows what a file has where it wasn't touched. */
static void test_of_a_file(void **state)
{
	static const uint8_t blocks[(RAM / (2 * MIB) + 8) / 8] = { 0x04, 0x80 };
	struct guest_memory memory = { 0 };
	struct error err = { 0 };
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, RAM), 0);
	make(&memory);
	assert_int_equal(guest_memory_map_file(&memory, fd, blocks, &err), 0);
	close(fd);
	struct untouched *untouched = scan(&memory);
	for (uint64_t unit = 0; unit < RAM / UNIT; unit++) {
		uint64_t block = unit * UNIT / (2 * MIB);

		assert_int_equal(untouched_is(untouched, unit * UNIT, UNIT),
		                 !guest_block_is_set(blocks, block));
	}
	untouched_destroy(untouched);
	/* Given back as a whole it is the file's no longer. */
	assert_int_equal(guest_memory_discard(&memory, memory.ram + 4 * MIB, 2 * MIB), 0);
	untouched = scan(&memory);
	assert_true(untouched_is(untouched, 0, 30 * MIB));
	assert_false(untouched_is(untouched, 30 * MIB, 2 * MIB));
	untouched_destroy(untouched);
	guest_memory_finish(&memory);
}

/* As the writer of a snapshot sees it: what the original does afterwards is nothing to its copy. */
static void test_in_a_forked_copy(void **state)
{
	struct guest_memory memory = { 0 };
	int go[2], status;
	char byte;

	(void)state;
	make(&memory);
	memory.ram[5 * MIB] = 1;
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct untouched *untouched;
		struct error err = { 0 };

		close(go[1]);
		if (read(go[0], &byte, 1) != 0 || untouched_scan(&memory, &untouched, &err))
			_exit(1);
		_exit(untouched_is(untouched, 0, 5 * MIB) &&
		                      !untouched_is(untouched, 5 * MIB, UNIT) &&
		                      untouched_is(untouched, 5 * MIB + UNIT, RAM - 5 * MIB - UNIT)
		              ? 0
		              : 2);
	}
	memset(memory.ram, 1, RAM);
	close(go[0]);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	guest_memory_finish(&memory);
}

static void test_not_while_loading(void **state)
{
	struct guest_memory memory = { 0 };
	struct untouched *untouched = NULL;
	struct error err = { 0 };

	(void)state;
	make(&memory);
	atomic_store(&memory.loading, true);
	assert_int_equal(untouched_scan(&memory, &untouched, &err), -EBUSY);
	assert_int_equal(err.code, -EBUSY);
	assert_null(untouched);
	guest_memory_finish(&memory);
	untouched_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touched_and_not),
		cmocka_unit_test(test_of_a_file),
		cmocka_unit_test(test_in_a_forked_copy),
		cmocka_unit_test(test_not_while_loading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
