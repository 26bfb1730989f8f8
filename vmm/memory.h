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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

struct gpa {
	uint64_t value;
};

#define GPA(v) ((struct gpa){ .value = (v) })

#define GUEST_PAGE_SIZE 4096u
#define GUEST_MEMORY_REGIONS_MAX 4
#define GUEST_MEMORY_MIN ((uint64_t)1 << 20)
#define GUEST_MEMORY_MAX ((uint64_t)64 << 30)

struct guest_region {
	struct gpa base;
	uint64_t size;
	uint8_t *host;
	bool writable; /* by the guest and by devices on its behalf */
};

struct guest_memory {
	struct guest_region regions[GUEST_MEMORY_REGIONS_MAX]; /* ascending, not touching */
	unsigned count;
	uint8_t *ram; /* owned: one MAP_PRIVATE mapping for all RAM */
	uint64_t ram_size;
};

enum guest_access { GUEST_READ, GUEST_WRITE };

/*
 * Maps @size bytes of anonymous, private RAM (a multiple of the page size, within the limits above)
 * with huge pages advised, and lays it out below @hole_start and, what doesn't fit, from @hole_end
 * on. Both are 2 MiB-aligned. Memory is taken by the host only when it is touched.
 * 0 or -errno with @err; on failure nothing is mapped.
 */
int guest_memory_init(struct guest_memory *memory, uint64_t size, struct gpa hole_start,
                      struct gpa hole_end, struct error *err);

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
 * Gives the host memory behind [host, host+size) back: from now on it reads as zeros, until the
 * guest writes there again. Both are multiples of GUEST_PAGE_SIZE; @host comes from
 * guest_memory_at() or a queue. 0; -EINVAL: not whole pages, or not RAM (a root image is somebody
 * else's); -errno of madvise, then the memory is as it was. Any thread; doesn't block.
 */
int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size);

/* First address above all memory. */
struct gpa guest_memory_end(const struct guest_memory *memory);

#endif
