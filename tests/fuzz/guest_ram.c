/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_ram.c - see guest_ram.h.
 */
#include "tests/fuzz/guest_ram.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"

static struct guest_memory memory;

static uint8_t *add(uint64_t base, uint64_t size, bool writable)
{
	uint8_t *map = mmap(NULL, size + (uint64_t)2 * GUEST_PAGE_SIZE, PROT_NONE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(map != MAP_FAILED);
	uint8_t *host = map + GUEST_PAGE_SIZE;
	CHECK(mprotect(host, size, writable ? PROT_READ | PROT_WRITE : PROT_READ) == 0);
	CHECK(guest_memory_add(&memory, GPA(base), size, host, writable) == 0);
	return host;
}

const struct guest_memory *guest_ram_reset(void)
{
	if (memory.count == 0) {
		/* All that can be given back: the rest of a real guest's RAM is in the same mapping. */
		memory.ram = add(0, RAM_LOW_SIZE, true);
		memory.ram_size = RAM_LOW_SIZE;
		add(RAM_HIGH, RAM_HIGH_SIZE, true);
		add(ROM, ROM_SIZE, false);
	}
	for (unsigned i = 0; i < memory.count; i++)
		if (memory.regions[i].writable)
			memset(memory.regions[i].host, 0, memory.regions[i].size);
	return &memory;
}
