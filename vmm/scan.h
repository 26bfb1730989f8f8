/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.h - the screen as somebody watches it: a thread that looks at it again and again, and tells its listeners
 * what has changed. It exists while there is a listener, and so does its copy of the screen.
 *
 * The rate follows what happens: 30 Hz while something changes, falling to 2 Hz when nothing does, at once
 * after input. It only reads guest memory, so it works on a frozen guest, and a fork(2) may happen at any time:
 * the child has neither the thread nor the copy, and begins without listeners.
 */
#ifndef CLOCHE_VMM_SCAN_H
#define CLOCHE_VMM_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "display/tiles.h"

#define SCAN_LISTENERS_MAX 64

struct scan; /* opaque */
struct vm;

/* A screen in which something has changed. Borrowed, and valid during the call. */
struct scan_frame {
	uint64_t number;  /* grows */
	uint64_t time_ns; /* CLOCK_MONOTONIC: when its reading began */
	unsigned width, height;
	const struct tiles *tiles;
	unsigned changed; /* tiles, as tiles_changed() has them */
};

/*
 * Someone who watches; embedded in its owner, zeroed but for what is set here. All callbacks come on the scan's
 * thread, one at a time, and must not block; they may use scan_poke(), scan_wake() and scan_time(), nothing else of these.
 */
struct scan_listener {
	/*
	 * Something has changed; and once at the beginning, and when the screen was replaced by another,
	 * maybe of another size: then all tiles count as changed.
	 */
	void (*frame)(struct scan_listener *listener, const struct scan_frame *frame);
	/*
	 * May be NULL. After each scan, when the time that it returned last has come, and after scan_wake().
	 * Returns when it wants to be called next (CLOCK_MONOTONIC), 0: then only after a scan.
	 */
	uint64_t (*idle)(struct scan_listener *listener);
	int fd; /* borrowed: readable() is called when it has input, or an error; -1: none */
	void (*readable)(struct scan_listener *listener);
	bool fast; /* the screen is looked at with 30 Hz while this one listens */

	/* The scan's own. */
	bool active, fresh;
	uint64_t due_ns;
	struct scan_listener *next;
};

/* No thread yet. 0 or -errno; *out_scan is owned by the caller. */
int scan_create(struct vm *vm, struct scan **out_scan);

/* All listeners have been removed. Takes NULL. */
void scan_destroy(struct scan *scan);

/*
 * I/O thread. The listener hears of the screen from now on, or when there is one; .fd is not changed while it
 * listens. 0; -EBUSY: SCAN_LISTENERS_MAX listen; -errno: there can't be a thread.
 */
int scan_add(struct scan *scan, struct scan_listener *listener);

/* I/O thread. When it returns no callback runs and none comes. Does nothing to one that doesn't listen. */
void scan_remove(struct scan *scan, struct scan_listener *listener);

/* Any thread. Something is going to happen, input for instance: look at once, and often for a while. */
void scan_poke(struct scan *scan);

/* Any thread. Calls all idle() soon. */
void scan_wake(struct scan *scan);

/* In a callback: when the last scan began (CLOCK_MONOTONIC); 0: there was none. */
uint64_t scan_time(const struct scan *scan);

/* In a callback: the screen as it was scanned last, until the callback returns; NULL: it wasn't. */
const struct tiles *scan_tiles(const struct scan *scan);

#endif
