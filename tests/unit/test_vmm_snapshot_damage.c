/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_snapshot_damage.c - files that are damaged, and files that lie: each gives one clear error.
 *
 * A file is opened and all of its chunks are read. Damage must be seen by a hash; lies have hashes
 * that fit.
 */
#include "tests/unit/vmm_snapshot_bed.h"

#include <lz4.h>

#define CHUNKS 4u
#define LAST 4096u
#define RANDOM_ROUNDS 10000

/* Offsets in the header. */
#define AT_VERSION 8
#define AT_HEADER_SIZE 12
#define AT_ID 16
#define AT_PARENT 32
#define AT_RAM 48
#define AT_CHUNK_SIZE 56
#define AT_ZERO 60
#define AT_STATE 64
#define AT_DATA 72
#define AT_INDEX 80
#define AT_FILE 88
#define AT_RESERVED 96

ssize_t __real_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap___pread_chk(int fd, void *data, size_t size, off_t offset, size_t room);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

/* The nth call fails, counted from 1; 0: none. */
static unsigned read_count, read_nth, malloc_count, malloc_nth;
static int read_error;
static size_t read_at_most; /* bytes a pread, 0: all */

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
	if (++read_count == read_nth) {
		errno = read_error;
		return -1;
	}
	if (read_at_most && size > read_at_most)
		size = read_at_most;
	return __real_pread(fd, data, size, offset);
}

ssize_t __wrap___pread_chk(int fd, void *data, size_t size, off_t offset, size_t room)
{
	assert_true(size <= room);
	return __wrap_pread(fd, data, size, offset);
}

void *__wrap_malloc(size_t size)
{
	return ++malloc_count == malloc_nth ? NULL : __real_malloc(size);
}

static uint8_t *good;
static size_t good_size, index_at;

static int make_good(void **state)
{
	bed_open(state);
	bed_fill("tzxr", LAST);
	bed_write("good", NULL);
	good = read_whole(bed_path("good"), &good_size);
	index_at = good_size - CHUNKS * SNAPSHOT_ENTRY_SIZE - SNAPSHOT_HASH_SIZE;
	return 0;
}

static int free_good(void **state)
{
	free(good);
	return bed_close(state);
}

/* Opens it, reads all; checks that a failure is told as it must be. */
static int read_all(const char *path, struct error *out_err)
{
	static uint8_t chunk[CHUNK];
	struct snapshot_file *file = NULL;
	struct error err = { 0 };

	int ret = snapshot_file_open(path, &file, &err);
	for (uint64_t i = 0; ret == 0 && i < snapshot_file_chunk_count(file); i++)
		ret = snapshot_file_read_chunk(file, i, chunk, &err);
	if (ret)
		assert_clear(&err, ret, path);
	snapshot_file_close(file);
	*out_err = err;
	return ret;
}

static int examine(const uint8_t *data, size_t size, struct error *out_err)
{
	const char *path = bed_path("examined");

	write_whole(path, data, size);
	return read_all(path, out_err);
}

static bool is_damage(int ret)
{
	return ret == -EBADMSG || ret == -EPROTO;
}

static void test_good(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(examine(good, good_size, &err), 0);
}

static void test_cut_off(void **state)
{
	unsigned fds = count_fds();
	struct error err;

	(void)state;
	for (size_t size = 0; size < good_size; size++) {
		/* Without its beginning it isn't even a snapshot. */
		int ret = examine(good, size, &err);
		assert_int_equal(ret, size < 8 ? -EINVAL : -EPROTO);
		assert_true(size < 128 || strstr(err.msg, "bytes are there"));
	}
	uint8_t *longer = malloc(good_size + 1);
	assert_non_null(longer);
	memcpy(longer, good, good_size);
	longer[good_size] = 0;
	assert_int_equal(examine(longer, good_size + 1, &err), -EPROTO);
	assert_non_null(strstr(err.msg, "1 bytes behind its end"));
	free(longer);
	assert_int_equal(count_fds(), fds);
}

