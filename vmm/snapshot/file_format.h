/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_format.h - the bytes of a snapshot file's header and index (cloche-snapshot(5)).
 *
 * No state, no I/O. What is decoded is not trusted.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_FILE_FORMAT_H
#define CLOCHE_VMM_SNAPSHOT_FILE_FORMAT_H

#include <stdint.h>

#include "lib/error.h"
#include "vmm/snapshot/file.h"

#define SNAPSHOT_FORMAT_VERSION 1u
#define SNAPSHOT_HEADER_SIZE 128u
#define SNAPSHOT_ENTRY_SIZE 17u
#define SNAPSHOT_HASH_SIZE 8u /* behind the entries: theirs */

struct snapshot_header {
	struct snapshot_id id, parent;
	uint64_t ram_size, state_size, data_size;
};

/* Sizes that follow from others. */
uint64_t snapshot_header_chunks(const struct snapshot_header *header);
uint64_t snapshot_header_index_size(const struct snapshot_header *header);
uint64_t snapshot_header_file_size(const struct snapshot_header *header);

void snapshot_header_encode(const struct snapshot_header *header,
                            uint8_t out_bytes[SNAPSHOT_HEADER_SIZE]);

/*
 * Decodes what @size bytes (at most SNAPSHOT_HEADER_SIZE) a file begins with. When it succeeds all
 * sizes are within their limits and fit each other; whether they fit the file is the caller's to see.
 * 0; -EINVAL: no snapshot; -ENOTSUP: another version; -EBADMSG; -EPROTO.
 */
int snapshot_header_decode(const uint8_t *bytes, size_t size, struct snapshot_header *out_header,
                           struct error *err);

/* Bytes of the chunk @index of @ram_size bytes of RAM. */
size_t snapshot_chunk_size(uint64_t ram_size, uint64_t index);

/* The numbers are the format's. */
enum snapshot_kind { KIND_ZERO, KIND_RAW, KIND_LZ4, KIND_PARENT };

struct snapshot_entry {
	uint8_t kind;
	uint32_t size;  /* stored */
	uint32_t check; /* of what is stored: snapshot_check(); 0 when that is nothing */
	uint64_t hash;  /* of what it expands to; 0 for zeros */
};

/*
 * The low half of the XXH3-64. The hash of what a block expands to isn't enough: blocks that differ
 * can expand to the same, so damage would go unseen. And a decoder needn't be given it.
 */
uint32_t snapshot_check(const void *stored, size_t size);

/* Writes entry @index into @entries, which has room for all. */
void snapshot_entry_put(uint8_t *entries, uint64_t index, const struct snapshot_entry *entry);
struct snapshot_entry snapshot_entry_get(const uint8_t *entries, uint64_t index);

#endif
