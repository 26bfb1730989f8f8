/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.c - see scan.h.
 *
 *	I/O thread           .lock guards                   scan thread
 *	scan_add     ------> .listeners, .stop  <------     visits each listener, the lock not held
 *	scan_remove  ------> .visited, .next                during its callback
 *
 * 1. A listener is visited only while it is in the list; scan_remove() takes it out, then waits while it is the
 *    one visited. So the I/O thread never waits for anybody else's callback.
 * 2. The thread exists from the first scan_add() to the last scan_remove(), which joins it.
 * 3. Nothing of this is a guest's state: a fork(2) needs no rest here. The child of one never touches what
 *    it has inherited (snapshot/clone.h), and the copy of the screen isn't inherited (display/scratch.h).
 */
#include "vmm/scan.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define FAST_NS (NS_PER_S / 30)
#define SLOW_NS (NS_PER_S / 2)
/* After a poke: the sooner the guest's answer is seen, the better; then fast for a while. */
#define KEEN_NS (NS_PER_S / 60)
#define KEEN_FOR_NS (NS_PER_S / 4)
#define FAST_FOR_NS NS_PER_S

struct scan {
	struct vm *vm;   /* borrowed */
	int wake_fd;     /* owned eventfd */
	bool has_thread; /* the I/O thread's */
	pthread_t thread;
	atomic_bool watched, poked, woken;

	pthread_mutex_t lock;
	pthread_cond_t visit_over;
	bool stop, newcomer;
	unsigned count;
	struct scan_listener *listeners;
	struct scan_listener *visited; /* its callback runs */
	struct scan_listener *next;    /* is visited next */

	/* The thread's own. */
	struct framebuffer *fb; /* owned reference: what was scanned last */
	struct tiles *tiles;    /* owned */
	struct log_limit complaints;
	uint64_t number, time_ns;
	uint64_t interval_ns, due_ns, poked_ns;
};