static void test_header_flips(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 8 * SNAPSHOT_HEADER_SIZE; bit++) {
		size_t at = bit / 8;
		struct error err;

		good[at] ^= (uint8_t)(1u << bit % 8);
		int ret = examine(good, good_size, &err);
		assert_int_equal(ret, at < AT_VERSION       ? -EINVAL
		                      : at < AT_HEADER_SIZE ? -ENOTSUP
		                                            : -EBADMSG);
		good[at] ^= (uint8_t)(1u << bit % 8);
	}
}

/* State, data, index: there is no byte that may be another. */
static void test_flips_everywhere(void **state)
{
	(void)state;
	for (size_t at = SNAPSHOT_HEADER_SIZE; at < good_size; at++) {
		uint8_t mask = (uint8_t)(1u << bed_random() % 8);
		struct error err;

		good[at] ^= mask;
		assert_true(is_damage(examine(good, good_size, &err)));
		good[at] ^= mask;
	}
}

static void test_random_damage(void **state)
{
	unsigned fds = count_fds();
	uint8_t *bytes = malloc(good_size);

	(void)state;
	assert_non_null(bytes);
	for (unsigned i = 0; i < RANDOM_ROUNDS; i++) {
		unsigned flips = 1 + (unsigned)(bed_random() % 8);
		struct error err;

		memcpy(bytes, good, good_size);
		for (unsigned k = 0; k < flips; k++) {
			/* Never back to what it was. */
			size_t at = (size_t)(bed_random() % good_size);
			bytes[at] = (uint8_t)(good[at] ^ (1 + bed_random() % 255));
		}
		assert_true(examine(bytes, good_size, &err) < 0);
	}
	free(bytes);
	assert_int_equal(count_fds(), fds);
}

/* --- lies in the header --- */

static void test_lying_header(void **state)
{
	static const struct {
		const char *name;
		unsigned at, size;
		uint64_t value;
	} rows[] = {
		{ "header size", AT_HEADER_SIZE, 4, 120 },
		{ "chunk size", AT_CHUNK_SIZE, 4, 4096 },
		{ "zero", AT_ZERO, 4, 1 },
		{ "reserved", AT_RESERVED, 8, 1 },
		{ "reserved, last", AT_RESERVED + 16, 8, 1ull << 63 },
		{ "no RAM", AT_RAM, 8, 0 },
		{ "half a page more", AT_RAM, 8, 3 * CHUNK + LAST + 2048 },
		{ "a page more", AT_RAM, 8, 3 * CHUNK + LAST + 4096 },
		{ "a chunk less", AT_RAM, 8, 3 * CHUNK },
		{ "too much RAM", AT_RAM, 8, (64ull << 30) + 4096 },
		{ "RAM whose index wraps", AT_RAM, 8, UINT64_MAX & ~4095ull },
		{ "state of 0", AT_STATE, 8, 0 },
		{ "state beyond the file", AT_STATE, 8, 1 << 20 },
		{ "state beyond the limit", AT_STATE, 8, WIRE_FIELDS_MAX + 1 },
		{ "state that wraps", AT_STATE, 8, UINT64_MAX },
		{ "no data", AT_DATA, 8, 0 },
		{ "data beyond RAM", AT_DATA, 8, 4 * CHUNK },
		{ "data that wraps", AT_DATA, 8, UINT64_MAX - 100 },
		{ "index", AT_INDEX, 8, 8 },
		{ "index that wraps", AT_INDEX, 8, UINT64_MAX },
		{ "file", AT_FILE, 8, 128 },
		{ "huge file", AT_FILE, 8, UINT64_MAX },
		{ "no id", AT_ID, 16, 0 },
	};

	(void)state;
	uint8_t *bytes = malloc(good_size);
	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err;

		memcpy(bytes, good, good_size);
		put_le(bytes + rows[i].at, rows[i].value, rows[i].size > 8 ? 8 : rows[i].size);
		if (rows[i].size > 8)
			put_le(bytes + rows[i].at + 8, 0, rows[i].size - 8);
		seal_header(bytes);
		int ret = examine(bytes, good_size, &err);
		/* "a page more" is a header that fits itself: then chunk and index don't. */
		assert_row(rows[i].name, ret == -EPROTO);
	}
	free(bytes);
}

