/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_load.c - opens one snapshot file: its head, then its index, never its chunks.
 *
 * A file may be anybody's. In this order: the header's hash, then its sizes against each other and
 * against the file's, before memory is taken by them; the state's sections; the index's hash, then
 * each entry. Places of chunks are sums that end exactly where the index begins, so none is outside or
 * in another.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "lib/log.h"
#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/sections.h"

void snapshot_file_close(struct snapshot_file *file)
{
	while (file) {
		struct snapshot_file *parent = file->parent;

		close_fd(&file->fd);
		free(file->path);
		free(file->state);
		free(file->chunks);
		free(file->parent_hint);
		free(file);
		file = parent;
	}
}

int snapshot_read_exactly(int fd, void *data, size_t size, uint64_t offset, struct error *err)
{
	ssize_t n = pread_full(fd, data, size, offset);

	if (n < 0)
		return error_set(err, (int)n, "cannot be read: %s", strerror((int)-n));
	if ((size_t)n < size)
		return error_set(err, -EPROTO, "cut off");
	return 0;
}

static int read_header(struct snapshot_file *file, struct error *err)
{
	uint8_t bytes[SNAPSHOT_HEADER_SIZE];
	struct stat st;

	if (fstat(file->fd, &st))
		return error_set(err, -errno, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "no regular file");
	file->device = st.st_dev;
	file->inode = st.st_ino;
	uint64_t file_size = (uint64_t)st.st_size;
	size_t size = file_size < sizeof(bytes) ? (size_t)file_size : sizeof(bytes);
	int ret = snapshot_read_exactly(file->fd, bytes, size, 0, err);
	if (ret == 0)
		ret = snapshot_header_decode(bytes, size, &file->header, err);
	if (ret)
		return ret;
	uint64_t expected = snapshot_header_file_size(&file->header);
	if (file_size < expected)
		return error_set(err, -EPROTO, "cut off: %llu of %llu bytes are there",
		                 (unsigned long long)file_size, (unsigned long long)expected);
	if (file_size > expected)
		return error_set(err, -EPROTO, "%llu bytes behind its end",
		                 (unsigned long long)(file_size - expected));
	file->chunk_count = snapshot_header_chunks(&file->header);
	return 0;
}

/* The path in SECTION_PARENT, which is there exactly when the header names a parent. */
static int read_parent_hint(struct snapshot_file *file, struct error *err)
{
	bool expected = !snapshot_id_is_zero(&file->header.parent);
	struct wire_reader in;
	char hint[PATH_MAX];
	uint16_t version;

	int ret = sections_find(file->state, (size_t)file->header.state_size, SECTION_PARENT, 0,
	                        SNAPSHOT_PARENT_VERSION, &in, &version, err);
	if (ret == -ENOENT && !expected)
		return 0;
	if (ret)
		return ret;
	wire_get_string(&in, hint, sizeof(hint));
	if (!expected || !wire_reader_ended(&in) || hint[0] != '/')
		return error_set(err, -EPROTO, "section parent breaks the rules");
	file->parent_hint = strdup(hint);
	return file->parent_hint ? 0 : error_set(err, -ENOMEM, "no memory");
}

static int read_state(struct snapshot_file *file, struct error *err)
{
	size_t size = (size_t)file->header.state_size;

	file->state = malloc(size ? size : 1);
	if (!file->state)
		return error_set(err, -ENOMEM, "no memory for its state");
	int ret = snapshot_read_exactly(file->fd, file->state, size, SNAPSHOT_HEADER_SIZE, err);
	if (ret == 0)
		ret = sections_check(file->state, size, err);
	if (ret == 0)
		ret = read_parent_hint(file, err);
	/* -ENOENT is for files. */
	return ret == -ENOENT ? error_set(err, -EPROTO, "section parent is missing") : ret;
}

static bool is_entry_sane(const struct snapshot_entry *e, size_t chunk_size, bool has_parent)
{
	switch (e->kind) {
	case KIND_ZERO:
		return e->size == 0 && e->check == 0 && e->hash == 0;
	case KIND_RAW:
		return e->size == chunk_size && e->check == (uint32_t)e->hash;
	case KIND_LZ4:
		return e->size > 0 && e->size < chunk_size;
	case KIND_PARENT:
		return e->size == 0 && e->check == 0 && has_parent;
	default:
		return false;
	}
}

static int place_chunks(struct snapshot_file *file, const uint8_t *entries, struct error *err)
{
	const struct snapshot_header *h = &file->header;
	bool has_parent = !snapshot_id_is_zero(&h->parent);
	uint64_t offset = SNAPSHOT_HEADER_SIZE + h->state_size;

	for (uint64_t i = 0; i < file->chunk_count; i++) {
		struct snapshot_entry e = snapshot_entry_get(entries, i);

		if (!is_entry_sane(&e, snapshot_chunk_size(h->ram_size, i), has_parent))
			return error_set(err, -EPROTO, "index breaks the rules at chunk %llu",
			                 (unsigned long long)i);
		file->chunks[i] =
			(struct snapshot_place){ .offset = offset,
			                         .hash = e.hash,
			                         .check = e.check,
			                         .size = e.size &
			                                 0xffffff, /* sane: at most a chunk's */
			                         .kind = e.kind };
		offset += e.size;
	}
	if (offset != SNAPSHOT_HEADER_SIZE + h->state_size + h->data_size)
		return error_set(err, -EPROTO, "index doesn't fit the data");
	return 0;
}

static int read_index(struct snapshot_file *file, struct error *err)
{
	const struct snapshot_header *h = &file->header;
	size_t size = (size_t)snapshot_header_index_size(h),
	       entries_size = size - SNAPSHOT_HASH_SIZE;
	cleanup_free uint8_t *index = malloc(size);

	ASSERT(file->chunk_count > 0 && !file->chunks);
	file->chunks = malloc((size_t)file->chunk_count * sizeof(*file->chunks));
	if (!index || !file->chunks)
		return error_set(err, -ENOMEM, "no memory for its index");
	int ret = snapshot_read_exactly(file->fd, index, size,
	                                SNAPSHOT_HEADER_SIZE + h->state_size + h->data_size, err);
	if (ret)
		return ret;
	struct wire_reader in = wire_reader_over(index + entries_size, SNAPSHOT_HASH_SIZE);
	if (wire_get_u64(&in) != XXH3_64bits(index, entries_size))
		return error_set(err, -EBADMSG, "damaged index (its hash doesn't fit)");
	return place_chunks(file, index, err);
}

int snapshot_file_load_head(int fd, const char *path, struct snapshot_file **out_file,
                            struct error *err)
{
	struct snapshot_file *file = calloc(1, sizeof(*file));

	if (!file) {
		close_fd(&fd);
		return error_set(err, -ENOMEM, "no memory to open %s", path);
	}
	file->fd = fd;
	file->path = strdup(path);
	int ret = file->path ? 0 : error_set(err, -ENOMEM, "no memory");
	if (ret == 0)
		ret = read_header(file, err);
	if (ret == 0)
		ret = read_state(file, err);
	if (ret) {
		snapshot_file_close(file);
		return error_prefix(err, ret, "%s", path);
	}
	*out_file = file;
	return 0;
}

int snapshot_file_load_index(struct snapshot_file *file, struct error *err)
{
	int ret = read_index(file, err);

	return ret ? error_prefix(err, ret, "%s", file->path) : 0;
}
