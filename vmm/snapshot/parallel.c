/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/parallel.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/thread.h"

#define TICK_NS (100 * NS_PER_MS)

struct pool {
	const struct parallel *what; /* borrowed */
	pthread_mutex_t lock;        /* over all below */
	pthread_cond_t ended;        /* running has become 0 */
	uint64_t next;
	unsigned running;
	struct error err; /* the first; code 0 while there is none */
};

unsigned parallel_threads(unsigned wanted)
{
	cpu_set_t cpus;

	if (wanted == 0)
		wanted = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : (unsigned)CPU_COUNT(&cpus);
	return wanted < PARALLEL_THREADS_MAX ? wanted : PARALLEL_THREADS_MAX;
}

static void *run(void *arg)
{
	struct pool *pool = arg;
	const struct parallel *what = pool->what;

	pthread_mutex_lock(&pool->lock);
	while (pool->err.code == 0 && pool->next < what->count) {
		uint64_t index = pool->next++;
		struct error err = { 0 };

		pthread_mutex_unlock(&pool->lock);
		int ret = what->work(what->arg, index, &err);
		pthread_mutex_lock(&pool->lock);
		if (ret && pool->err.code == 0)
			pool->err = err;
	}
	if (--pool->running == 0)
		pthread_cond_signal(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Fills @threads and says how many there are; -errno when there are none. */
static int start(struct pool *pool, pthread_t threads[PARALLEL_THREADS_MAX])
{
	const struct parallel *what = pool->what;
	unsigned started = 0;
	int ret = 0;

	while (started < what->threads && started < what->count) {
		/* Counted first: it may be done before this returns. */
		pthread_mutex_lock(&pool->lock);
		pool->running++;
		pthread_mutex_unlock(&pool->lock);
		ret = thread_start(&threads[started], what->name, 0, run, pool);
		if (ret == 0) {
			started++;
			continue;
		}
		pthread_mutex_lock(&pool->lock);
		pool->running--;
		pthread_mutex_unlock(&pool->lock);
		break;
	}
	return started ? (int)started : ret;
}

static void wait_for_end(struct pool *pool)
{
	const struct parallel *what = pool->what;
	uint64_t due_ns = clock_now_ns() + TICK_NS;

	pthread_mutex_lock(&pool->lock);
	while (pool->running > 0) {
		struct timespec due = { .tv_sec = (time_t)(due_ns / NS_PER_S),
			                .tv_nsec = (long)(due_ns % NS_PER_S) };

		if (pthread_cond_timedwait(&pool->ended, &pool->lock, &due) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&pool->lock);
		if (what->tick)
			what->tick(what->arg);
		due_ns = clock_now_ns() + TICK_NS;
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	if (what->tick)
		what->tick(what->arg);
}

int parallel_run(const struct parallel *parallel, struct error *err)
{
	struct pool pool = { .what = parallel, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[PARALLEL_THREADS_MAX];
	pthread_condattr_t attributes;

	if (parallel->count == 0)
		return 0;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.ended, &attributes);
	pthread_condattr_destroy(&attributes);

	int started = start(&pool, threads);
	if (started > 0)
		wait_for_end(&pool);
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&pool.ended);
	pthread_mutex_destroy(&pool.lock);
	if (started < 0)
		return error_set(err, started, "cannot start a thread: %s", strerror(-started));
	if (pool.err.code)
		return error_set(err, pool.err.code, "%s", pool.err.msg);
	return 0;
}