/* Sizes that agree with each other but not with what they are of. */
static void test_shifted_sizes(void **state)
{
	static const int shifts[] = { -33, -32, -1, 1, 31, 32 };
	size_t state_size = bed.state.out.size;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		struct error err;
		uint64_t data_size = index_at - 128 - state_size;

		put_le(good + AT_STATE, (uint64_t)((int64_t)state_size + shifts[i]), 8);
		put_le(good + AT_DATA, (uint64_t)((int64_t)data_size - shifts[i]), 8);
		seal_header(good);
		assert_true(is_damage(examine(good, good_size, &err)));
	}
}

static void test_version(void **state)
{
	static const uint32_t versions[] = { 0, 2, UINT32_MAX };
	struct error err;
	char message[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		put_le(good + AT_VERSION, versions[i], 4);
		/* Whatever comes behind it, and with or without a hash that fits. */
		assert_int_equal(examine(good, good_size, &err), -ENOTSUP);
		seal_header(good);
		assert_int_equal(examine(good, good_size, &err), -ENOTSUP);
		snprintf(message, sizeof(message),
		         ": version %u of the format; this cloche reads version 1", versions[i]);
		assert_non_null(strstr(err.msg, message));
	}
}

/* --- lies in the index --- */

#define KEEP (-1)
#define MORE (-2)
#define LESS (-3)

static void test_lying_index(void **state)
{
	static const struct {
		const char *name;
		unsigned chunk; /* 0 lz4, 1 zero, 2 lz4, 3 raw and short */
		uint8_t kind;
		int64_t size; /* KEEP, MORE, LESS: as it is, one byte more or less */
		int ret;
		const char *message;
	} rows[] = {
		{ "unknown kind", 0, 4, KEEP, -EPROTO, "index breaks the rules at chunk 0" },
		{ "kind 255", 3, 255, KEEP, -EPROTO, "at chunk 3" },
		{ "zero with size", 1, KIND_ZERO, 1, -EPROTO, "at chunk 1" },
		{ "zero with hash", 0, KIND_ZERO, 0, -EPROTO, "at chunk 0" },
		{ "raw of no chunk's size", 0, KIND_RAW, KEEP, -EPROTO, "at chunk 0" },
		{ "raw, one byte more", 3, KIND_RAW, LAST + 1, -EPROTO, "at chunk 3" },
		{ "raw, as if not the last", 3, KIND_RAW, CHUNK, -EPROTO, "at chunk 3" },
		{ "lz4 of nothing", 0, KIND_LZ4, 0, -EPROTO, "at chunk 0" },
		{ "lz4 as large as a chunk", 0, KIND_LZ4, CHUNK, -EPROTO, "at chunk 0" },
		{ "lz4 as large as the last", 3, KIND_LZ4, LAST, -EPROTO, "at chunk 3" },
		{ "lz4 of 4 GiB", 2, KIND_LZ4, UINT32_MAX, -EPROTO, "at chunk 2" },
		{ "parent's without one", 0, KIND_PARENT, 0, -EPROTO, "at chunk 0" },
		{ "one byte more than there is", 2, KIND_LZ4, MORE, -EPROTO, "doesn't fit" },
		{ "one byte less than there is", 0, KIND_LZ4, LESS, -EPROTO, "doesn't fit" },
		{ "far more than there is", 0, KIND_LZ4, 65535, -EPROTO, "doesn't fit" },
	};

	(void)state;
	uint8_t *bytes = malloc(good_size);
	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err;

		memcpy(bytes, good, good_size);
		uint8_t *index = bytes + index_at;
		struct snapshot_entry e = snapshot_entry_get(index, rows[i].chunk);
		e.kind = rows[i].kind;
		if (rows[i].size >= 0)
			e.size = (uint32_t)rows[i].size;
		else if (rows[i].size == MORE)
			e.size++;
		else if (rows[i].size == LESS)
			e.size--;
		snapshot_entry_put(index, rows[i].chunk, &e);
		seal_index(index, CHUNKS);
		assert_row(rows[i].name, examine(bytes, good_size, &err) == rows[i].ret);
		assert_row(rows[i].name, strstr(err.msg, rows[i].message));
	}
	free(bytes);
}

