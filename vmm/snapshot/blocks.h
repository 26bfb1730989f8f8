/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocks.h - a snapshot's RAM by blocks of 2 MiB: which have anything in them, and loading them all.
 *
 * Any thread; no state.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_BLOCKS_H
#define CLOCHE_VMM_SNAPSHOT_BLOCKS_H

#include "vmm/memory.h"
#include "vmm/snapshot/file.h"

#define BLOCK_CHUNKS (GUEST_BLOCK_SIZE / SNAPSHOT_CHUNK_SIZE)

/* Room for the bits of the largest RAM. */
struct block_set {
	uint8_t bits[GUEST_BLOCKS_MAX / 8];
};

/* The blocks in which a chunk isn't zero. @file's RAM is at most GUEST_MEMORY_MAX. */
void blocks_of_file(const struct snapshot_file *file, struct block_set *out_blocks);

/*
 * Calls @each for every chunk that isn't zero, once, on threads for all CPUs; block after block, so
 * that one thread has all of a huge page. @each has as much stack as snapshot_file_read_chunk() needs; 0, or a negative errno with
 * @err, which ends it. Blocks. 0 or the first error.
 */
int blocks_each_chunk(const struct snapshot_file *file,
                      int (*each)(void *arg, uint64_t index, struct error *err), void *arg,
                      struct error *err);

#endif
