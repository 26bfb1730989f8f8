/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.h - which device answers at a guest-physical MMIO address.
 *
 * Filled before the first vCPU runs, constant afterwards. bus_read() and bus_write() are called by
 * vCPU threads; they take the region's lock around the device's handler, so a handler runs with
 * its device's state to itself. Handlers must not block.
 */
#ifndef CLOCHE_VMM_BUS_H
#define CLOCHE_VMM_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/memory.h"

#define BUS_REGIONS_MAX 32

/*
 * A range of registers. @offset is from @base, @size is 1, 2, 4 or 8 and offset + size lies within
 * the region: the bus has checked both. Reads fill the low @size bytes; the rest is cut off.
 */
struct bus_region {
	const char *name;
	struct gpa base;
	uint64_t size;
	pthread_mutex_t *lock; /* borrowed: the device's; NULL: the handlers lock themselves */
	void *device;          /* borrowed */
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

struct bus {
	struct bus_region regions[BUS_REGIONS_MAX];
	unsigned count;
};

/* Adds a copy of @region. -ENOSPC when full, -EEXIST when it overlaps another. */
int bus_add(struct bus *bus, const struct bus_region *region);

/*
 * Reads @size bytes (1, 2, 4, 8) at @gpa. Nobody there, or an access that runs out of the region:
 * all ones, as a real bus floats, and false.
 */
bool bus_read(struct bus *bus, struct gpa gpa, unsigned size, uint64_t *out_value);

/* Writes likewise; false when nobody took it. */
bool bus_write(struct bus *bus, struct gpa gpa, unsigned size, uint64_t value);

#endif
