/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_read.c - what is in an open snapshot file.
 *
 * A chunk is bounded by the RAM that it stands for, whatever its bytes expand to, and compared with its
 * hash each time it is read: the file may have changed since it was opened.
 */
#include <errno.h>
#include <lz4.h>
#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/parallel.h"

#define VERIFY_CHUNKS 16u /* that a thread takes at once */

const char *snapshot_file_path(const struct snapshot_file *file)
{
	return file->path;
}

const struct snapshot_id *snapshot_file_id(const struct snapshot_file *file)
{
	return &file->header.id;
}

uint64_t snapshot_file_ram_size(const struct snapshot_file *file)
{
	return file->header.ram_size;
}

const uint8_t *snapshot_file_state(const struct snapshot_file *file, size_t *out_size)
{
	*out_size = (size_t)file->header.state_size;
	return file->state;
}

uint64_t snapshot_file_chunk_count(const struct snapshot_file *file)
{
	return file->chunk_count;
}

const struct snapshot_file *snapshot_file_parent(const struct snapshot_file *file)
{
	return file->parent;
}

enum snapshot_chunk snapshot_file_chunk(const struct snapshot_file *file, uint64_t index)
{
	ASSERT(index < file->chunk_count);
	/* What is left to a parent is never zero there. */
	return file->chunks[index].kind == KIND_ZERO ? SNAPSHOT_CHUNK_ZERO : SNAPSHOT_CHUNK_DATA;
}

size_t snapshot_file_chunk_size(const struct snapshot_file *file, uint64_t index)
{
	ASSERT(index < file->chunk_count);
	return snapshot_chunk_size(file->header.ram_size, index);
}

uint64_t snapshot_file_chunk_hash(const struct snapshot_file *file, uint64_t index)
{
	ASSERT(index < file->chunk_count);
	return file->chunks[index].hash;
}

/* Reads and expands what @file itself holds. */
static int read_own(const struct snapshot_file *file, const struct snapshot_place *place, void *out,
                    size_t size, struct error *err)
{
	uint8_t stored[SNAPSHOT_CHUNK_SIZE];

	if (place->kind == KIND_RAW)
		return snapshot_read_exactly(file->fd, out, size, place->offset, err);
	int ret = snapshot_read_exactly(file->fd, stored, place->size, place->offset, err);
	if (ret)
		return ret;
	if (snapshot_check(stored, place->size) != place->check)
		return error_set(err, -EBADMSG, "damaged (its hash doesn't fit)");
	if (LZ4_decompress_safe((const char *)stored, out, (int)place->size, (int)size) !=
	    (int)size)
		return error_set(err, -EBADMSG, "no LZ4 block of its length");
	return 0;
}

int snapshot_file_read_chunk(const struct snapshot_file *file, uint64_t index, void *out,
                             struct error *err)
{
	size_t size = snapshot_file_chunk_size(file, index);

	while (file->chunks[index].kind == KIND_PARENT)
		file = file->parent;
	const struct snapshot_place *place = &file->chunks[index];
	if (place->kind == KIND_ZERO) {
		memset(out, 0, size);
		return 0;
	}
	int ret = read_own(file, place, out, size, err);
	if (ret == 0 && XXH3_64bits(out, size) != place->hash)
		ret = error_set(err, -EBADMSG, "damaged (its hash doesn't fit)");
	if (ret)
		return error_prefix(err, ret, "%s: chunk %llu", file->path,
		                    (unsigned long long)index);
	return 0;
}

struct verify {
	const struct snapshot_file *file;
	_Atomic uint64_t done; /* bytes of RAM */
	void (*progress)(void *arg, const struct snapshot_progress *progress);
	void *progress_arg;
};

static int verify_some(void *arg, uint64_t index, struct error *err)
{
	struct verify *v = arg;
	uint64_t first = index * VERIFY_CHUNKS;
	cleanup_free uint8_t *chunk = malloc(SNAPSHOT_CHUNK_SIZE);

	if (!chunk)
		return error_set(err, -ENOMEM, "no memory to verify %s", v->file->path);
	for (uint64_t i = first; i < first + VERIFY_CHUNKS && i < v->file->chunk_count; i++) {
		int ret = snapshot_file_read_chunk(v->file, i, chunk, err);
		if (ret)
			return ret;
		v->done += snapshot_file_chunk_size(v->file, i);
	}
	return 0;
}

static void tell_verified(void *arg)
{
	struct verify *v = arg;
	const struct snapshot_progress progress = { .done = v->done,
		                                    .total = v->file->header.ram_size };

	if (v->progress)
		v->progress(v->progress_arg, &progress);
}

int snapshot_file_verify(const struct snapshot_file *file, unsigned threads,
                         void (*progress)(void *arg, const struct snapshot_progress *progress),
                         void *progress_arg, struct error *err)
{
	struct verify verify = { .file = file, .progress = progress, .progress_arg = progress_arg };
	const struct parallel parallel = { .name = "verify",
		                           .count = (file->chunk_count + VERIFY_CHUNKS - 1) /
		                                    VERIFY_CHUNKS,
		                           .threads = parallel_threads(threads),
		                           .work = verify_some,
		                           .tick = tell_verified,
		                           .arg = &verify };

	return parallel_run(&parallel, err);
}
