/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.h - memory that the guest gives back to the host (virtio 1.2 §5.5).
 *
 * Two ways: the host sets a target, and the driver takes as much from the guest's use until the
 * target falls or, with DEFLATE_ON_OOM, the guest runs out of memory; and free-page reporting, by
 * which the driver tells of free memory by itself. I/O thread, unless a call says otherwise; the
 * calls take the device's lock.
 */
#ifndef CLOCHE_VMM_VIRTIO_BALLOON_H
#define CLOCHE_VMM_VIRTIO_BALLOON_H

#include "vmm/virtio/virtio.h"

/* What the guest tells of itself (§5.5.6.3; OOM_KILL is Linux's). Indices of .stats below. */
enum balloon_stat {
	BALLOON_SWAP_IN, /* bytes */
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS, /* a count */
	BALLOON_MINOR_FAULTS,
	BALLOON_FREE, /* bytes */
	BALLOON_TOTAL,
	BALLOON_AVAILABLE,
	BALLOON_CACHES,
	BALLOON_HUGE_PAGES, /* a count */
	BALLOON_HUGE_PAGE_FAILURES,
	BALLOON_OOM_KILLS,
	BALLOON_STATS
};

/* A copy of the device's state. Sizes are bytes. What the guest says is believed by nobody. */
struct balloon_state {
	bool driver;       /* there is one that runs the device */
	uint64_t target;   /* what the balloon shall hold */
	uint64_t actual;   /* what the driver says it holds; at most RAM */
	uint64_t inflated; /* given back by lists of pages since the VMM's start, */
	uint64_t reported; /* and by reports of free memory */
	uint32_t known;    /* bit i: .stats[i] is there */
	uint64_t stats[BALLOON_STATS];
	uint64_t stats_ns; /* when they came, CLOCK_MONOTONIC */
};

/* Called on the I/O thread, without locks, when the driver has brought fresh statistics. */
struct balloon_handlers {
	void *arg;
	void (*stats_came)(void *arg);
};

/*
 * @handlers is copied; its function may be NULL. With @reports the driver is let report what is
 * free. Frees itself by virtio_destroy().
 */
int virtio_balloon_create(const struct virtio_place *place, const struct balloon_handlers *handlers,
                          bool reports, struct virtio_device **out_dev, struct error *err);

/* Sets the target; @size is a multiple of GUEST_PAGE_SIZE. -ERANGE: beyond RAM, or 2^32 pages. */
int virtio_balloon_set_target(struct virtio_device *dev, uint64_t size);

/*
 * Asks the driver for fresh statistics. False: it has none to bring, as there is no driver or it
 * doesn't do that; nothing will come. Asking again while an answer is due asks once.
 */
bool virtio_balloon_ask(struct virtio_device *dev);

void virtio_balloon_read(struct virtio_device *dev, struct balloon_state *out_state);

#endif
