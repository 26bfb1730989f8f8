/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scratch.c - see scratch.h. No state, any thread.
 */
#include "display/scratch.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

int scratch_init(struct scratch *scratch, size_t size)
{
	size_t mapping_size = (size + 2 * HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	void *mapping = mmap(NULL, mapping_size, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t aligned;

	if (mapping == MAP_FAILED)
		return -ENOMEM;
	aligned = ((uintptr_t)mapping + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	/* Only a wish: without huge pages it is slower, not wrong. */
	madvise((void *)aligned, size, MADV_HUGEPAGE);
	/* A copy of the VM that is forked meanwhile has no use for it, and would keep it. */
	madvise(mapping, mapping_size, MADV_DONTFORK);
	*scratch = (struct scratch){
		.data = (void *)aligned,
		.size = size,
		.mapping = mapping,
		.mapping_size = mapping_size,
	};
	return 0;
}

void scratch_finish(struct scratch *scratch)
{
	if (scratch->mapping)
		munmap(scratch->mapping, scratch->mapping_size);
	*scratch = (struct scratch){ 0 };
}
