/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_snapshot_golden.c - files of format version 1 as they are for all time: read, and written.
 *
 * golden/snapshot-v1.snap has a chunk of each kind, golden/snapshot-v1-child.snap is the difference of a
 * changed guest to it. With CLOCHE_WRITE_GOLDEN in the environment the files are written anew, which
 * only a new version of the format gives a reason for. Run from the top of the tree.
 */
#include "tests/unit/vmm_snapshot_bed.h"

#include <lz4.h>

#define FOLDER "tests/unit/golden/"
#define PARENT "snapshot-v1.snap"
#define CHILD "snapshot-v1-child.snap"
#define CHUNKS 4

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);

/* The parent's place is in the child: one that is the same everywhere. */
char *__wrap_realpath(const char *path, char *resolved)
{
	assert_null(resolved);
	return strstr(path, PARENT) ? strdup("/nowhere/" PARENT) : NULL;
}

/* Written out, so that no helper's change can change it: zeros, text, more text, a page of noise. */
static void fill_ram(void)
{
	uint32_t noise = 1;

	bed.ram_size = 3 * CHUNK + 4096;
	bed.ram = calloc(1, bed.ram_size);
	assert_non_null(bed.ram);
	memset(bed.ram + CHUNK, 'a', CHUNK);
	for (size_t i = 0; i < CHUNK; i++)
		bed.ram[2 * CHUNK + i] = (uint8_t) "cloche\n"[i % 7];
	for (size_t i = 0; i < 4096; i++) {
		noise = noise * 1664525u + 1013904223u;
		bed.ram[3 * CHUNK + i] = (uint8_t)(noise >> 24);
	}
}

/* Each chunk changes its kind, or is left to the parent. */
static void change_ram(void)
{
	bed.ram[17] = 1;
	memset(bed.ram + CHUNK, 0, CHUNK);
	bed.ram[3 * CHUNK] ^= 1;
}

static void make_state(void)
{
	struct wire_writer *out = sections_begin(&bed.state, SECTION_VCPU, 1, 2, true);

	wire_put_u64(out, 0x1122334455667788ull);
	sections_end(&bed.state);
	sections_begin(&bed.state, (enum snapshot_section)4096, 0, 1, false);
	sections_end(&bed.state);
}

static const struct snapshot_id parent_id = { "golden parent 1" };
static const struct snapshot_id child_id = { "golden child  1" };

static int setup(void **state)
{
	bed_open(state);
	make_state();
	fill_ram();
	return 0;
}

/* Other versions of LZ4 may find shorter blocks for the same bytes; what they say stays right. */
static void skip_with_another_lz4(const uint8_t *golden)
{
	char block[CHUNK];
	const uint8_t *stored = golden + SNAPSHOT_HEADER_SIZE + bed.state.out.size;
	int size = LZ4_compress_default((const char *)bed.ram + CHUNK, block, (int)CHUNK,
	                                (int)CHUNK - 1);

	assert_true(size > 0);
	if (memcmp(stored, block, (size_t)size) != 0) {
		print_message("this LZ4 (%s) encodes otherwise than 1.9.4\n", LZ4_versionString());
		skip();
	}
}

static void write_one(const char *name, const struct snapshot_id *id, const char *parent)
{
	struct snapshot_source source = bed_source(name);
	struct error err = { 0 };

	source.id = *id;
	source.parent = parent;
	if (snapshot_file_write(&source, NULL, &err))
		fail_msg("%s", err.msg);
}

static void compare(const char *name)
{
	char path[64];
	size_t golden_size, size;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	uint8_t *written = read_whole(bed_path(name), &size);
	if (getenv("CLOCHE_WRITE_GOLDEN"))
		write_whole(path, written, size);
	uint8_t *golden = read_whole(path, &golden_size);
	if (strcmp(name, PARENT) == 0)
		skip_with_another_lz4(golden);
	assert_int_equal(size, golden_size);
	assert_memory_equal(written, golden, size);
	free(written);
	free(golden);
}

static void test_writer(void **state)
{
	(void)state;
	write_one(PARENT, &parent_id, NULL);
	compare(PARENT);
	change_ram();
	write_one(CHILD, &child_id, bed_path(PARENT));
	compare(CHILD);
}

/* The bytes that the manual page numbers, by hand. */
static void test_bytes(void **state)
{
	static const uint8_t start[] = { 'C', 'L', 'O', 'C', 'H',  'E', 0x1a, '\n',
		                         1,   0,   0,   0,   0x80, 0,   0,    0 };
	static const uint8_t sizes[] = { 0, 0x10, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0 };
	size_t size;
	uint8_t *golden = read_whole(FOLDER PARENT, &size);

	(void)state;
	assert_memory_equal(golden, start, sizeof(start));
	assert_memory_equal(golden + 16, parent_id.bytes, 16);
	assert_memory_equal(golden + 48, sizes, sizeof(sizes));
	/* Zero, LZ4, LZ4, raw, and their hash. */
	const uint8_t *index = golden + size - (4 * 17 + 8);
	static const uint8_t nothing[17];
	assert_memory_equal(index, nothing, sizeof(nothing));
	assert_int_equal(index[17], 2);
	assert_int_equal(index[2 * 17], 2);
	assert_int_equal(index[3 * 17], 1);
	static const uint8_t page_size[] = { 0, 0x10, 0, 0 };
	assert_memory_equal(index + 3 * 17 + 1, page_size, sizeof(page_size));
	assert_memory_equal(index - 4096, bed.ram + 3 * CHUNK, 4096);
	free(golden);
}

static void read_one(const char *path, const struct snapshot_id *id)
{
	static uint8_t chunk[CHUNK];
	struct snapshot_file *file;
	struct error err = { 0 };
	size_t state_size;

	if (snapshot_file_open(path, &file, &err))
		fail_msg("%s", err.msg);
	assert_true(snapshot_id_equal(snapshot_file_id(file), id));
	const uint8_t *data = snapshot_file_state(file, &state_size);
	assert_memory_equal(data, bed.state.out.data, bed.state.out.size);
	assert_int_equal(snapshot_file_chunk_count(file), CHUNKS);
	for (uint64_t i = 0; i < CHUNKS; i++) {
		assert_int_equal(snapshot_file_read_chunk(file, i, chunk, &err), 0);
		assert_memory_equal(chunk, bed.ram + i * CHUNK, snapshot_file_chunk_size(file, i));
	}
	snapshot_file_close(file);
}

static void test_reader(void **state)
{
	(void)state;
	read_one(FOLDER PARENT, &parent_id);
	change_ram();
	read_one(FOLDER CHILD, &child_id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writer, setup, bed_close),
		cmocka_unit_test_setup_teardown(test_bytes, setup, bed_close),
		cmocka_unit_test_setup_teardown(test_reader, setup, bed_close),
	};

	return cmocka_run_group_tests_name("vmm_snapshot_golden", tests, NULL, NULL);
}