/* Two chunks whose sizes are exchanged: sums fit, each place is wrong. */
static void test_shifted_chunks(void **state)
{
	uint8_t *index = good + index_at;
	struct snapshot_entry a = snapshot_entry_get(index, 0), b = snapshot_entry_get(index, 2);
	struct error err;

	(void)state;
	a.size--;
	b.size++;
	snapshot_entry_put(index, 0, &a);
	snapshot_entry_put(index, 2, &b);
	seal_index(index, CHUNKS);
	assert_int_equal(examine(good, good_size, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "chunk 0: "));
}

/* --- lies in the data --- */

/* A file of one chunk of @ram_size bytes: all hashes but the chunk's are right, whatever it is. */
static int examine_chunk(const uint8_t *stored, uint32_t stored_size, uint64_t ram_size,
                         uint64_t hash, struct error *out_err)
{
	static uint8_t file[4 * CHUNK];
	struct snapshot_header header = { .id = { { 1 } },
		                          .ram_size = ram_size,
		                          .data_size = stored_size };
	const struct snapshot_entry e = { .kind = KIND_LZ4,
		                          .size = stored_size,
		                          .check = snapshot_check(stored, stored_size),
		                          .hash = hash };
	uint8_t *index = file + SNAPSHOT_HEADER_SIZE + stored_size;

	assert_true(stored_size < 2 * CHUNK);
	snapshot_header_encode(&header, file);
	memcpy(file + SNAPSHOT_HEADER_SIZE, stored, stored_size);
	snapshot_entry_put(index, 0, &e);
	seal_index(index, 1);
	return examine(file, snapshot_header_file_size(&header), out_err);
}

/* It says 64 KiB, and is as many as @expanded. */
static int examine_expansion(size_t expanded, struct error *out_err)
{
	uint8_t *data = malloc(expanded), *stored = malloc(CHUNK);

	assert_true(data && stored);
	memset(data, 'x', expanded);
	int size =
		LZ4_compress_default((const char *)data, (char *)stored, (int)expanded, (int)CHUNK);
	assert_true(size > 0);
	int ret = examine_chunk(stored, (uint32_t)size, CHUNK,
	                        XXH3_64bits(data, expanded < CHUNK ? expanded : CHUNK), out_err);
	free(data);
	free(stored);
	return ret;
}

