/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - a loop with a thread of its own, for a device whose work blocks.
 *
 * The device is given the worker's loop in its struct virtio_place. Then the order is: create, the
 * device sets up its watches, start; stop, the device takes its watches away, destroy. All of it by
 * the main thread; between start and stop the loop is the worker's.
 */
#ifndef CLOCHE_VMM_VIRTIO_WORKER_H
#define CLOCHE_VMM_VIRTIO_WORKER_H

#include "lib/error.h"
#include "lib/loop.h"

struct worker; /* opaque */

/* 0 or -errno with @err. */
int worker_create(struct worker **out_worker, struct error *err);

struct loop *worker_loop(struct worker *worker);

/* Runs the loop in a new thread that is called @name (borrowed for the call). 0 or -errno. */
int worker_start(struct worker *worker, const char *name, struct error *err);

/* Waits for the callback that is running, and for the thread's end. Takes one that never started. */
void worker_stop(struct worker *worker);

/* Frees a worker that is stopped, with its loop; takes NULL. */
void worker_destroy(struct worker *worker);

#endif
