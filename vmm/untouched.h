/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * untouched.h - which parts of guest RAM nobody has touched: they are zero, and needn't be read.
 *
 * Reading anonymous memory to find that it is zero would take memory for it. The kernel says in
 * /proc/self/pagemap what there is. The answer is of one moment: ask it of a forked copy, where
 * nothing runs, and open it there, as it shows the process that opened it.
 */
#ifndef CLOCHE_VMM_UNTOUCHED_H
#define CLOCHE_VMM_UNTOUCHED_H

#include "vmm/memory.h"

struct untouched; /* opaque */

/*
 * Looks over all of @memory's RAM. 0, *out_untouched is the caller's; -errno of the kernel's file;
 * -EBUSY: RAM is still being loaded, so that a page which isn't there isn't zero either; -ENOMEM.
 * Reads 8 bytes for each page: some milliseconds a GiB.
 */
int untouched_scan(const struct guest_memory *memory, struct untouched **out_untouched,
                   struct error *err);

/*
 * True: [offset, offset+size) of RAM was zero when it was looked over. False: maybe not, as for all
 * that is a file's. Has the form that struct snapshot_source wants. Any thread.
 */
bool untouched_is(void *untouched, uint64_t offset, uint64_t size);

/* Takes NULL. */
void untouched_destroy(struct untouched *untouched);

#endif
