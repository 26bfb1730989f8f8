/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_pager.c - RAM that comes when it is touched: all of it, right, in any order, or never.
 */
#include "tests/unit/vmm_pager_bed.h"

#include <sched.h>

#define LETTERS "szdzzdzs"
#define SIZE (8 * BLOCK + 2 * CHUNK + 2 * PAGE)

static uint8_t *ram(uint64_t offset)
{
	return paged.memory.ram + offset;
}

/* A place in block @block that isn't zero, in the file or by rights. */
static uint64_t data_in(unsigned block)
{
	return block * BLOCK + 5 * CHUNK;
}

/* --- all comes ------------------------------------------------------------------------------- */

/* Reads a byte of each page, in an order of its own, and says whether they were right. */
static void *read_all(void *arg)
{
	uint64_t pages = SIZE / PAGE, stride = *(const uint64_t *)arg, page = 0;

	for (uint64_t i = 0; i < pages; i++, page = (page + stride) % pages)
		if (*(volatile uint8_t *)ram(page * PAGE + 77) != bed.ram[page * PAGE + 77])
			return arg;
	return NULL;
}

static void test_all_comes(void **state)
{
	/* Each goes through all pages once: none is a divisor of their number. */
	static uint64_t strides[] = { 1, 1009, 4127 };
	pthread_t threads[ARRAY_SIZE(strides)];
	void *wrong;

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(bed.ram_size, SIZE);
	for (int round = 0; round < 5; round++) {
		atomic_store(&paged.finished, 0);
		paged_go(NULL, NULL);
		for (size_t i = 0; i < ARRAY_SIZE(strides); i++)
			pthread_create(&threads[i], NULL, read_all, &strides[i]);
		for (size_t i = 0; i < ARRAY_SIZE(strides); i++) {
			pthread_join(threads[i], &wrong);
			assert_null(wrong);
		}
		if (round % 2)
			pager_hurry(paged.pager);
		paged_end_whole();
		assert_same_ram(&paged.memory);
		guest_memory_finish(&paged.memory);
	}
}

static void test_untouched_it_comes_all_the_same(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, NULL);
	assert_true(atomic_load(&host.registered) == 4); /* runs of blocks that have anything */
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

