/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_snapshot_file.c - what is written is what is read: whole snapshots and differences.
 */
#include "tests/unit/vmm_snapshot_bed.h"

#include <pthread.h>
#include <sys/mman.h>

/* Opens @name and compares all of it with RAM, which the bed has. */
static void compare(const char *name)
{
	static uint8_t chunk[CHUNK];
	struct snapshot_file *file;
	struct error err = { 0 };
	size_t state_size;

	if (snapshot_file_open(bed_path(name), &file, &err))
		fail_msg("%s", err.msg);
	assert_string_equal(snapshot_file_path(file), bed_path(name));
	assert_int_equal(snapshot_file_ram_size(file), bed.ram_size);
	assert_int_equal(snapshot_file_chunk_count(file), (bed.ram_size + CHUNK - 1) / CHUNK);
	const uint8_t *data = snapshot_file_state(file, &state_size);
	assert_true(state_size >= bed.state.out.size);
	assert_memory_equal(data, bed.state.out.data, bed.state.out.size);
	struct snapshot_source source = bed_source(name);
	assert_true(snapshot_id_equal(snapshot_file_id(file), &source.id));

	for (uint64_t i = 0; i < snapshot_file_chunk_count(file); i++) {
		const uint8_t *ram = bed.ram + i * CHUNK;
		size_t left = bed.ram_size - i * CHUNK, size = left < CHUNK ? left : CHUNK;
		bool zero = ram[0] == 0 && memcmp(ram, ram + 1, size - 1) == 0;

		assert_int_equal(snapshot_file_chunk_size(file, i), size);
		assert_int_equal(snapshot_file_chunk(file, i),
		                 zero ? SNAPSHOT_CHUNK_ZERO : SNAPSHOT_CHUNK_DATA);
		assert_int_equal(snapshot_file_chunk_hash(file, i),
		                 zero ? 0 : XXH3_64bits(ram, size));
		memset(chunk, 0xee, sizeof(chunk));
		if (snapshot_file_read_chunk(file, i, chunk, &err))
			fail_msg("%s", err.msg);
		assert_memory_equal(chunk, ram, size);
		/* Not a byte more than the chunk has. */
		for (size_t k = size; k < CHUNK; k++)
			assert_int_equal(chunk[k], 0xee);
	}
	assert_int_equal(snapshot_file_verify(file, 3, NULL, NULL, &err), 0);
	snapshot_file_close(file);
}

