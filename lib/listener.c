/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

/* Connections taken in one turn of the loop: others wait there too. */
#define BATCH 16
#define REST_NS (100 * NS_PER_MS)

static void rested(struct loop_timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, rest);

	if (!listener->paused && loop_watch_change(listener->loop, &listener->watch, EPOLLIN))
		loop_timer_set(listener->loop, timer, clock_now_ns() + REST_NS, rested);
}

/* EPOLLERR and EPOLLHUP still come, but a listening socket has none. */
static void take_a_rest(struct listener *listener, int error)
{
	log_warn_limited(&listener->limit, "no room for a connection: %s", strerror(error));
	if (loop_watch_change(listener->loop, &listener->watch, 0) == 0)
		loop_timer_set(listener->loop, &listener->rest, clock_now_ns() + REST_NS, rested);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
	struct listener *listener = container_of(watch, struct listener, watch);

	(void)events;
	for (int i = 0; i < BATCH && listener->fd >= 0 && !listener->paused; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener->accepted(listener, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		           errno == ENOMEM) {
			take_a_rest(listener, errno);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
		/* Anything else is the end of that one connection: accept(2), "Error handling". */
	}
}

int listener_start(struct listener *listener, struct loop *loop, int fd,
                   void (*accepted)(struct listener *listener, int fd))
{
	listener->loop = loop;
	listener->accepted = accepted;
	listener->limit = (struct log_limit)LOG_LIMIT_INIT;
	listener->paused = false;
	int ret = loop_watch_add(loop, &listener->watch, fd, EPOLLIN, on_ready);
	listener->fd = ret == 0 ? fd : -1;
	return ret;
}

void listener_pause(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	listener->paused = true;
	int ret = loop_watch_change(listener->loop, &listener->watch, 0);
	/* Taking interest away needs no memory: it can't fail. */
	ASSERT(ret == 0);
}

void listener_resume(struct listener *listener)
{
	if (listener->fd < 0 || !listener->paused)
		return;
	listener->paused = false;
	rested(&listener->rest);
}

void listener_stop(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	loop_watch_remove(listener->loop, &listener->watch);
	loop_timer_cancel(listener->loop, &listener->rest);
	close_fd(&listener->fd);
}
