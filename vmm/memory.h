/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - guest-physical memory: what there is, and the one way to reach it.
 *
 * A guest address is a struct gpa, never a pointer. guest_memory_at() turns (gpa, length) into host
 * memory or says no; nothing else in the VMM does that arithmetic. The map is built before the
 * first vCPU runs and doesn't change afterwards, so any thread may read it without a lock. What the
 * host pointers show can change at any moment: the guest is running. Copy once, check the copy.
 */
#ifndef CLOCHE_VMM_MEMORY_H
#define CLOCHE_VMM_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

struct gpa {
	uint64_t value;
};

#define GPA(v) ((struct gpa){ .value = (v) })

#define GUEST_PAGE_SIZE 4096u
/* RAM is backed, dropped and taken from files in blocks: the host's huge pages. */
#define GUEST_BLOCK_SIZE ((uint64_t)2 << 20)
#define GUEST_MEMORY_REGIONS_MAX 4
#define GUEST_MEMORY_MIN ((uint64_t)1 << 20)
#define GUEST_MEMORY_MAX ((uint64_t)64 << 30)
#define GUEST_BLOCKS_MAX (GUEST_MEMORY_MAX / GUEST_BLOCK_SIZE)
/* How many pieces of a file's RAM are replaced by anonymous memory: the host limits mappings. */
#define GUEST_REPLACED_MAX 1024u

struct guest_region {
	struct gpa base;
	uint64_t size;
	uint8_t *host;
	bool writable; /* by the guest and by devices on its behalf */
};

struct guest_file_blocks; /* which blocks of RAM are a file's */

struct guest_memory {
	struct guest_region regions[GUEST_MEMORY_REGIONS_MAX]; /* ascending, not touching */
	unsigned count;
	uint8_t *ram; /* owned: one MAP_PRIVATE mapping for all RAM */
	uint64_t ram_size;
	struct guest_file_blocks *of_file; /* owned; NULL: all RAM is anonymous */
	/* Not all RAM is there yet; what is missing comes when it is touched (snapshot/pager.h). */
	atomic_bool loading;
};

/* A bit a block of GUEST_BLOCK_SIZE, the lowest first; the last block of RAM may be short. */
static inline uint64_t guest_blocks(uint64_t ram_size)
{
	return (ram_size + GUEST_BLOCK_SIZE - 1) / GUEST_BLOCK_SIZE;
}

static inline bool guest_block_is_set(const uint8_t *blocks, uint64_t block)
{
	return blocks[block / 8] >> (block % 8) & 1;
}

static inline void guest_block_set(uint8_t *blocks, uint64_t block)
{
	blocks[block / 8] = (uint8_t)(blocks[block / 8] | 1u << (block % 8));
}

/* The first block from @block on, at most @count, whose bit isn't as @block's. */
uint64_t guest_block_run_end(const uint8_t *blocks, uint64_t block, uint64_t count);

enum guest_access { GUEST_READ, GUEST_WRITE };

/*
 * Maps @size bytes of anonymous, private RAM (a multiple of the page size, within the limits above)
 * with huge pages advised, and lays it out below @hole_start and, what doesn't fit, from @hole_end
 * on. Both are 2 MiB-aligned. Memory is taken by the host only when it is touched.
 * 0 or -errno with @err; on failure nothing is mapped.
 */
int guest_memory_init(struct guest_memory *memory, uint64_t size, struct gpa hole_start,
                      struct gpa hole_end, struct error *err);

/*
 * Maps @fd privately over those blocks of fresh RAM that @blocks has: from now on they read as the
 * file does at the same offsets, and what is written stays the guest's own. The file must reach to
 * the end of RAM and never change; @fd isn't needed any more afterwards. Once, before any vCPU runs.
 * 0 or -errno with @err; then some of it may be mapped, and the RAM is good for nothing but
 * guest_memory_finish().
 */
int guest_memory_map_file(struct guest_memory *memory, int fd, const uint8_t *blocks,
                          struct error *err);

/* True when any part of [offset, offset+size) of RAM, not empty, is a file's. Any thread. */
bool guest_memory_has_file(const struct guest_memory *memory, uint64_t offset, uint64_t size);

/* Unmaps the RAM; takes a zeroed struct. Regions that others added stay theirs. */
void guest_memory_finish(struct guest_memory *memory);

/*
 * Adds memory that somebody else owns (the root image): @host is borrowed for the life of @memory.
 * Must lie above every region that is there. -ENOSPC when the table is full.
 */
int guest_memory_add(struct guest_memory *memory, struct gpa base, uint64_t size, void *host,
                     bool writable);

/*
 * Host memory behind [gpa, gpa+size), or NULL when any byte of it isn't guest memory, when it
 * crosses from one region into another, wraps, or (GUEST_WRITE) isn't writable. @size > 0.
 */
void *guest_memory_at(const struct guest_memory *memory, struct gpa gpa, uint64_t size,
                      enum guest_access access);

/*
 * Gives the host memory behind [host, host+size) back. Until the guest writes there again it reads as
 * zeros, or, where RAM is a file's, maybe as what the guest had there when it was saved. Both are
 * multiples of GUEST_PAGE_SIZE; @host comes from guest_memory_at() or a queue.
 *
 * 0; -EINVAL: not whole pages, or not RAM (a root image is somebody else's); -EAGAIN: not now, the
 * memory is being loaded, all stays as it is; -errno of the host, then some of it may be given back.
 * Any thread, one at a time for the same memory; doesn't block.
 */
int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size);

/* First address above all memory. */
struct gpa guest_memory_end(const struct guest_memory *memory);

#endif
