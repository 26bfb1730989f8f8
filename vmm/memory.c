/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/log.h"

struct guest_file_blocks {
	atomic_uint replaced; /* pieces that are anonymous memory now */
	_Atomic uint8_t bits[];
};

/* RAM starts on a huge page on both sides, so that the host can back 2 MiB of guest by one page. */
static uint8_t *map_ram(uint64_t size)
{
	uint64_t padded = size + GUEST_BLOCK_SIZE;
	uint8_t *base = mmap(NULL, padded, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	uint64_t lead = -(uintptr_t)base & (GUEST_BLOCK_SIZE - 1);
	if (lead)
		munmap(base, lead);
	if (padded - lead - size)
		munmap(base + lead + size, padded - lead - size);
	return base + lead;
}

/*
 * Advice: a host without huge pages still runs the guest, only slower. The first 2 MiB are left out:
 * they hold boot data, of which few pages are ever touched, and clearing 2 MiB for them would cost
 * more than the rest of the start.
 */
static void advise(const struct guest_memory *memory, uint64_t offset, uint64_t size)
{
	uint64_t skipped = offset == 0 ? GUEST_BLOCK_SIZE : 0;

	if (size > skipped)
		madvise(memory->ram + offset + skipped, size - skipped, MADV_HUGEPAGE);
	madvise(memory->ram + offset, size, MADV_DONTDUMP);
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
	uint64_t low = size < hole_start.value ? size : hole_start.value;
	*memory = (struct guest_memory){ .ram = ram, .ram_size = size };
	advise(memory, 0, size);
	memory->regions[memory->count++] =
		(struct guest_region){ .base = GPA(0), .size = low, .host = ram, .writable = true };
	if (size > low)
		memory->regions[memory->count++] = (struct guest_region){
			.base = hole_end, .size = size - low, .host = ram + low, .writable = true
		};
	return 0;
}

/* --- a file's RAM ---------------------------------------------------------------------------- */

uint64_t guest_block_run_end(const uint8_t *blocks, uint64_t block, uint64_t count)
{
	uint64_t end = block + 1;

	while (end < count && guest_block_is_set(blocks, end) == guest_block_is_set(blocks, block))
		end++;
	return end;
}

/* [first, end) in bytes, cut off where RAM ends. */
static uint64_t block_bytes(const struct guest_memory *memory, uint64_t first, uint64_t end)
{
	uint64_t stop = end * GUEST_BLOCK_SIZE;

	return (stop < memory->ram_size ? stop : memory->ram_size) - first * GUEST_BLOCK_SIZE;
}

int guest_memory_map_file(struct guest_memory *memory, int fd, const uint8_t *blocks,
                          struct error *err)
{
	uint64_t count = guest_blocks(memory->ram_size);
	struct guest_file_blocks *of_file = calloc(1, sizeof(*of_file) + (count + 7) / 8);

	ASSERT(!memory->of_file);
	if (!of_file)
		return error_set(err, -ENOMEM, "no memory to map the guest's RAM");
	memory->of_file = of_file;
	for (uint64_t i = 0; i < (count + 7) / 8; i++)
		atomic_init(&of_file->bits[i], blocks[i]);
	for (uint64_t first = 0, end; first < count; first = end) {
		uint64_t at = first * GUEST_BLOCK_SIZE;

		end = guest_block_run_end(blocks, first, count);
		if (guest_block_is_set(blocks, first) &&
		    mmap(memory->ram + at, block_bytes(memory, first, end), PROT_READ | PROT_WRITE,
		         MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)at) == MAP_FAILED)
			return error_set(err, -errno, "cannot map the guest's RAM: %s",
			                 strerror(errno));
	}
	madvise(memory->ram, memory->ram_size, MADV_DONTDUMP);
	return 0;
}

static bool is_of_file(const struct guest_memory *memory, uint64_t block)
{
	return memory->of_file && atomic_load(&memory->of_file->bits[block / 8]) >> (block % 8) & 1;
}

