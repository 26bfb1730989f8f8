/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - the event loop: epoll for file descriptors, a short list for timers.
 *
 * One thread owns a loop and calls all of it, except loop_stop(), which any thread and a signal
 * handler may call. Callbacks run on the owning thread; a callback may add, change and remove any
 * watch or timer, its own included.
 */
#ifndef CLOCHE_LIB_LOOP_H
#define CLOCHE_LIB_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop; /* opaque */

/*
 * A file descriptor under watch; embedded in its owner. The fd is borrowed: the owner removes the
 * watch, then closes the fd.
 */
struct loop_watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT…, EPOLLET; EPOLLERR and EPOLLHUP always come */
	void (*ready)(struct loop_watch *watch, uint32_t events);
	bool active;
};

/* A one-shot deadline; embedded in its owner. */
struct loop_timer {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	void (*expired)(struct loop_timer *timer);
	bool active;
	struct loop_timer *next; /* the loop's own */
};

/* Creates an empty loop. 0 or -errno; *out_loop is owned by the caller. */
int loop_create(struct loop **out_loop);

/* Closes the loop; takes NULL. Watches and timers still in it are forgotten, not called. */
void loop_destroy(struct loop *loop);

/* Starts watching @fd for @events. @watch must not be active. 0 or -errno. */
int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                   void (*ready)(struct loop_watch *, uint32_t));

/* Changes the events of an active watch; cheap when they are the same. 0 or -errno. */
int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);

/* Stops watching; does nothing when it isn't active. Its callback is not called again. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Sets or moves a deadline (CLOCK_MONOTONIC, nanoseconds). */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns,
                    void (*expired)(struct loop_timer *));

/* Forgets a deadline; does nothing when none is set. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Runs until loop_stop(). 0, or -errno when epoll itself failed. Blocks. */
int loop_run(struct loop *loop);

/* Makes loop_run() return after the callbacks of the current round. Any thread, signal-safe. */
void loop_stop(struct loop *loop);

/* The structure that a member is embedded in. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