static void test_round_trip(void **state)
{
	static const struct {
		const char *pattern;
		size_t last;
		uint64_t zero, raw, lz4;
	} rows[] = {
		{ "z", 4096, 1, 0, 0 },
		{ "t", 4096, 0, 0, 1 },
		{ "r", 4096, 0, 1, 0 },
		{ "z", CHUNK, 1, 0, 0 },
		{ "t", CHUNK, 0, 0, 1 },
		{ "r", CHUNK, 0, 1, 0 },
		{ "zrt", CHUNK - 4096, 1, 1, 1 },
		{ "trz", 8192, 1, 1, 1 },
		/* A whole stripe, and one with a page more. */
		{ "zzttrrzzttrrzztt", CHUNK, 6, 4, 6 },
		{ "zzttrrzzttrrzzttr", 4096, 6, 5, 6 },
		{ "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzt", CHUNK, 32, 0, 1 },
		{ "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr", CHUNK, 0,
		  69, 0 },
		{ "ttrrzzabcdefghijklmnoprrrttttzzzttttttttttttttttttzzzzzzzzzzzzzzzzzzzzzzzzt",
		  4096, 29, 5, 41 },
	};
	static const unsigned threads[] = { 1, 2, 7, 0, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *first = NULL;
		size_t first_size = 0;

		bed_fill(rows[i].pattern, rows[i].last);
		for (size_t t = 0; t < ARRAY_SIZE(threads); t++) {
			struct snapshot_source source = bed_source("a");
			struct snapshot_stats s;
			struct error err = { 0 };
			size_t size;

			source.threads = threads[t];
			assert_row(rows[i].pattern, snapshot_file_write(&source, &s, &err) == 0);
			assert_row(rows[i].pattern, s.zero == rows[i].zero);
			assert_row(rows[i].pattern, s.raw == rows[i].raw);
			assert_row(rows[i].pattern, s.lz4 == rows[i].lz4 && s.parent == 0);
			compare("a");

			/* The same bytes, however many write them. */
			uint8_t *bytes = read_whole(bed_path("a"), &size);
			assert_row(rows[i].pattern, size == s.file_bytes);
			if (first) {
				assert_row(rows[i].pattern, size == first_size);
				assert_row(rows[i].pattern, memcmp(bytes, first, size) == 0);
				free(bytes);
			} else {
				first = bytes;
				first_size = size;
			}
		}
		free(first);
	}
	/* It replaced itself each time, and nothing else came. */
	struct stat st;
	assert_int_equal(bed_count_files(), 1);
	assert_int_equal(stat(bed_path("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_no_state(void **state)
{
	(void)state;
	sections_writer_finish(&bed.state);
	bed_fill("t", CHUNK);
	bed_write("a", NULL);
	struct snapshot_file *file;
	struct error err = { 0 };
	size_t size = 99;
	assert_int_equal(snapshot_file_open(bed_path("a"), &file, &err), 0);
	snapshot_file_state(file, &size);
	assert_int_equal(size, 0);
	assert_null(snapshot_file_parent(file));
	snapshot_file_close(file);
	snapshot_file_close(NULL);
}

/* A name without a folder is one in the current folder. */
static void test_relative_path(void **state)
{
	char before[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(bed.folder), 0);
	bed_fill("tz", CHUNK);
	struct snapshot_source source = bed_source("a");
	struct snapshot_file *file;
	struct error err = { 0 };
	source.path = "a";
	int ret_write = snapshot_file_write(&source, NULL, &err);
	source.path = "b";
	source.id.bytes[0] = 'b';
	source.parent = "a";
	int ret_child = snapshot_file_write(&source, NULL, &err);
	int ret_open = snapshot_file_open("b", &file, &err);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(ret_write, 0);
	assert_int_equal(ret_child, 0);
	assert_int_equal(ret_open, 0);
	/* From anywhere: the parent's place is absolute. */
	assert_string_equal(snapshot_file_path(snapshot_file_parent(file)), bed_path("a"));
	snapshot_file_close(file);
	compare("a");
}

/* --- RAM that needn't be read --- */

static bool is_inaccessible(void *arg, uint64_t offset, uint64_t size)
{
	const char *pattern = arg;

	assert_true(size > 0 && size <= 1u << 20 && offset % CHUNK == 0);
	for (uint64_t i = offset / CHUNK; i * CHUNK < offset + size; i++)
		if (pattern[i] != 'u')
			return false;
	return true;
}

/* What is told to be untouched isn't even looked at. */
static void test_untouched(void **state)
{
	char pattern[] = "tuuzuuuuuuuuuuuuuuuuuuuuuuuuuuuurtuuuuuuuuuuuuuuuuuuuuuuuuuuu";
	size_t chunks = strlen(pattern), size = (chunks - 1) * CHUNK + 4096;

	(void)state;
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(ram != MAP_FAILED);
	for (size_t i = 0; i < chunks; i++) {
		size_t bytes = i + 1 == chunks ? 4096 : CHUNK;

		if (pattern[i] == 'u')
			assert_int_equal(mprotect(ram + i * CHUNK, bytes, PROT_NONE), 0);
		else
			fill_chunk(ram + i * CHUNK, bytes, pattern[i]);
	}
	struct snapshot_source source = bed_source("a");
	struct snapshot_stats stats;
	struct error err = { 0 };
	source.ram = ram;
	source.ram_size = size;
	source.is_untouched = is_inaccessible;
	source.arg = pattern;
	source.threads = 2;
	assert_int_equal(snapshot_file_write(&source, &stats, &err), 0);
	assert_int_equal(stats.lz4, 2);
	assert_int_equal(stats.raw, 1);
	assert_int_equal(stats.zero, chunks - 3);

	assert_int_equal(mprotect(ram, size, PROT_READ), 0);
	bed.ram = malloc(size);
	assert_non_null(bed.ram);
	bed.ram_size = size;
	memcpy(bed.ram, ram, size);
	munmap(ram, size);
	compare("a");
}

/* --- progress --- */

/* Lets some time pass. */
static bool take_time(void *arg, uint64_t offset, uint64_t size)
{
	(void)arg;
	(void)size;
	if (offset == 0)
		usleep(300000);
	return false;
}

struct seen {
	struct snapshot_progress last;
	unsigned calls;
	pthread_t thread;
};

static void note(void *arg, const struct snapshot_progress *p)
{
	struct seen *seen = arg;

	assert_true(pthread_equal(pthread_self(), seen->thread));
	assert_int_equal(p->total, bed.ram_size);
	assert_true(p->done <= p->total && p->done >= seen->last.done);
	assert_true(p->written >= seen->last.written);
	seen->last = *p;
	seen->calls++;
}

static void test_progress(void **state)
{
	struct seen seen = { .thread = pthread_self() };
	struct snapshot_stats stats;
	struct snapshot_file *file;
	struct error err = { 0 };

	(void)state;
	bed_fill("rtzrtzrtzrtzrtzrtzrtz", 4096);
	struct snapshot_source source = bed_source("a");
	source.progress = note;
	source.progress_arg = &seen;
	source.is_untouched = take_time;
	assert_int_equal(snapshot_file_write(&source, &stats, &err), 0);
	assert_true(seen.calls >= 2);
	assert_int_equal(seen.last.done, bed.ram_size);
	assert_int_equal(seen.last.written, stats.data_bytes);

	seen = (struct seen){ .thread = pthread_self() };
	assert_int_equal(snapshot_file_open(bed_path("a"), &file, &err), 0);
	assert_int_equal(snapshot_file_verify(file, 2, note, &seen, &err), 0);
	assert_true(seen.calls >= 1);
	assert_int_equal(seen.last.done, bed.ram_size);
	snapshot_file_close(file);
}

/* --- differences --- */

static void set_chunk(size_t index, char letter)
{
	size_t left = bed.ram_size - index * CHUNK;

	fill_chunk(bed.ram + index * CHUNK, left < CHUNK ? left : CHUNK, letter);
}

static void test_chain(void **state)
{
	struct snapshot_file *file;
	struct error err = { 0 };

	(void)state;
	bed_fill("ztrztrztrztrztrztrztt", 4096);
	uint8_t *original = malloc(bed.ram_size);
	assert_non_null(original);
	memcpy(original, bed.ram, bed.ram_size);
	bed_write("a", NULL);

	/* Of each kind to each other. */
	set_chunk(0, 'n');
	set_chunk(1, 'z');
	set_chunk(2, 't');
	set_chunk(4, 'r');
	set_chunk(5, 'z');
	set_chunk(20, 'r');
	struct snapshot_stats stats = bed_write("b", "a");
	assert_int_equal(stats.zero, 8);
	assert_int_equal(stats.lz4, 2);
	assert_int_equal(stats.raw, 2);
	assert_int_equal(stats.parent, 9);
	compare("b");

	/* Back to what a had, which b has not; and what is b's, c leaves to b. */
	memcpy(bed.ram + CHUNK, original + CHUNK, CHUNK);
	free(original);
	set_chunk(7, 'n');
	stats = bed_write("c", "b");
	assert_int_equal(stats.lz4, 2);
	assert_int_equal(stats.raw, 0);
	assert_int_equal(stats.zero, 7);
	assert_int_equal(stats.parent, 12);
	compare("c");
	assert_int_equal(snapshot_file_open(bed_path("c"), &file, &err), 0);
	assert_int_equal(snapshot_file_chain_length(file), 3);
	assert_string_equal(snapshot_file_path(snapshot_file_parent(file)), bed_path("b"));
	snapshot_file_close(file);

	/* Nothing has changed: nothing is stored. */
	stats = bed_write("d", "c");
	assert_int_equal(stats.data_bytes, 0);
	assert_int_equal(stats.parent, 14);
	compare("d");
}

/* Where the hint points there is nothing any more, but the parent came along. */
static void test_moved_chain(void **state)
{
	char before[PATH_MAX];

	(void)state;
	bed_fill("trz", CHUNK);
	bed_write("a", NULL);
	set_chunk(2, 't');
	bed_write("b", "a");
	set_chunk(1, 't');
	bed_write("c", "b");
	snprintf(before, sizeof(before), "%s", bed.folder);
	strcat(bed.folder, "-moved");
	assert_int_equal(rename(before, bed.folder), 0);
	compare("c");

	/* Another snapshot where the hint points: the one beside counts. */
	assert_int_equal(mkdir(before, 0700), 0);
	char decoy[PATH_MAX + 8];
	snprintf(decoy, sizeof(decoy), "%s/b", before);
	assert_int_equal(link(bed_path("a"), decoy), 0);
	compare("c");
	assert_int_equal(unlink(decoy), 0);
	assert_int_equal(rmdir(before), 0);
}

/* What may be in the place of b's parent, "a". */
static void put_nothing(void)
{
}

static void put_other(void)
{
	bed_write("other", NULL);
	assert_int_equal(rename(bed_path("other"), bed_path("a")), 0);
}

static void put_fifo(void)
{
	assert_int_equal(mkfifo(bed_path("a"), 0600), 0);
}

static void put_text(void)
{
	write_whole(bed_path("a"), (const uint8_t *)"root:x:0:0\n", 11);
}

static void put_damaged(void)
{
	uint8_t *bytes;
	size_t size;

	bed_write("a", NULL);
	bytes = read_whole(bed_path("a"), &size);
	bytes[size - 1] ^= 1;
	write_whole(bed_path("a"), bytes, size);
	free(bytes);
}

/* The id fits, what is in it doesn't. */
static void put_changed(void)
{
	set_chunk(0, 'q');
	bed_write("a", NULL);
}

static void put_zeroed(void)
{
	set_chunk(0, 'z');
	bed_write("a", NULL);
}

static void put_smaller(void)
{
	bed.ram_size -= CHUNK;
	bed_write("a", NULL);
	bed.ram_size += CHUNK;
}

/* It has its child for a parent. */
static void put_loop(void)
{
	struct snapshot_source source = bed_source("a");
	struct error err = { 0 };

	assert_int_equal(rename(bed_path("kept"), bed_path("a")), 0);
	source.path = bed_path("a2");
	source.parent = bed_path("b");
	assert_int_equal(snapshot_file_write(&source, NULL, &err), 0);
	assert_int_equal(rename(bed_path("a2"), bed_path("a")), 0);
}

static void test_wrong_parents(void **state)
{
	static const struct {
		void (*put)(void);
		int ret;
		const char *message;
	} rows[] = {
		{ put_nothing, -ENOENT, "is neither at" },
		{ put_other, -ENOENT, "is neither at" },
		{ put_fifo, -EINVAL, "its parent: " },
		{ put_text, -EINVAL, "its parent: " },
		{ put_damaged, -EBADMSG, "damaged index" },
		{ put_changed, -EPROTO, "another chunk 0" },
		{ put_zeroed, -EPROTO, "another chunk 0" },
		{ put_smaller, -EPROTO, "RAM of another size" },
		{ put_loop, -ELOOP, "its own ancestor" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct snapshot_file *file = (void *)1;
		struct error err = { 0 };

		bed_fill("tttz", CHUNK);
		bed_write("a", NULL);
		set_chunk(1, 'n');
		bed_write("b", "a");
		compare("b");
		assert_int_equal(rename(bed_path("a"), bed_path("kept")), 0);
		rows[i].put();
		unsigned fds = count_fds();

		int ret = snapshot_file_open(bed_path("b"), &file, &err);
		assert_row(rows[i].message, ret == rows[i].ret);
		assert_clear(&err, ret, bed_path("b"));
		assert_row(rows[i].message, strstr(err.msg, rows[i].message));
		assert_ptr_equal(file, (void *)1);
		assert_int_equal(count_fds(), fds);
		unlink(bed_path("a"));
		unlink(bed_path("b"));
	}
}

static void test_long_chain(void **state)
{
	struct snapshot_file *file;
	struct error err = { 0 };
	char name[8], parent[8];

	(void)state;
	bed_fill("tz", CHUNK);
	bed_write("0", NULL);
	for (unsigned i = 1; i < SNAPSHOT_CHAIN_MAX; i++) {
		snprintf(name, sizeof(name), "%u", i);
		snprintf(parent, sizeof(parent), "%u", i - 1);
		bed_write(name, parent);
	}
	compare(name);
	struct snapshot_source source = bed_source("more");
	source.parent = bed_path(name);
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EINVAL);
	assert_clear(&err, -EINVAL, source.parent);
	assert_non_null(strstr(err.msg, "15 ancestors already"));

	/* The first one gets an ancestor. */
	bed_write("root", NULL);
	bed_write("0", "root");
	err = (struct error){ 0 };
	assert_int_equal(snapshot_file_open(bed_path(name), &file, &err), -ELOOP);
	assert_clear(&err, -ELOOP, bed_path(name));
	assert_non_null(strstr(err.msg, "more than 15 ancestors"));
}

/* A snapshot must not take the place of what it needs. */
static void test_onto_ancestors(void **state)
{
	static const char *const onto[] = { "a", "b" };

	(void)state;
	bed_fill("tz", CHUNK);
	bed_write("a", NULL);
	bed_write("b", "a");
	for (size_t i = 0; i < ARRAY_SIZE(onto); i++) {
		struct snapshot_source source = bed_source("c");
		struct error err = { 0 };

		source.path = bed_path(onto[i]);
		source.parent = bed_path("b");
		assert_int_equal(snapshot_file_write(&source, NULL, &err), -EINVAL);
		assert_clear(&err, -EINVAL, source.path);
	}
	assert_int_equal(bed_count_files(), 2);
	compare("b");
	/* By another name of its, too. */
	assert_int_equal(link(bed_path("a"), bed_path("alias")), 0);
	struct snapshot_source source = bed_source("c");
	struct error err = { 0 };
	source.path = bed_path("alias");
	source.parent = bed_path("b");
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EINVAL);
	/* What isn't an ancestor may be replaced, its child's name told by the id. */
	bed_write("c", "b");
	bed_write("c", "b");
	compare("c");
}

static void test_unfit_parents(void **state)
{
	struct error err = { 0 };

	(void)state;
	bed_fill("tz", 4096);
	bed_write("small", NULL);
	bed_fill("tz", CHUNK);
	struct snapshot_source source = bed_source("a");
	source.parent = bed_path("small");
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EINVAL);
	assert_clear(&err, -EINVAL, source.parent);
	source.parent = bed_path("missing");
	err = (struct error){ 0 };
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -ENOENT);
	assert_clear(&err, -ENOENT, source.parent);
	assert_int_equal(bed_count_files(), 1);
}

static void test_ids(void **state)
{
	struct snapshot_id id = { { 0 } }, other = { { 0 } };
	char hex[SNAPSHOT_ID_HEX_SIZE];

	(void)state;
	assert_true(snapshot_id_is_zero(&id));
	assert_true(snapshot_id_equal(&id, &other));
	id.bytes[0] = 0x0f;
	id.bytes[15] = 0xa1;
	assert_false(snapshot_id_is_zero(&id));
	assert_false(snapshot_id_equal(&id, &other));
	snapshot_id_to_hex(&id, hex);
	assert_string_equal(hex, "0f0000000000000000000000000000a1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_no_state, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_relative_path, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_untouched, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_progress, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_chain, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_moved_chain, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_wrong_parents, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_long_chain, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_onto_ancestors, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_unfit_parents, bed_open, bed_close),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests_name("vmm_snapshot_file", tests, NULL, NULL);
}
