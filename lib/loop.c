/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - see loop.h. One thread owns a loop; only loop_stop() is called from elsewhere.
 *
 * A round is: wait, call the watches that are ready, call the timers that were due when the wait
 * ended. Two invariants carry the promise that callbacks may do anything to any watch or timer:
 *
 *  1. Events fetched but not yet delivered live in the loop. Removing a watch strikes out its
 *     undelivered events, so no callback runs on memory that its owner has freed, and a watch that
 *     is added again within the round doesn't see the old fd's events.
 *  2. The due timers are moved to a list of their own before the first one is called. A callback
 *     that sets a deadline in the past is called in the next round: it can't starve the watches.
 */
#include "lib/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

#define LOOP_EVENTS_MAX 64

struct loop {
	int epoll_fd; /* owned */
	int stop_fd;  /* owned: eventfd, wakes the wait for loop_stop() */
	atomic_bool stopping;
	struct loop_timer *timers; /* borrowed, sorted by deadline */
	struct loop_timer *due;    /* borrowed, expired in this round, not yet called */
	struct epoll_event events[LOOP_EVENTS_MAX]; /* of this round; data.ptr NULL: struck out */
	int delivered, fetched; /* events[delivered..fetched) are to be called */
};

int loop_create(struct loop **out_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event event = { .events = EPOLLIN };
	int rc;

	if (!loop)
		return -ENOMEM;
	loop->stop_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		goto fail;
	loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->stop_fd < 0)
		goto fail;
	/* The stop fd is the one whose events carry no watch: they are skipped like struck ones. */
	event.data.ptr = NULL;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->stop_fd, &event) < 0)
		goto fail;
	*out_loop = loop;
	return 0;
fail:
	rc = -errno;
	loop_destroy(loop);
	return rc;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	close_fd(&loop->stop_fd);
	close_fd(&loop->epoll_fd);
	free(loop);
}

int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                   void (*ready)(struct loop_watch *, uint32_t))
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	ASSERT(!watch->active);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	*watch = (struct loop_watch){
		.fd = fd,
		.events = events,
		.ready = ready,
		.active = true,
	};
	return 0;
}

int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	ASSERT(watch->active);
	if (watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
		return -errno;
	watch->events = events;
	return 0;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->active)
		return;
	watch->active = false;
	for (int i = loop->delivered; i < loop->fetched; i++) {
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
	}
	/* Can only fail for an fd that was closed too early: a bug of the owner's. */
	ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
}

static bool timer_unlink(struct loop_timer **list, struct loop_timer *timer)
{
	for (struct loop_timer **at = list; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			return true;
		}
	}
	return false;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns,
                    void (*expired)(struct loop_timer *))
{
	struct loop_timer **at = &loop->timers;

	loop_timer_cancel(loop, timer);
	/* After its equals: same deadline, same order. */
	while (*at && (*at)->deadline_ns <= deadline_ns)
		at = &(*at)->next;
	*timer = (struct loop_timer){
		.deadline_ns = deadline_ns,
		.expired = expired,
		.active = true,
		.next = *at,
	};
	*at = timer;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->active)
		return;
	timer->active = false;
	if (!timer_unlink(&loop->timers, timer))
		ASSERT(timer_unlink(&loop->due, timer));
}

/* How long epoll may sleep: to the first deadline, rounded up so that it is due on waking. */
static int wait_ms(const struct loop *loop)
{
	uint64_t now, ms;

	if (!loop->timers)
		return -1;
	now = clock_now_ns();
	if (loop->timers->deadline_ns <= now)
		return 0;
	ms = (loop->timers->deadline_ns - now - 1) / NS_PER_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void call_watches(struct loop *loop)
{
	while (loop->delivered < loop->fetched) {
		struct epoll_event *event = &loop->events[loop->delivered++];
		struct loop_watch *watch = event->data.ptr;

		if (watch)
			watch->ready(watch, event->events);
	}
}

static void call_timers(struct loop *loop)
{
	uint64_t now = clock_now_ns();
	struct loop_timer **end = &loop->timers;

	while (*end && (*end)->deadline_ns <= now)
		end = &(*end)->next;
	if (end != &loop->timers) {
		loop->due = loop->timers;
		loop->timers = *end;
		*end = NULL;
	}
	while (loop->due) {
		struct loop_timer *timer = loop->due;

		loop->due = timer->next;
		timer->active = false;
		timer->expired(timer);
	}
}

int loop_run(struct loop *loop)
{
	uint64_t count;

	while (!atomic_load(&loop->stopping)) {
		int n = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, wait_ms(loop));

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->delivered = 0;
		loop->fetched = n < 0 ? 0 : n;
		call_watches(loop);
		call_timers(loop);
	}
	/* The next run starts afresh. An eventfd that is empty already says EAGAIN: fine. */
	if (read(loop->stop_fd, &count, sizeof(count)) < 0)
		ASSERT(errno == EAGAIN);
	atomic_store(&loop->stopping, false);
	return 0;
}

void loop_stop(struct loop *loop)
{
	int saved_errno = errno;
	uint64_t one = 1;

	atomic_store(&loop->stopping, true);
	/* Fails only when 2^64-2 stops are pending, and then it is awake anyway. */
	if (write(loop->stop_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
	errno = saved_errno;
}
