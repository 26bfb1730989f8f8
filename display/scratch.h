/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scratch.h - working memory for one picture: megabytes that are taken, filled and given back within
 * milliseconds. Any thread; no state.
 *
 * Not malloc, which would keep blocks of this size for good: between screenshots they cost nothing.
 * Huge pages are asked for, since taking 4 KiB pages one by one would cost as much as the reading.
 */
#ifndef CLOCHE_DISPLAY_SCRATCH_H
#define CLOCHE_DISPLAY_SCRATCH_H

#include <stddef.h>

struct scratch {
	void *data;  /* @size zero bytes; owned, NULL when empty */
	size_t size; /* as asked for */
	void *mapping;
	size_t mapping_size;
};

/* 0 or -ENOMEM. */
int scratch_init(struct scratch *scratch, size_t size);

/* Gives it back to the kernel; takes one that was only zeroed. */
void scratch_finish(struct scratch *scratch);

#endif
