/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_snapshot_bed.h - a folder for snapshot files, RAM to save, and files read back whole.
 *
 * RAM is told by a pattern, a letter a chunk: z zeros, r random, other letters text of that letter. A
 * last chunk may be shorter. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_SNAPSHOT_BED_H
#define CLOCHE_TESTS_UNIT_VMM_SNAPSHOT_BED_H

#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/sections.h"

#define CHUNK SNAPSHOT_CHUNK_SIZE

struct bed {
	char folder[64];
	struct sections_writer state;
	uint8_t *ram; /* owned */
	size_t ram_size;
};

static struct bed bed;

static inline int bed_open(void **state)
{
	(void)state;
	bed = (struct bed){ .state = SECTIONS_WRITER_INIT };
	snprintf(bed.folder, sizeof(bed.folder), "/tmp/cloche-snapshot.XXXXXX");
	assert_non_null(mkdtemp(bed.folder));
	wire_put_string(sections_begin(&bed.state, SECTION_INFO, 0, 1, true), "a test");
	sections_end(&bed.state);
	return 0;
}

/* Takes what a test has left in the folder, which has no folders but empty ones. */
static inline int bed_close(void **state)
{
	DIR *folder = opendir(bed.folder);
	const struct dirent *entry;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		if (unlinkat(dirfd(folder), entry->d_name, 0))
			unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
	}
	closedir(folder);
	assert_int_equal(rmdir(bed.folder), 0);
	sections_writer_finish(&bed.state);
	free(bed.ram);
	return 0;
}

/* The path of @name in the folder; good for the next few calls. */
static inline const char *bed_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", bed.folder, name);
	return path;
}

/* How many entries the folder has, hidden ones too. */
static inline unsigned bed_count_files(void)
{
	DIR *folder = opendir(bed.folder);
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count - 2;
}

static inline unsigned count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static inline uint64_t bed_random(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static inline void fill_chunk(uint8_t *chunk, size_t size, char letter)
{
	for (size_t i = 0; i < size; i++) {
		if (letter == 'z')
			chunk[i] = 0;
		else if (letter == 'r')
			chunk[i] = (uint8_t)bed_random();
		else
			chunk[i] = i % 31 < 7 ? (uint8_t)letter : (uint8_t)('a' + i / 31 % 26);
	}
}

/* RAM of a chunk a letter of @pattern; the last one has @last bytes. */
static inline void bed_fill(const char *pattern, size_t last)
{
	size_t chunks = strlen(pattern);

	free(bed.ram);
	bed.ram_size = (chunks - 1) * CHUNK + last;
	bed.ram = malloc(bed.ram_size);
	assert_non_null(bed.ram);
	for (size_t i = 0; i < chunks; i++)
		fill_chunk(bed.ram + i * CHUNK, i + 1 == chunks ? last : CHUNK, pattern[i]);
}

/* @name is what the id is made of, too. */
static inline struct snapshot_source bed_source(const char *name)
{
	struct snapshot_source source = { .path = bed_path(name),
		                          .state = bed.state.out.data,
		                          .state_size = bed.state.out.size,
		                          .ram = bed.ram,
		                          .ram_size = bed.ram_size };

	snprintf((char *)source.id.bytes, sizeof(source.id.bytes), "id of %.9s", name);
	return source;
}

static inline struct snapshot_stats bed_write(const char *name, const char *parent)
{
	struct snapshot_source source = bed_source(name);
	struct snapshot_stats stats;
	struct error err = { 0 };

	source.parent = parent ? bed_path(parent) : NULL;
	if (snapshot_file_write(&source, &stats, &err))
		fail_msg("%s", err.msg);
	return stats;
}

/* All of a file; the caller frees it. */
static inline uint8_t *read_whole(const char *path, size_t *out_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		fail_msg("cannot open %s: run from the top of the tree", path);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	*out_size = (size_t)st.st_size;
	return data;
}

static inline void write_whole(const char *path, const uint8_t *data, size_t size)
{
	/* Without O_TRUNC: some file systems go to the storage then, thousands of times here. */
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), size);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static inline void put_le(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* After a change on purpose: hashes that fit again. */
static inline void seal_header(uint8_t *file)
{
	put_le(file + 120, XXH3_64bits(file, 120), 8);
}

static inline void seal_index(uint8_t *index, uint64_t chunks)
{
	size_t size = (size_t)chunks * SNAPSHOT_ENTRY_SIZE;

	put_le(index + size, XXH3_64bits(index, size), 8);
}

/* The one line that every failure has. */
static inline void assert_clear(const struct error *err, int ret, const char *path)
{
	assert_true(ret < 0);
	assert_int_equal(err->code, ret);
	assert_non_null(strstr(err->msg, path));
	assert_null(strchr(err->msg, '\n'));
}

#endif
