/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/bus.h"

#include <errno.h>

int bus_add(struct bus *bus, const struct bus_region *region)
{
	if (bus->count == BUS_REGIONS_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_region *other = &bus->regions[i];

		if (region->base.value < other->base.value + other->size &&
		    other->base.value < region->base.value + region->size)
			return -EEXIST;
	}
	bus->regions[bus->count++] = *region;
	return 0;
}

static struct bus_region *find(struct bus *bus, struct gpa gpa, unsigned size)
{
	for (unsigned i = 0; i < bus->count; i++) {
		struct bus_region *region = &bus->regions[i];
		uint64_t offset = gpa.value - region->base.value;

		if (gpa.value >= region->base.value && offset < region->size)
			return size <= region->size - offset ? region : NULL;
	}
	return NULL;
}

static uint64_t mask(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

bool bus_read(struct bus *bus, struct gpa gpa, unsigned size, uint64_t *out_value)
{
	struct bus_region *region = find(bus, gpa, size);

	if (!region) {
		*out_value = mask(size);
		return false;
	}
	if (region->lock)
		pthread_mutex_lock(region->lock);
	uint64_t value = region->read(region->device, gpa.value - region->base.value, size);
	if (region->lock)
		pthread_mutex_unlock(region->lock);
	*out_value = value & mask(size);
	return true;
}

bool bus_write(struct bus *bus, struct gpa gpa, unsigned size, uint64_t value)
{
	struct bus_region *region = find(bus, gpa, size);

	if (!region)
		return false;
	if (region->lock)
		pthread_mutex_lock(region->lock);
	region->write(region->device, gpa.value - region->base.value, size, value & mask(size));
	if (region->lock)
		pthread_mutex_unlock(region->lock);
	return true;
}