static void wake(struct scan *scan)
{
	uint64_t one = 1;

	if (write(scan->wake_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

/* --- visits ---------------------------------------------------------------------------------- */

/* Calls @visit for each listener, also for those that come meanwhile. The lock is held, but during @visit. */
static void visit_all(struct scan *scan,
                      void (*visit)(struct scan *, struct scan_listener *, const void *),
                      const void *arg)
{
	scan->next = scan->listeners;
	while (scan->next && !scan->stop) {
		struct scan_listener *listener = scan->next;

		scan->next = listener->next;
		scan->visited = listener;
		pthread_mutex_unlock(&scan->lock);
		visit(scan, listener, arg);
		pthread_mutex_lock(&scan->lock);
		scan->visited = NULL;
		pthread_cond_broadcast(&scan->visit_over);
	}
	scan->next = NULL;
}

static void tell_change(struct scan *scan, struct scan_listener *listener, const void *frame)
{
	(void)scan;
	if (!listener->fresh)
		listener->frame(listener, frame);
}

static void tell_all(struct scan *scan, struct scan_listener *listener, const void *frame)
{
	(void)scan;
	if (listener->fresh) {
		listener->fresh = false;
		listener->frame(listener, frame);
	}
}

static void make_fresh(struct scan *scan, struct scan_listener *listener, const void *arg)
{
	(void)scan;
	(void)arg;
	listener->fresh = true;
}

/* @arg: the time up to which calls are due; NULL: all are. */
static void call_idle(struct scan *scan, struct scan_listener *listener, const void *arg)
{
	const uint64_t *now = arg;

	(void)scan;
	if (!listener->idle || (now && (listener->due_ns == 0 || listener->due_ns > *now)))
		return;
	listener->due_ns = listener->idle(listener);
}

/* --- looking --------------------------------------------------------------------------------- */

/* The screen as it is now. False: there is none, or no memory for its copy. */
static bool follow_screen(struct scan *scan, bool *out_replaced)
{
	struct framebuffer *fb = screen_framebuffer(scan->vm->screen);
	const struct grid *grid = scan->tiles ? tiles_grid(scan->tiles) : NULL;

	*out_replaced = fb != scan->fb;
	framebuffer_destroy(scan->fb);
	scan->fb = fb;
	if (!fb)
		return false;
	if (grid && grid->width == framebuffer_width(fb) && grid->height == framebuffer_height(fb))
		return true;
	tiles_destroy(steal_pointer(&scan->tiles));
	if (tiles_create(framebuffer_width(fb), framebuffer_height(fb), &scan->tiles) == 0)
		return true;
	log_warn_limited(&scan->complaints, "display: no memory to watch a screen of %ux%u",
	                 framebuffer_width(fb), framebuffer_height(fb));
	/* Whole once there is. */
	framebuffer_destroy(steal_pointer(&scan->fb));
	return false;
}

/* Waits longer from scan to scan while nothing changes. The lock is held. */
static void set_pace(struct scan *scan, bool changed)
{
	uint64_t since_poke = scan->poked_ns ? scan->time_ns - scan->poked_ns : UINT64_MAX;
	bool fast = changed || since_poke < FAST_FOR_NS;

	for (struct scan_listener *l = scan->listeners; l && !fast; l = l->next)
		fast = l->fast;
	if (since_poke < KEEN_FOR_NS)
		scan->interval_ns = KEEN_NS;
	else if (fast)
		scan->interval_ns = FAST_NS;
	else
		scan->interval_ns += scan->interval_ns / 2;
	if (scan->interval_ns > SLOW_NS)
		scan->interval_ns = SLOW_NS;
	scan->due_ns = scan->time_ns + scan->interval_ns;
}

/* Now, if the last scan isn't that young: whoever asks for it without end gets 60 Hz. */
static void look_soon(struct scan *scan)
{
	if (scan->due_ns > scan->time_ns + KEEN_NS)
		scan->due_ns = scan->time_ns + KEEN_NS;
}

static bool has_fresh(const struct scan *scan)
{
	for (const struct scan_listener *l = scan->listeners; l; l = l->next)
		if (l->fresh)
			return true;
	return false;
}

/* One scan, and who wants to know of it. The lock is held, but not while it is done. */
static void look(struct scan *scan)
{
	bool replaced;

	scan->time_ns = clock_now_ns();
	pthread_mutex_unlock(&scan->lock);
	bool is_there = follow_screen(scan, &replaced);
	unsigned changed = is_there ? tiles_scan(scan->tiles, scan->fb) : 0;
	pthread_mutex_lock(&scan->lock);
	set_pace(scan, changed > 0);
	if (!is_there)
		return;
	if (replaced)
		visit_all(scan, make_fresh, NULL);
	struct scan_frame frame = { .number = ++scan->number,
		                    .time_ns = scan->time_ns,
		                    .width = tiles_grid(scan->tiles)->width,
		                    .height = tiles_grid(scan->tiles)->height,
		                    .tiles = scan->tiles,
		                    .changed = changed };
	if (changed > 0)
		visit_all(scan, tell_change, &frame);
	if (has_fresh(scan)) {
		tiles_mark_all(scan->tiles);
		frame.changed = tiles_count(scan->tiles);
		visit_all(scan, tell_all, &frame);
	}
}

/* --- the thread ------------------------------------------------------------------------------ */

/* Sleeps until @until, an event of a listener's fd (in @fds), or wake(). */
static void sleep_until(const struct scan *scan, uint64_t until, struct pollfd *fds, nfds_t count)
{
	uint64_t now = clock_now_ns(), left = until > now ? until - now : 0, drained;
	struct timespec timeout = { .tv_sec = (time_t)(left / NS_PER_S),
		                    .tv_nsec = (long)(left % NS_PER_S) };

	if (ppoll(fds, count, &timeout, NULL) < 0) {
		ASSERT(errno == EINTR || errno == ENOMEM);
		for (nfds_t i = 0; i < count; i++)
			fds[i].revents = 0;
	}
	if (fds[0].revents && read(scan->wake_fd, &drained, sizeof(drained)) < 0)
		ASSERT(errno == EAGAIN);
}

struct ready {
	const struct pollfd *fds;
	nfds_t count;
};

static void call_readable(struct scan *scan, struct scan_listener *listener, const void *arg)
{
	const struct ready *ready = arg;

	(void)scan;
	for (nfds_t i = 1; listener->fd >= 0 && i < ready->count; i++)
		if (ready->fds[i].fd == listener->fd && ready->fds[i].revents) {
			listener->readable(listener);
			return;
		}
}

/* Until there is something to do; what comes in meanwhile is given to whom it is for. The lock is held. */
static void rest(struct scan *scan)
{
	struct pollfd fds[SCAN_LISTENERS_MAX + 1] = { { .fd = scan->wake_fd, .events = POLLIN } };
	struct ready ready = { .fds = fds, .count = 1 };
	uint64_t until = scan->due_ns;
	bool some = false;

	for (const struct scan_listener *l = scan->listeners; l; l = l->next) {
		if (l->fd >= 0)
			fds[ready.count++] = (struct pollfd){ .fd = l->fd, .events = POLLIN };
		if (l->due_ns && l->due_ns < until)
			until = l->due_ns;
	}
	pthread_mutex_unlock(&scan->lock);
	sleep_until(scan, until, fds, ready.count);
	for (nfds_t i = 1; i < ready.count; i++)
		some |= fds[i].revents != 0;
	pthread_mutex_lock(&scan->lock);
	if (some)
		visit_all(scan, call_readable, &ready);
}

static void *scan_main(void *arg)
{
	struct scan *scan = arg;

	pthread_mutex_lock(&scan->lock);
	while (!scan->stop) {
		bool poked = atomic_exchange(&scan->poked, false);
		bool woken = atomic_exchange(&scan->woken, false);
		uint64_t now = clock_now_ns();

		if (poked)
			scan->poked_ns = now;
		if (poked || scan->newcomer)
			look_soon(scan);
		scan->newcomer = false;
		if (now >= scan->due_ns) {
			look(scan);
			woken = true;
		}
		visit_all(scan, call_idle, woken ? NULL : &now);
		if (!scan->stop)
			rest(scan);
	}
	pthread_mutex_unlock(&scan->lock);
	tiles_destroy(steal_pointer(&scan->tiles));
	framebuffer_destroy(steal_pointer(&scan->fb));
	/* What callbacks have freed, too: a session that nobody watches takes no more than before. */
	malloc_trim(0);
	return NULL;
}

/* --- for everybody --------------------------------------------------------------------------- */

int scan_create(struct vm *vm, struct scan **out_scan)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return -ENOMEM;
	scan->vm = vm;
	scan->complaints = (struct log_limit)LOG_LIMIT_INIT;
	scan->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (scan->wake_fd < 0) {
		free(scan);
		return -errno;
	}
	pthread_mutex_init(&scan->lock, NULL);
	pthread_cond_init(&scan->visit_over, NULL);
	*out_scan = scan;
	return 0;
}

void scan_destroy(struct scan *scan)
{
	if (!scan)
		return;
	ASSERT(!scan->has_thread);
	close_fd(&scan->wake_fd);
	pthread_cond_destroy(&scan->visit_over);
	pthread_mutex_destroy(&scan->lock);
	free(scan);
}

/* There is no thread. */
static int start_thread(struct scan *scan)
{
	scan->stop = false;
	scan->due_ns = scan->time_ns = scan->poked_ns = 0;
	scan->interval_ns = FAST_NS;
	int ret = thread_start(&scan->thread, "scan", 0, scan_main, scan);
	scan->has_thread = ret == 0;
	return ret;
}

static void join_thread(struct scan *scan)
{
	wake(scan);
	pthread_join(scan->thread, NULL);
	scan->has_thread = false;
}

int scan_add(struct scan *scan, struct scan_listener *listener)
{
	ASSERT(!listener->active);
	if (scan->count == SCAN_LISTENERS_MAX)
		return -EBUSY;
	listener->active = listener->fresh = true;
	listener->due_ns = 0;
	pthread_mutex_lock(&scan->lock);
	listener->next = scan->listeners;
	scan->listeners = listener;
	scan->count++;
	scan->newcomer = true;
	pthread_mutex_unlock(&scan->lock);
	atomic_store(&scan->watched, true);
	int ret = scan->has_thread ? 0 : start_thread(scan);
	if (ret)
		scan_remove(scan, listener);
	else
		wake(scan);
	return ret;
}

static void unlink_listener(struct scan *scan, const struct scan_listener *listener)
{
	struct scan_listener **link = &scan->listeners;

	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	if (scan->next == listener)
		scan->next = listener->next;
	scan->count--;
}

void scan_remove(struct scan *scan, struct scan_listener *listener)
{
	if (!listener->active)
		return;
	pthread_mutex_lock(&scan->lock);
	unlink_listener(scan, listener);
	scan->stop = scan->count == 0;
	while (scan->visited == listener)
		pthread_cond_wait(&scan->visit_over, &scan->lock);
	pthread_mutex_unlock(&scan->lock);
	listener->active = false;
	if (scan->count > 0)
		return;
	atomic_store(&scan->watched, false);
	if (scan->has_thread)
		join_thread(scan);
}

void scan_poke(struct scan *scan)
{
	if (!atomic_load(&scan->watched))
		return;
	atomic_store(&scan->poked, true);
	wake(scan);
}

void scan_wake(struct scan *scan)
{
	if (!atomic_load(&scan->watched))
		return;
	atomic_store(&scan->woken, true);
	wake(scan);
}

uint64_t scan_time(const struct scan *scan)
{
	return scan->time_ns;
}

const struct tiles *scan_tiles(const struct scan *scan)
{
	return scan->tiles;
}