bool guest_memory_has_file(const struct guest_memory *memory, uint64_t offset, uint64_t size)
{
	for (uint64_t block = offset / GUEST_BLOCK_SIZE; block * GUEST_BLOCK_SIZE < offset + size;
	     block++)
		if (is_of_file(memory, block))
			return true;
	return false;
}

void guest_memory_finish(struct guest_memory *memory)
{
	if (memory->ram)
		munmap(memory->ram, memory->ram_size);
	free(memory->of_file);
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

/* --- giving back ----------------------------------------------------------------------------- */

/* Anonymous memory in the place of whole blocks of a file's: zeros, and no longer the file's. */
static int replace_blocks(const struct guest_memory *memory, uint64_t first, uint64_t end)
{
	struct guest_file_blocks *of_file = memory->of_file;
	uint8_t *host = memory->ram + first * GUEST_BLOCK_SIZE;
	uint64_t size = block_bytes(memory, first, end);

	if (atomic_fetch_add(&of_file->replaced, 1) >= GUEST_REPLACED_MAX) {
		atomic_fetch_sub(&of_file->replaced, 1);
		return madvise(host, size, MADV_DONTNEED) ? -errno : 0;
	}
	if (mmap(host, size, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return -errno;
	for (uint64_t block = first; block < end; block++)
		atomic_fetch_and(&of_file->bits[block / 8], (uint8_t) ~(1u << (block % 8)));
	advise(memory, first * GUEST_BLOCK_SIZE, size);
	return 0;
}

/* True when @offset begins a block that is a file's and lies in [offset, end) as a whole. */
static bool begins_file_block(const struct guest_memory *memory, uint64_t offset, uint64_t end)
{
	uint64_t block = offset / GUEST_BLOCK_SIZE;

	return offset % GUEST_BLOCK_SIZE == 0 && is_of_file(memory, block) &&
	       end - offset >= block_bytes(memory, block, block + 1);
}

/*
 * Of a file that is mapped privately MADV_DONTNEED brings the file's bytes back: they are the
 * guest's own, of when it was saved, and a driver that gives a page away counts on nothing
 * (virtio 1.2 §5.5.6, without VIRTIO_BALLOON_F_PAGE_POISON). The host has its memory either way: it
 * is the guest's changes that take it. Whole blocks are replaced all the same, as anonymous memory
 * comes back in huge pages.
 */
static int discard_mixed(const struct guest_memory *memory, uint64_t offset, uint64_t end)
{
	int ret = 0;

	for (uint64_t next; offset < end && ret == 0; offset = next) {
		bool whole = begins_file_block(memory, offset, end);

		next = offset;
		do {
			next = (next / GUEST_BLOCK_SIZE + 1) * GUEST_BLOCK_SIZE;
			next = next < end ? next : end;
		} while (next < end && begins_file_block(memory, next, end) == whole);
		if (whole)
			ret = replace_blocks(memory, offset / GUEST_BLOCK_SIZE, guest_blocks(next));
		else if (madvise(memory->ram + offset, next - offset, MADV_DONTNEED))
			ret = -errno;
	}
	return ret;
}

int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size)
{
	uint64_t offset = (uint64_t)((uintptr_t)host - (uintptr_t)memory->ram);

	/* An address below RAM wraps to an offset above every size. */
	if (offset >= memory->ram_size || size == 0 || size > memory->ram_size - offset ||
	    offset % GUEST_PAGE_SIZE || size % GUEST_PAGE_SIZE)
		return -EINVAL;
	/* A page that was dropped would be loaded anew, or be missed when all is counted. */
	if (atomic_load(&memory->loading))
		return -EAGAIN;
	if (memory->of_file)
		return discard_mixed(memory, offset, offset + size);
	return madvise(host, size, MADV_DONTNEED) ? -errno : 0;
}

struct gpa guest_memory_end(const struct guest_memory *memory)
{
	if (memory->count == 0)
		return GPA(0);
	const struct guest_region *last = &memory->regions[memory->count - 1];

	return GPA(last->base.value + last->size);
}
