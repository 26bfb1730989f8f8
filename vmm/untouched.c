/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/untouched.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define PAGEMAP "/proc/self/pagemap"

/* Documentation/admin-guide/mm/pagemap.rst: neither bit, and there is nothing behind the page. */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_SWAPPED (1ull << 62)

/* A bit stands for 64 KiB: 16 pages. */
#define UNIT_SIZE ((uint64_t)64 << 10)
#define UNIT_PAGES (UNIT_SIZE / GUEST_PAGE_SIZE)

#define READ_PAGES 4096u /* entries a read: 32 KiB, for 16 MiB of RAM */

struct untouched {
	uint64_t ram_size;
	uint8_t bits[]; /* a unit each; 1: untouched */
};

/* Looks at @count entries, which begin with unit @unit; the last unit may be short. */
static void take(struct untouched *untouched, const struct guest_memory *memory, uint64_t unit,
                 const uint64_t *entries, uint64_t count)
{
	for (uint64_t first = 0; first < count; first += UNIT_PAGES, unit++) {
		uint64_t end = first + UNIT_PAGES < count ? first + UNIT_PAGES : count;
		uint64_t any = 0;

		for (uint64_t i = first; i < end; i++)
			any |= entries[i];
		if (!(any & (PAGE_PRESENT | PAGE_SWAPPED)) &&
		    !guest_memory_has_file(memory, unit * UNIT_SIZE, 1))
			guest_block_set(untouched->bits, unit);
	}
}

static int scan(struct untouched *untouched, const struct guest_memory *memory, int fd)
{
	uint64_t pages = memory->ram_size / GUEST_PAGE_SIZE;
	uint64_t first = (uintptr_t)memory->ram / GUEST_PAGE_SIZE;
	cleanup_free uint64_t *entries = malloc(READ_PAGES * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (uint64_t page = 0, count; page < pages; page += count) {
		count = pages - page < READ_PAGES ? pages - page : READ_PAGES;
		ssize_t got = pread(fd, entries, count * sizeof(*entries),
		                    (off_t)((first + page) * sizeof(*entries)));

		if (got < 0)
			return -errno;
		if ((size_t)got != count * sizeof(*entries))
			return -EIO;
		take(untouched, memory, page / UNIT_PAGES, entries, count);
	}
	return 0;
}

int untouched_scan(const struct guest_memory *memory, struct untouched **out_untouched,
                   struct error *err)
{
	uint64_t units = (memory->ram_size + UNIT_SIZE - 1) / UNIT_SIZE;
	cleanup_fd int fd = -1;

	if (atomic_load(&memory->loading))
		return error_set(err, -EBUSY, "the guest's memory is still being loaded");
	fd = open(PAGEMAP, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", PAGEMAP, strerror(errno));
	struct untouched *untouched = calloc(1, sizeof(*untouched) + (units + 7) / 8);
	int ret = untouched ? scan(untouched, memory, fd) : -ENOMEM;
	if (ret) {
		free(untouched);
		return error_set(err, ret, "cannot read %s: %s", PAGEMAP, strerror(-ret));
	}
	untouched->ram_size = memory->ram_size;
	*out_untouched = untouched;
	return 0;
}

bool untouched_is(void *arg, uint64_t offset, uint64_t size)
{
	const struct untouched *untouched = arg;

	ASSERT(size > 0 && offset < untouched->ram_size && size <= untouched->ram_size - offset);
	for (uint64_t unit = offset / UNIT_SIZE; unit * UNIT_SIZE < offset + size; unit++)
		if (!guest_block_is_set(untouched->bits, unit))
			return false;
	return true;
}

void untouched_destroy(struct untouched *untouched)
{
	free(untouched);
}