static void test_lying_chunks(void **state)
{
	static const struct {
		const char *name;
		size_t expanded;
		int ret;
	} rows[] = {
		{ "exactly", CHUNK, 0 },
		{ "one byte more", CHUNK + 1, -EBADMSG },
		{ "one byte less", CHUNK - 1, -EBADMSG },
		{ "a byte", 1, -EBADMSG },
		{ "a bomb", 8 << 20, -EBADMSG },
	};
	static const uint8_t match_before_start[] = { 0x1f, 'a', 5, 0, 0, 0x50, 1, 2, 3, 4, 5 };
	static const uint8_t match_at_zero[] = { 0x1f, 'a', 0, 0, 0, 0x50, 1, 2, 3, 4, 5 };
	static const uint8_t endless_length[300] = { [0 ... 299] = 0xff };
	static const uint8_t one_token[] = { 0xf0 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(rows[i].name, examine_expansion(rows[i].expanded, &err) == rows[i].ret);
	assert_non_null(strstr(err.msg, "chunk 0: no LZ4 block of its length"));

	/* All but what it expands to is as the index says. */
	static const uint8_t zeros[] = { 0x1f, 0,    1,    0,    0xff, 0xff, 0xff, 0xff, 0xff,
		                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		                         0xff, 0xf6, 0x50, 0,    0,    0,    0,    0 };
	static const uint8_t page[4096];
	uint64_t hash = XXH3_64bits(page, sizeof(page));
	assert_int_equal(examine_chunk(zeros, sizeof(zeros), sizeof(page), hash, &err), 0);
	assert_int_equal(examine_chunk(zeros, sizeof(zeros), sizeof(page), hash ^ 1, &err),
	                 -EBADMSG);
	assert_non_null(strstr(err.msg, "chunk 0: damaged"));

	const struct {
		const uint8_t *data;
		uint32_t size;
	} garbage[] = { { match_before_start, sizeof(match_before_start) },
		        { match_at_zero, sizeof(match_at_zero) },
		        { endless_length, sizeof(endless_length) },
		        { one_token, sizeof(one_token) } };
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_int_equal(examine_chunk(garbage[i].data, garbage[i].size, 4096, 0, &err),
		                 -EBADMSG);
}

/* --- lies in the state --- */

static int examine_state(const struct sections_writer *w, const struct snapshot_id *parent,
                         struct error *out_err)
{
	static uint8_t file[4096];
	struct snapshot_header header = {
		.id = { { 1 } }, .parent = *parent, .ram_size = 4096, .state_size = w->out.size
	};
	const struct snapshot_entry e = { .kind = KIND_ZERO };
	uint8_t *index = file + SNAPSHOT_HEADER_SIZE + w->out.size;

	snapshot_header_encode(&header, file);
	memcpy(file + SNAPSHOT_HEADER_SIZE, w->out.data, w->out.size);
	snapshot_entry_put(index, 0, &e);
	seal_index(index, 1);
	return examine(file, snapshot_header_file_size(&header), out_err);
}

static void test_unknown_sections(void **state)
{
	static const struct snapshot_id none;
	struct error err;

	(void)state;
	sections_begin(&bed.state, (enum snapshot_section)99, 0, 7, false);
	sections_end(&bed.state);
	assert_int_equal(examine_state(&bed.state, &none, &err), 0);
	sections_begin(&bed.state, (enum snapshot_section)98, 5, 7, true);
	sections_end(&bed.state);
	assert_int_equal(examine_state(&bed.state, &none, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "section of type 98, instance 5, is required"));
}

static void test_lying_parent_section(void **state)
{
	static const struct {
		const char *name;
		bool has_section, has_id;
		uint16_t version;
		const char *bytes;
		size_t size;
		int ret;
	} rows[] = {
		{ "neither", false, false, 1, "", 0, 0 },
		{ "nowhere", true, true, 1, "\5\0\0\0/none", 9, -ENOENT },
		{ "no section", false, true, 1, "", 0, -EPROTO },
		{ "no id", true, false, 1, "\5\0\0\0/none", 9, -EPROTO },
		{ "newer", true, true, 2, "\5\0\0\0/none", 9, -ENOTSUP },
		{ "relative", true, true, 1, "\4\0\0\0none", 8, -EPROTO },
		{ "empty", true, true, 1, "\0\0\0\0", 4, -EPROTO },
		{ "nothing", true, true, 1, "", 0, -EPROTO },
		{ "NUL inside", true, true, 1, "\5\0\0\0/n\0ne", 9, -EPROTO },
		{ "more behind it", true, true, 1, "\5\0\0\0/nonex", 10, -EPROTO },
		{ "longer than there is", true, true, 1, "\6\0\0\0/none", 9, -EPROTO },
		{ "a device", true, true, 1, "\11\0\0\0/dev/null", 13, -EINVAL },
		{ "a folder", true, true, 1, "\1\0\0\0/", 5, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sections_writer w = SECTIONS_WRITER_INIT;
		const struct snapshot_id id = { { rows[i].has_id ? 2 : 0 } };
		struct error err;

		if (rows[i].has_section) {
			struct wire_writer *out =
				sections_begin(&w, SECTION_PARENT, 0, rows[i].version, true);
			wire_put_bytes(out, rows[i].bytes, rows[i].size);
			sections_end(&w);
		} else {
			sections_begin(&w, SECTION_INFO, 0, 1, false);
			sections_end(&w);
		}
		assert_row(rows[i].name, examine_state(&w, &id, &err) == rows[i].ret);
		sections_writer_finish(&w);
	}
}

/* --- what fails when nothing is wrong with the file --- */

static void test_reads_fail(void **state)
{
	unsigned fds = count_fds();
	struct error err;
	int ret;

	(void)state;
	for (read_nth = 1;; read_nth++) {
		read_count = 0;
		read_error = EIO;
		ret = read_all(bed_path("good"), &err);
		if (read_count < read_nth)
			break;
		assert_int_equal(ret, -EIO);
		assert_int_equal(count_fds(), fds);
		read_count = 0;
		read_error = EINTR;
		assert_int_equal(read_all(bed_path("good"), &err), 0);
	}
	assert_int_equal(ret, 0);
	/* Header, state, index, three chunks that have something stored. */
	assert_int_equal(read_nth, 7);
	read_nth = 0;
	read_at_most = 7;
	assert_int_equal(read_all(bed_path("good"), &err), 0);
	read_at_most = 0;
}

static void test_no_memory(void **state)
{
	unsigned fds = count_fds();
	struct error err;
	int ret;

	(void)state;
	for (malloc_nth = 1;; malloc_nth++) {
		malloc_count = 0;
		ret = read_all(bed_path("good"), &err);
		if (malloc_count < malloc_nth)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(count_fds(), fds);
	}
	assert_int_equal(ret, 0);
	assert_true(malloc_nth > 3);
	malloc_nth = 0;
}

/* --- no file, or one that changes --- */

static void test_other_things_in_its_place(void **state)
{
	static const struct {
		const char *name;
		int ret;
	} rows[] = { { "fifo", -EINVAL },     { "folder", -EINVAL }, { "link", -EINVAL },
		     { "missing", -ENOENT },  { "empty", -EINVAL },  { "text", -EINVAL },
		     { "under/it", -ENOENT }, { "", -EINVAL } };
	struct error err;

	(void)state;
	assert_int_equal(mkfifo(bed_path("fifo"), 0600), 0);
	assert_int_equal(mkdir(bed_path("folder"), 0700), 0);
	assert_int_equal(symlink(bed_path("good"), bed_path("link")), 0);
	write_whole(bed_path("empty"), NULL, 0);
	write_whole(bed_path("text"), (const uint8_t *)"CLOCHE snapshot", 15);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(rows[i].name, read_all(bed_path(rows[i].name), &err) == rows[i].ret);
	assert_int_equal(read_all("/dev/null", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no regular file"));
}

static void test_change_while_open(void **state)
{
	static uint8_t chunk[CHUNK];
	struct snapshot_file *file;
	struct error err = { 0 };

	(void)state;
	write_whole(bed_path("open"), good, good_size);
	assert_int_equal(snapshot_file_open(bed_path("open"), &file, &err), 0);
	good[index_at - 1] ^= 1;
	write_whole(bed_path("open"), good, good_size);
	assert_int_equal(snapshot_file_read_chunk(file, 0, chunk, &err), 0);
	assert_int_equal(snapshot_file_read_chunk(file, 3, chunk, &err), -EBADMSG);
	assert_clear(&err, -EBADMSG, bed_path("open"));
	assert_non_null(strstr(err.msg, "chunk 3: damaged"));
	err = (struct error){ 0 };
	assert_int_equal(snapshot_file_verify(file, 2, NULL, NULL, &err), -EBADMSG);
	assert_clear(&err, -EBADMSG, bed_path("open"));

	assert_int_equal(truncate(bed_path("open"), (off_t)index_at - 1), 0);
	assert_int_equal(snapshot_file_read_chunk(file, 0, chunk, &err), 0);
	assert_int_equal(snapshot_file_read_chunk(file, 3, chunk, &err), -EPROTO);
	assert_non_null(strstr(err.msg, "chunk 3: cut off"));
	snapshot_file_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_cut_off, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_header_flips, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_flips_everywhere, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_random_damage, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_lying_header, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_shifted_sizes, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_version, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_lying_index, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_shifted_chunks, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_lying_chunks, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_unknown_sections, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_lying_parent_section, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_reads_fail, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_no_memory, make_good, free_good),
		cmocka_unit_test_setup_teardown(test_other_things_in_its_place, make_good,
		                                free_good),
		cmocka_unit_test_setup_teardown(test_change_while_open, make_good, free_good),
	};

	return cmocka_run_group_tests_name("vmm_snapshot_damage", tests, NULL, NULL);
}