/* Recording, so that nothing is loaded ahead: a fault each. */
static void test_faults_alone(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	pause_ms(20);
	/* From the end, two bytes of each chunk. */
	for (uint64_t at = SIZE - 1; at < SIZE; at -= CHUNK / 2)
		assert_int_equal(*ram(at), bed.ram[at]);
	/* All that isn't zero has come that way. */
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

static void test_faults_in_system_calls(void **state)
{
	uint8_t bytes[2 * PAGE];
	uint64_t at = data_in(2), into = data_in(5);
	int pipe_fds[2];

	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	assert_int_equal(pipe(pipe_fds), 0);
	/* Over the border of two chunks. */
	assert_int_equal(write(pipe_fds[1], ram(at + CHUNK - PAGE), sizeof(bytes)), sizeof(bytes));
	assert_int_equal(read(pipe_fds[0], bytes, sizeof(bytes)), sizeof(bytes));
	assert_memory_equal(bytes, bed.ram + at + CHUNK - PAGE, sizeof(bytes));
	/* The other way: what is around stays as it was saved. */
	assert_int_equal(write(pipe_fds[1], "new", 3), 3);
	assert_int_equal(read(pipe_fds[0], ram(into + 100), 3), 3);
	memcpy(bed.ram + into + 100, "new", 3);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_memory_equal(ram(into), bed.ram + into, CHUNK);
	pager_hurry(paged.pager);
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

static void *write_all(void *arg)
{
	(void)arg;
	for (uint64_t at = CHUNK - 1; at < SIZE; at += CHUNK)
		*ram(at) = 0xc5;
	return NULL;
}

static void test_what_is_written_stays(void **state)
{
	pthread_t thread;

	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, NULL);
	pthread_create(&thread, NULL, write_all, NULL);
	pthread_join(thread, NULL);
	paged_end_whole();
	for (uint64_t at = CHUNK - 1; at < SIZE; at += CHUNK)
		bed.ram[at] = 0xc5;
	assert_same_ram(&paged.memory);
}

static void test_a_difference(void **state)
{
	struct error err = { 0 };

	need_userfault(state);
	bed_fill_blocks(LETTERS);
	bed_write("parent", NULL);
	memset(bed.ram + data_in(5), 0x11, 3 * CHUNK); /* other */
	memset(bed.ram + data_in(0), 0, CHUNK);        /* now zero */
	memset(bed.ram + data_in(1), 0x22, CHUNK);     /* no longer */
	struct snapshot_stats stats = bed_write("snapshot", "parent");
	assert_true(stats.parent > 50);
	assert_int_equal(snapshot_file_open(bed_path("snapshot"), &paged.file, &err), 0);
	paged_go(NULL, NULL);
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

static void test_nothing_but_zeros(void **state)
{
	char pattern[65] = "";

	need_userfault(state);
	memset(pattern, 'z', 64);
	bed_fill(pattern, CHUNK);
	paged.file = bed_snapshot("snapshot");
	paged_go(NULL, NULL);
	assert_int_equal(atomic_load(&host.registered), 0);
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

/* --- how much is registered ------------------------------------------------------------------ */

#define MANY 512u /* blocks, every other has a chunk */

static bool is_sparse(void *arg, uint64_t offset, uint64_t size)
{
	(void)arg;
	(void)size;
	return offset % (2 * BLOCK) != 0;
}

static void test_runs_are_joined(void **state)
{
	struct error err = { 0 };

	need_userfault(state);
	bed.ram_size = MANY * BLOCK;
	bed.ram = calloc(1, bed.ram_size); /* of which little is touched */
	assert_non_null(bed.ram);
	for (uint64_t block = 0; block < MANY; block += 2)
		memset(bed.ram + block * BLOCK, (int)block % 200 + 1, CHUNK);
	struct snapshot_source source = bed_source("snapshot");
	source.is_untouched = is_sparse;
	if (snapshot_file_write(&source, NULL, &err) ||
	    snapshot_file_open(bed_path("snapshot"), &paged.file, &err))
		fail_msg("%s", err.msg);
	paged_go(NULL, bed_path("order"));
	assert_int_equal(atomic_load(&host.registered), 1);
	/* In the gaps and beside the chunks, where somebody waits, too. */
	for (uint64_t block = 0; block < MANY; block += 7) {
		assert_int_equal(*ram(block * BLOCK + CHUNK + 9), 0);
		assert_int_equal(*ram(block * BLOCK + 9), block % 2 ? 0 : block % 200 + 1);
	}
	pager_hurry(paged.pager);
	paged_end_whole();
	for (uint64_t block = 0; block < MANY; block++) {
		assert_int_equal(*ram(block * BLOCK + CHUNK - 1), block % 2 ? 0 : block % 200 + 1);
		assert_int_equal(*ram(block * BLOCK + CHUNK), 0);
	}
}

/* --- giving back ----------------------------------------------------------------------------- */

static void test_nothing_is_given_back_meanwhile(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	assert_int_equal(*ram(data_in(2)), bed.ram[data_in(2)]);
	assert_int_equal(guest_memory_discard(&paged.memory, ram(2 * BLOCK), BLOCK), -EAGAIN);
	assert_int_equal(guest_memory_discard(&paged.memory, ram(BLOCK), BLOCK), -EAGAIN);
	pager_hurry(paged.pager);
	paged_end_whole();
	assert_same_ram(&paged.memory);
	assert_int_equal(guest_memory_discard(&paged.memory, ram(2 * BLOCK), BLOCK), 0);
	assert_int_equal(*ram(data_in(2)), 0);
}

/* --- orders ---------------------------------------------------------------------------------- */

static const uint32_t touched[] = { 5 * 32 + 9, 2 * 32, 7 * 32 + 5, 2 * 32 + 1 };

static void touch_some(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(touched); i++) {
		assert_int_equal(*ram(touched[i] * CHUNK), bed.ram[touched[i] * CHUNK]);
		/* Neither zeros nor what has come already counts. */
		assert_int_equal(*ram(3 * CHUNK), 0);
		assert_int_equal(*ram(touched[0] * CHUNK + PAGE),
		                 bed.ram[touched[0] * CHUNK + PAGE]);
	}
}

static void assert_recorded(const uint32_t *chunks, size_t count)
{
	struct touch_order order;

	if (touch_read(bed_path("order"), snapshot_file_id(paged.file),
	               snapshot_file_chunk_count(paged.file), &order, &paged.err))
		fail_msg("%s", paged.err.msg);
	assert_int_equal(order.count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(order.chunks[i], chunks[i]);
	touch_order_finish(&order);
}

static void test_recorded_until_the_end(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	touch_some();
	assert_int_equal(atomic_load(&paged.finished), 0);
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_int_equal(count_fds(), paged.fds);
	assert_int_equal(atomic_load(&paged.finished), 0);
	assert_recorded(touched, ARRAY_SIZE(touched));
}

static void test_recorded_until_somebody_waits(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	touch_some();
	pager_hurry(paged.pager);
	pager_hurry(paged.pager);
	paged_end_whole();
	assert_recorded(touched, ARRAY_SIZE(touched));
	assert_same_ram(&paged.memory);
}

static void test_recorded_until_it_is_quiet(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	touch_some();
	atomic_store(&host.clock_ahead_s, PAGER_RECORD_QUIET_S + 1);
	paged_end_whole();
	assert_recorded(touched, ARRAY_SIZE(touched));
}

/* What an earlier run has touched is kept, behind. */
static void test_recorded_again(void **state)
{
	uint32_t before[] = { 2 * 32 + 1, 5 * 32 + 30, 5 * 32 + 9, 5 * 32 };
	const struct touch_order order = { before, ARRAY_SIZE(before) };
	uint32_t all[] = { touched[0], touched[1], touched[2], touched[3], 5 * 32 + 30, 5 * 32 };

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(touch_write(bed_path("order"), snapshot_file_id(paged.file),
	                             snapshot_file_chunk_count(paged.file), &order, &paged.err),
	                 0);
	paged_go(bed_path("order"), bed_path("order"));
	touch_some();
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_recorded(all, ARRAY_SIZE(all));
}

static void test_a_record_that_cant_be_written(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("no/folder"));
	touch_some();
	pager_hurry(paged.pager);
	paged_end_whole();
}

/* The chunk that is read at @offset of the file. */
static uint64_t chunk_at(const off_t *offsets, off_t offset)
{
	for (uint64_t chunk = 0; chunk < snapshot_file_chunk_count(paged.file); chunk++)
		if (offsets[chunk] == offset)
			return chunk;
	fail_msg("no chunk is at %lld", (long long)offset);
	return 0;
}

static void test_an_order_is_followed(void **state)
{
	static uint8_t chunk[CHUNK];
	off_t offsets[SIZE / CHUNK + 1];
	uint32_t first[] = { 7 * 32 + 5, 5 * 32 + 31, 3, 2 * 32 + 7, 2 * 32 + 6 };
	const struct touch_order order = { first, ARRAY_SIZE(first) };
	cpu_set_t before, one;

	need_userfault(state);
	paged_open(LETTERS);
	for (uint64_t i = 0; i < snapshot_file_chunk_count(paged.file); i++) {
		offsets[i] = -1;
		if (snapshot_file_chunk(paged.file, i) == SNAPSHOT_CHUNK_ZERO)
			continue;
		assert_int_equal(snapshot_file_read_chunk(paged.file, i, chunk, &paged.err), 0);
		offsets[i] = atomic_load(&host.read_at[atomic_load(&host.reads) - 1]);
	}
	assert_int_equal(touch_write(bed_path("order"), snapshot_file_id(paged.file),
	                             snapshot_file_chunk_count(paged.file), &order, &paged.err),
	                 0);
	/* One CPU: one loader. */
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (unsigned cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	atomic_store(&host.reads, 0);
	paged_go(bed_path("order"), NULL);
	paged_end_whole();
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);

	unsigned reads = atomic_load(&host.reads), seen = 0;
	assert_int_equal(reads, 2 + 2 * 32 + 2);
	/* The 3rd of the order is zero; then the rest, upwards. */
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		if (first[i] != 3)
			assert_int_equal(chunk_at(offsets, atomic_load(&host.read_at[seen++])),
			                 first[i]);
	for (; seen + 1 < reads; seen++)
		assert_true(chunk_at(offsets, atomic_load(&host.read_at[seen])) <
		            chunk_at(offsets, atomic_load(&host.read_at[seen + 1])));
	assert_same_ram(&paged.memory);
}

static void test_orders_that_dont_fit(void **state)
{
	const struct snapshot_id other = { { 1 } };
	const struct touch_order order = { NULL, 0 };

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(touch_write(bed_path("other"), &other,
	                             snapshot_file_chunk_count(paged.file), &order, &paged.err),
	                 0);
	write_whole(bed_path("garbage"), (const uint8_t *)"garbage", 7);
	static const char *const names[] = { "other", "garbage", "none" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		atomic_store(&paged.finished, 0);
		paged_go(bed_path(names[i]), NULL);
		paged_end_whole();
		assert_same_ram(&paged.memory);
		guest_memory_finish(&paged.memory);
	}
}

/* --- what can't be read ---------------------------------------------------------------------- */

static void test_spoilt_chunk_is_touched(void **state)
{
	struct toucher toucher;

	need_userfault(state);
	paged_open(LETTERS);
	bed_spoil_first_chunk("snapshot");
	paged_go(NULL, bed_path("order"));
	toucher_start(&toucher, ram(data_in(0)));
	wait_until(atomic_load(&paged.failed));
	assert_non_null(strstr(paged.message, bed_path("snapshot")));
	/* Others are served, that one isn't. */
	assert_int_equal(*ram(data_in(2)), bed.ram[data_in(2)]);
	pause_ms(20);
	assert_false(atomic_load(&toucher.done));
	assert_int_equal(atomic_load(&paged.failed), 1);
	assert_false(pager_is_complete(paged.pager));
	pager_hurry(paged.pager);
	pause_ms(20);
	assert_false(atomic_load(&toucher.done));
	pager_finish(paged.pager);
	paged.pager = NULL;
	toucher_join(&toucher);
	assert_int_equal(atomic_load(&paged.failed), 1);
	assert_int_equal(atomic_load(&paged.finished), 0);
}

static void test_spoilt_chunk_is_loaded(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	bed_spoil_first_chunk("snapshot");
	paged_go(NULL, NULL);
	wait_until(atomic_load(&paged.failed));
	assert_non_null(strstr(paged.message, bed_path("snapshot")));
	pause_ms(20);
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_int_equal(count_fds(), paged.fds);
	assert_int_equal(atomic_load(&paged.failed), 1);
	assert_int_equal(atomic_load(&paged.finished), 0);
}

static void test_file_that_becomes_shorter(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	paged_go(NULL, bed_path("order"));
	assert_int_equal(truncate(bed_path("snapshot"), 1000), 0);
	struct toucher toucher;
	toucher_start(&toucher, ram(data_in(5)));
	wait_until(atomic_load(&paged.failed));
	assert_false(atomic_load(&toucher.done));
	pager_finish(paged.pager);
	paged.pager = NULL;
	toucher_join(&toucher);
}

/* A read that hangs: the one who waits is given up after a while, and served if it comes after all. */
static void test_patience(void **state)
{
	static uint8_t chunk[CHUNK];
	struct toucher toucher;

	need_userfault(state);
	paged_open(LETTERS);
	assert_int_equal(
		snapshot_file_read_chunk(paged.file, data_in(2) / CHUNK, chunk, &paged.err), 0);
	paged_go(NULL, bed_path("order"));
	atomic_store(&host.held, atomic_load(&host.read_at[atomic_load(&host.reads) - 1]));
	toucher_start(&toucher, ram(data_in(2)));
	sem_wait(&host.arrived);
	pause_ms(10);
	assert_int_equal(atomic_load(&paged.failed), 0);
	/* Recording ends as well, and its loaders must not be held. */
	off_t held = atomic_exchange(&host.held, -1);
	assert_true(held > 0);
	atomic_store(&host.clock_ahead_s, PAGER_PATIENCE_S + 1);
	wait_until(atomic_load(&paged.failed));
	assert_non_null(strstr(paged.message, "30 seconds"));
	assert_false(atomic_load(&paged.finished));
	sem_post(&host.go);
	toucher_join(&toucher);
	assert_int_equal(toucher.value, bed.ram[data_in(2)]);
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_int_equal(atomic_load(&paged.failed), 1);
	assert_int_equal(atomic_load(&paged.finished), 0);
}

/* --- ends and beginnings --------------------------------------------------------------------- */

static void test_ended_before_it_began(void **state)
{
	need_userfault(state);
	pager_finish(NULL);
	paged_open(LETTERS);
	assert_int_equal(paged_create(NULL, bed_path("order")), 0);
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_int_equal(count_fds(), paged.fds);
	assert_int_equal(access(bed_path("order"), F_OK), -1);
}

static void test_ended_at_once(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	for (int round = 0; round < 20; round++) {
		paged_go(NULL, NULL);
		if (round % 2)
			pause_ms(round / 4);
		pager_finish(paged.pager);
		paged.pager = NULL;
		assert_int_equal(count_fds(), paged.fds);
		guest_memory_finish(&paged.memory);
	}
}

static void test_no_threads(void **state)
{
	need_userfault(state);
	paged_open(LETTERS);
	for (unsigned threads = 0; threads < 2; threads++) {
		assert_int_equal(paged_create(NULL, NULL), 0);
		atomic_store(&host.threads_left, threads);
		assert_int_equal(paged_start(), -EAGAIN);
		assert_int_equal(paged.err.code, -EAGAIN);
		atomic_store(&host.threads_left, UINT32_MAX);
		pager_finish(paged.pager);
		paged.pager = NULL;
		assert_int_equal(count_fds(), paged.fds);
		guest_memory_finish(&paged.memory);
	}
}

static void test_no_userfault(void **state)
{
	static const struct {
		int call;
		int answer;
	} rows[] = {
		{ EPERM, -ENOTSUP }, { ENOSYS, -ENOTSUP }, { EINVAL, -ENOTSUP },
		{ EMFILE, -EMFILE }, { ENOMEM, -ENOMEM },
	};

	(void)state;
	paged_open(LETTERS);
	host.no_device = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		host.no_userfault = rows[i].call;
		assert_int_equal(paged_create(NULL, bed_path("order")), rows[i].answer);
		assert_int_equal(paged.err.code, rows[i].answer);
		assert_non_null(strstr(paged.err.msg, "userfaultfd"));
		assert_null(paged.pager);
		assert_int_equal(count_fds(), paged.fds);
		/* RAM is as it was. */
		assert_false(atomic_load(&paged.memory.loading));
		assert_int_equal(*ram(data_in(2)), 0);
		guest_memory_finish(&paged.memory);
	}
}

static void test_by_the_device(void **state)
{
	int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);

	need_userfault(state);
	if (fd < 0) {
		print_message("skip by the device: no access to /dev/userfaultfd\n");
		skip();
	}
	close(fd);
	paged_open(LETTERS);
	host.no_userfault = EPERM;
	paged_go(NULL, NULL);
	paged_end_whole();
	assert_same_ram(&paged.memory);
}

#define paged_test(f) cmocka_unit_test_setup_teardown(f, paged_setup, paged_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		paged_test(test_all_comes),
		paged_test(test_untouched_it_comes_all_the_same),
		paged_test(test_faults_alone),
		paged_test(test_faults_in_system_calls),
		paged_test(test_what_is_written_stays),
		paged_test(test_a_difference),
		paged_test(test_nothing_but_zeros),
		paged_test(test_runs_are_joined),
		paged_test(test_nothing_is_given_back_meanwhile),
		paged_test(test_recorded_until_the_end),
		paged_test(test_recorded_until_somebody_waits),
		paged_test(test_recorded_until_it_is_quiet),
		paged_test(test_recorded_again),
		paged_test(test_a_record_that_cant_be_written),
		paged_test(test_an_order_is_followed),
		paged_test(test_orders_that_dont_fit),
		paged_test(test_spoilt_chunk_is_touched),
		paged_test(test_spoilt_chunk_is_loaded),
		paged_test(test_file_that_becomes_shorter),
		paged_test(test_patience),
		paged_test(test_ended_before_it_began),
		paged_test(test_ended_at_once),
		paged_test(test_no_threads),
		paged_test(test_no_userfault),
		paged_test(test_by_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
