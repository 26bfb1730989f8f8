/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define THREAD_NAME_MAX 15 /* pthread_setname_np(3) */

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
	char short_name[THREAD_NAME_MAX + 1] = { 0 };
	sigset_t all, before;

	/* Signals are for the threads that know what to do with them; the mask is inherited. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int ret = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return error_set(err, -ret, "cannot start a thread: %s", strerror(ret));
	worker->started = true;
	strncpy(short_name, name, THREAD_NAME_MAX);
	pthread_setname_np(worker->thread, short_name);
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
