/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/log.h"

/* RAM starts on a huge page on both sides, so that the host can back 2 MiB of guest by one page. */
#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)

static uint8_t *map_ram(uint64_t size)
{
	uint64_t padded = size + HUGE_PAGE_SIZE;
	uint8_t *base = mmap(NULL, padded, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	uint64_t lead = -(uintptr_t)base & (HUGE_PAGE_SIZE - 1);
	if (lead)
		munmap(base, lead);
	if (padded - lead - size)
		munmap(base + lead + size, padded - lead - size);
	return base + lead;
}

int guest_memory_init(struct guest_memory *memory, uint64_t size, struct gpa hole_start,
                      struct gpa hole_end, struct error *err)
{
	if (size < GUEST_MEMORY_MIN || size > GUEST_MEMORY_MAX || size % GUEST_PAGE_SIZE)
		return error_set(
			err, -EINVAL,
			"guest memory must be 1 MiB to 64 GiB in whole pages, not %llu bytes",
			(unsigned long long)size);

	uint8_t *ram = map_ram(size);
	if (!ram)
		return error_set(err, -errno, "cannot reserve %llu MiB for the guest: %s",
		                 (unsigned long long)(size >> 20), strerror(errno));
	/*
	 * Advice: a host without huge pages still runs the guest, only slower. The first 2 MiB are
	 * left out: they hold boot data, of which few pages are ever touched, and clearing 2 MiB for
	 * them would cost more than the rest of the start.
	 */
	if (size > HUGE_PAGE_SIZE)
		madvise(ram + HUGE_PAGE_SIZE, size - HUGE_PAGE_SIZE, MADV_HUGEPAGE);
	madvise(ram, size, MADV_DONTDUMP);

	uint64_t low = size < hole_start.value ? size : hole_start.value;
	*memory = (struct guest_memory){ .ram = ram, .ram_size = size };
	memory->regions[memory->count++] =
		(struct guest_region){ .base = GPA(0), .size = low, .host = ram, .writable = true };
	if (size > low)
		memory->regions[memory->count++] = (struct guest_region){
			.base = hole_end, .size = size - low, .host = ram + low, .writable = true
		};
	return 0;
}

void guest_memory_finish(struct guest_memory *memory)
{
	if (memory->ram)
		munmap(memory->ram, memory->ram_size);
	*memory = (struct guest_memory){ 0 };
}

int guest_memory_add(struct guest_memory *memory, struct gpa base, uint64_t size, void *host,
                     bool writable)
{
	if (memory->count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	ASSERT(base.value >= guest_memory_end(memory).value && size > 0);
	memory->regions[memory->count++] = (struct guest_region){
		.base = base, .size = size, .host = host, .writable = writable
	};
	return 0;
}

void *guest_memory_at(const struct guest_memory *memory, struct gpa gpa, uint64_t size,
                      enum guest_access access)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];

		/* Written so that nothing can wrap: offset and room are within the region. */
		if (gpa.value < region->base.value)
			return NULL;
		uint64_t offset = gpa.value - region->base.value;
		if (offset >= region->size)
			continue;
		if (size == 0 || size > region->size - offset)
			return NULL;
		if (access == GUEST_WRITE && !region->writable)
			return NULL;
		return region->host + offset;
	}
	return NULL;
}

/*
 * RAM is anonymous, so that dropped pages come back as zeros. Of a file that is mapped privately
 * MADV_DONTNEED would bring the file's bytes back: RAM from a template must have anonymous memory
 * mapped over what is dropped, here and nowhere else.
 */
int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size)
{
	uint64_t offset = (uint64_t)((uintptr_t)host - (uintptr_t)memory->ram);

	/* An address below RAM wraps to an offset above every size. */
	if (offset >= memory->ram_size || size == 0 || size > memory->ram_size - offset ||
	    offset % GUEST_PAGE_SIZE || size % GUEST_PAGE_SIZE)
		return -EINVAL;
	return madvise(host, size, MADV_DONTNEED) ? -errno : 0;
}

struct gpa guest_memory_end(const struct guest_memory *memory)
{
	if (memory->count == 0)
		return GPA(0);
	const struct guest_region *last = &memory->regions[memory->count - 1];

	return GPA(last->base.value + last->size);
}
