/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pager_private.h - what the pager's two halves share: pager.c (from outside, and the watcher) and
 * pager_work.c (server and loaders). The theory is in pager.c.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_PAGER_PRIVATE_H
#define CLOCHE_VMM_SNAPSHOT_PAGER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/snapshot/pager.h"
#include "vmm/snapshot/touch_record.h"

#define PAGER_LOADERS_MAX 4u /* of each kind */
#define PAGER_UNKNOWN UINT64_MAX

struct pager {
	struct guest_memory *memory;      /* borrowed */
	const struct snapshot_file *file; /* borrowed */
	struct pager_handlers handlers;
	uint64_t chunk_count;
	int fault_fd;          /* userfaultfd */
	int wake_fd, serve_fd; /* eventfds: look again, watcher; it's over, server */
	pthread_t watcher, server, loaders[2 * PAGER_LOADERS_MAX];
	unsigned loader_count; /* the watcher's, like the two below */
	bool loading, hurrying;
	bool started;

	_Atomic uint8_t *there;        /* owned; a bit a chunk, I3 */
	_Atomic uint64_t loaded;       /* chunks, I3 */
	_Atomic uint64_t wanted;       /* what that comes to; PAGER_UNKNOWN until it is counted */
	_Atomic uint64_t next;         /* for loaders: a place in .order, or behind it a chunk */
	_Atomic uint64_t next_hurried; /* a chunk */
	_Atomic uint64_t serving_ns;   /* since when the server is at its faults; 0: it waits */
	atomic_bool stop, stop_loading, stop_serving, hurry, failed, complete;

	struct touch_order order;    /* what to load first */
	struct touch_record *record; /* owned; NULL: none, or it has ended (the watcher's) */
	struct touch_record *noting; /* the same, for the server; lives as long as the pager */
};

/* Calls handlers.failed(), once. Any thread. */
void pager_fail(struct pager *pager, const char *message);

/* Makes one of the eventfds readable. */
void pager_poke(int fd);

/* The threads; @arg is the struct pager. They end when the .stop_… is set that is theirs. */
void *pager_serve(void *arg);
void *pager_load(void *arg);
void *pager_load_hurried(void *arg);

#endif
