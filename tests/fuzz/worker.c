/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.c - vmm/virtio/worker.h without its thread: the device's work is done on the driver's loop,
 * so that an input does the same every time. What threads can do to each other, check-tsan looks at.
 */
#include "vmm/virtio/worker.h"

#include <stdlib.h>

#include "tests/fuzz/driver.h"

struct worker {
	struct loop *loop; /* borrowed */
};

int worker_create(struct worker **out_worker, struct error *err)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	(void)err;
	CHECK(worker);
	worker->loop = driver_loop_of_bed();
	*out_worker = worker;
	return 0;
}

struct loop *worker_loop(struct worker *worker)
{
	return worker->loop;
}

int worker_start(struct worker *worker, const char *name, struct error *err)
{
	(void)worker;
	(void)name;
	(void)err;
	return 0;
}

void worker_stop(struct worker *worker)
{
	(void)worker;
}

void worker_destroy(struct worker *worker)
{
	free(worker);
}
