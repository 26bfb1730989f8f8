/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/thread.h"

struct worker {
	struct loop *loop; /* owned */
	pthread_t thread;
	bool started;
};

static void *run(void *arg)
{
	struct worker *worker = arg;
	int ret = loop_run(worker->loop);

	/* epoll itself doesn't fail on fds that are ours. */
	ASSERT(ret == 0);
	return NULL;
}

int worker_create(struct worker **out_worker, struct error *err)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int ret = worker ? loop_create(&worker->loop) : -ENOMEM;

	if (ret) {
		free(worker);
		return error_set(err, ret, "cannot create an event loop: %s", strerror(-ret));
	}
	*out_worker = worker;
	return 0;
}

struct loop *worker_loop(struct worker *worker)
{
	return worker->loop;
}

int worker_start(struct worker *worker, const char *name, struct error *err)
{
	int ret = thread_start(&worker->thread, name, 0, run, worker);

	if (ret)
		return error_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	worker->started = true;
	return 0;
}

void worker_stop(struct worker *worker)
{
	if (!worker->started)
		return;
	loop_stop(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->started = false;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	ASSERT(!worker->started);
	loop_destroy(worker->loop);
	free(worker);
}
