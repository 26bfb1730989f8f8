/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parallel.h - the same work for indices 0..count-1, on several threads that live as long as it takes.
 *
 * The calling thread waits, and tells of the progress meanwhile.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_PARALLEL_H
#define CLOCHE_VMM_SNAPSHOT_PARALLEL_H

#include <stdint.h>

#include "lib/error.h"

#define PARALLEL_THREADS_MAX 16u

struct parallel {
	const char *name; /* of the threads */
	uint64_t count;
	unsigned threads; /* from parallel_threads() */
	/*
	 * Runs in one of the threads. Indices are given out in ascending order, so one may wait for a
	 * lower one. 0, or a negative errno with @err filled: then no more are given out.
	 */
	int (*work)(void *arg, uint64_t index, struct error *err);
	void (*tick)(void *arg); /* may be NULL: by the caller, ten times a second and at the end */
	void *arg;
};

/* How many threads to take: @wanted, or one a CPU that this process may use for 0. */
unsigned parallel_threads(unsigned wanted);

/*
 * Blocks until all is done or the first error, which it returns. Makes do with fewer threads than
 * asked for; -errno when not even one can be had.
 */
int parallel_run(const struct parallel *parallel, struct error *err);

#endif
