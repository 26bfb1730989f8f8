/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.h - the snapshot file: a guest's state and RAM on disk (cloche-snapshot(5)).
 *
 *	header | state: sections (sections.h) | data: chunks, gapless | index: an entry a chunk
 *
 * RAM is cut into chunks of 64 KiB; each is zero, stored raw, stored as an LZ4 block, or the same as
 * its parent's (a differential snapshot). Every byte is covered by an XXH3-64. Places in the file are
 * sums of sizes, so that an index can't point outside or overlap.
 *
 * A file is written by any one thread that may block, with workers of its own; it becomes visible
 * when it is complete and on the storage, never before. An open file doesn't change: any threads may
 * use it at once. What is read is not trusted, neither when opened nor later.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_FILE_H
#define CLOCHE_VMM_SNAPSHOT_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define SNAPSHOT_CHUNK_SIZE ((size_t)64 << 10) /* bytes; the last chunk may be shorter */
#define SNAPSHOT_CHAIN_MAX 16u                 /* files: one and its ancestors */

struct snapshot_id {
	uint8_t bytes[16]; /* random; all zero is none */
};

#define SNAPSHOT_ID_HEX_SIZE 33 /* 32 lower-case digits and NUL */

bool snapshot_id_is_zero(const struct snapshot_id *id);
bool snapshot_id_equal(const struct snapshot_id *a, const struct snapshot_id *b);
void snapshot_id_to_hex(const struct snapshot_id *id, char out_hex[SNAPSHOT_ID_HEX_SIZE]);

/* --- writing --- */

struct snapshot_progress {
	uint64_t done, total; /* bytes of RAM */
	uint64_t written;     /* bytes of chunk data */
};

struct snapshot_stats {
	uint64_t zero, raw, lz4, parent; /* chunks */
	uint64_t data_bytes;             /* of chunk data */
	uint64_t file_bytes;
};

/* What a writer saves. All borrowed, and unchanged until it returns: @ram is a forked copy's. */
struct snapshot_source {
	const char *path;
	struct snapshot_id id; /* not zero */
	const uint8_t *state;  /* sections, without SECTION_PARENT; must pass sections_check() */
	size_t state_size;
	const uint8_t *ram;
	uint64_t ram_size; /* a multiple of 4 KiB, not 0, at most GUEST_MEMORY_MAX */
	/*
	 * May be NULL. True: [offset, offset+size) of RAM is known to be zero, and isn't read, so that
	 * it takes no memory. Asked for ranges of whole chunks up to 1 MiB, by any of the workers.
	 */
	bool (*is_untouched)(void *arg, uint64_t offset, uint64_t size);
	void *arg;
	/* May be NULL: a snapshot file of the same RAM size. Chunks that are the same are left to it. */
	const char *parent;
	unsigned threads; /* 0: one a CPU */
	/* May be NULL. By the calling thread, ten times a second and once at the end. */
	void (*progress)(void *arg, const struct snapshot_progress *progress);
	void *progress_arg;
};

/*
 * Writes the file and puts it in the place of @source->path, mode 0600. Blocks. @out_stats may be NULL.
 *
 * 0, then the file and its name are on the storage. On failure what was at the path stays as it was
 * and nothing else is left: -EBUSY: another snapshot to the path is being written; -EINVAL: there is
 * something else than a regular file at the path, or it is the parent or one of its ancestors, or the
 * parent's RAM has another size or its chain is at its longest; what opening the parent says; -ENOMEM;
 * -errno of the file system. Killed in the middle it leaves nothing, or ".NAME.partial" in the same
 * folder, which the next write to that path removes.
 */
int snapshot_file_write(const struct snapshot_source *source, struct snapshot_stats *out_stats,
                        struct error *err);

/* --- reading --- */

struct snapshot_file;

enum snapshot_chunk { SNAPSHOT_CHUNK_ZERO, SNAPSHOT_CHUNK_DATA };

/*
 * Opens @path and its ancestors: each where its child says, else beside its child by the same name.
 * Header, state (sections_check()) and index are read and checked, all hashes and sums; chunks are
 * when they are read. The id of each parent must fit, and all that the child leaves to it.
 *
 * 0; the caller owns *out_file. Else one line that names the file: -EINVAL: no regular file (a FIFO,
 * folder or symlink in its place), or no snapshot; -EPROTO: breaks a rule of the format; -EBADMSG:
 * a hash doesn't fit; -ENOTSUP: another version of the format, or sections_check()'s; -ENOENT, also
 * for a parent; -ELOOP: too many ancestors, or it is its own; -ENOMEM, -errno.
 */
int snapshot_file_open(const char *path, struct snapshot_file **out_file, struct error *err);

/*
 * The same in two steps: header and state, which is all that a guest with a resident template needs;
 * then index and ancestors, without which no chunk can be asked for. The second does nothing when it
 * was done; when it fails, @file can only be closed.
 */
int snapshot_file_open_head(const char *path, struct snapshot_file **out_file, struct error *err);
int snapshot_file_open_rest(struct snapshot_file *file, struct error *err);

/* Takes NULL. Closes its ancestors too. */
void snapshot_file_close(struct snapshot_file *file);

/* What is returned is borrowed, and lives as long as @file. */
const char *snapshot_file_path(const struct snapshot_file *file);
const struct snapshot_id *snapshot_file_id(const struct snapshot_file *file);
uint64_t snapshot_file_ram_size(const struct snapshot_file *file);
const uint8_t *snapshot_file_state(const struct snapshot_file *file, size_t *out_size);
uint64_t snapshot_file_chunk_count(const struct snapshot_file *file);

/* The file that this one is the difference to, NULL for a whole one. */
const struct snapshot_file *snapshot_file_parent(const struct snapshot_file *file);

/* @index < chunk count, here and below. What the chunk is, whichever ancestor holds it. */
enum snapshot_chunk snapshot_file_chunk(const struct snapshot_file *file, uint64_t index);

/* Bytes of RAM: SNAPSHOT_CHUNK_SIZE, less for the last one maybe. */
size_t snapshot_file_chunk_size(const struct snapshot_file *file, uint64_t index);

/* XXH3-64 of its bytes; 0 for a zero chunk. */
uint64_t snapshot_file_chunk_hash(const struct snapshot_file *file, uint64_t index);

/*
 * Fills @out with the chunk, zeros for a zero one. Any thread, needs 80 KiB of stack; blocks on the
 * storage. 0; -EBADMSG: the bytes aren't those that the index says, or no LZ4 block of that length;
 * -EPROTO: the file has become shorter; -errno. On failure @out holds anything.
 */
int snapshot_file_read_chunk(const struct snapshot_file *file, uint64_t index, void *out,
                             struct error *err);

/*
 * Reads every chunk, those of ancestors too, on @threads threads (0: one a CPU), and leaves none of
 * it. @progress may be NULL; as in struct snapshot_source, without "written". 0 or what reading says.
 */
int snapshot_file_verify(const struct snapshot_file *file, unsigned threads,
                         void (*progress)(void *arg, const struct snapshot_progress *progress),
                         void *progress_arg, struct error *err);

/* What is in the file, as cloche-snapshot(5) has it under INSPECTION. NULL without memory. */
json_t *snapshot_file_inspect(const struct snapshot_file *file);

#endif
