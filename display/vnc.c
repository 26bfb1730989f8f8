/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc.c - see vnc.h.
 *
 * .lock of the source guards its pixels and each viewer's map of damage. A viewer's thread takes damage
 * into its own copy under it, when its viewer has asked for some, and encodes without it: what libvncserver
 * reads doesn't change meanwhile, and the scan never waits for an encoder.
 */
#include "display/vnc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/scratch.h"
#include "display/vnc_gate.h"
#include "display/vnc_session.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define RECTANGLES_MAX 64
#define INTRODUCTION_NS (10 * NS_PER_S)
#define PIXEL_SIZE 4u

_Static_assert(VNC_GATE_EVENTS_MAX <= VNC_EVENTS_AT_ONCE, "one read brings no more events");

/* --- the source -------------------------------------------------------------------------------- */

struct vnc_source {
	struct vnc_library *library; /* borrowed */
	struct grid grid;
	char name[80];
	pthread_mutex_t lock;
	struct scratch pixels; /* rows of width pixels, 0x00RRGGBB */
	struct vnc_viewer *viewers;
};

struct vnc_viewer {
	struct vnc_source *source;
	struct vnc_viewer *next; /* of the source's */
	const struct vnc_events *events;
	void *arg;
	int fd;      /* owned */
	int wake_fd; /* owned eventfd */
	int number;  /* the library's, while the thread runs; -1: lost */
	pthread_t thread;
	atomic_bool stop;
	atomic_ullong sent;
	uint8_t *damage;  /* owned, the source's lock: a byte a tile */
	uint8_t *damaged; /* owned, the thread's: what it has taken of that */
	/* The thread's. */
	struct scratch pixels;
	struct vnc_session *session;
	char reason[256];
};

static void wake(const struct vnc_viewer *viewer)
{
	uint64_t one = 1;

	if (write(viewer->wake_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

int vnc_source_create(struct vnc_library *library, unsigned width, unsigned height,
                      const char *name, struct vnc_source **out_source, struct error *err)
{
	struct vnc_source *source = calloc(1, sizeof(*source));

	if (!source)
		return error_set(err, -ENOMEM, "no memory for viewers");
	int ret = scratch_init(&source->pixels, (size_t)width * height * PIXEL_SIZE);
	if (ret) {
		free(source);
		return error_set(err, ret, "no memory for viewers");
	}
	source->library = library;
	source->grid = grid_of(width, height);
	snprintf(source->name, sizeof(source->name), "cloche: %s", name);
	pthread_mutex_init(&source->lock, NULL);
	*out_source = source;
	return 0;
}

void vnc_source_destroy(struct vnc_source *source)
{
	if (!source)
		return;
	ASSERT(!source->viewers);
	scratch_finish(&source->pixels);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

static void copy_area(uint32_t *to, const uint32_t *from, unsigned width,
                      const struct rectangle *area)
{
	size_t at = (size_t)area->y * width + area->x;

	for (unsigned y = 0; y < area->height; y++, at += width)
		memcpy(to + at, from + at, area->width * sizeof(*to));
}

bool vnc_source_show(struct vnc_source *source, const struct tiles *tiles)
{
	const struct grid *grid = tiles_grid(tiles);
	const uint8_t *changed = tiles_changed(tiles);
	unsigned count = grid_count(grid);
	bool fits = grid->width == source->grid.width && grid->height == source->grid.height;

	pthread_mutex_lock(&source->lock);
	for (unsigned i = 0; fits && i < count; i++) {
		struct rectangle area = grid_tile(grid, i);

		if (changed[i])
			copy_area(source->pixels.data, tiles_pixels(tiles), grid->width, &area);
	}
	for (struct vnc_viewer *viewer = source->viewers; viewer; viewer = viewer->next) {
		for (unsigned i = 0; fits && i < count; i++)
			viewer->damage[i] |= changed[i];
		if (!fits)
			atomic_store(&viewer->stop, true);
		wake(viewer);
	}
	pthread_mutex_unlock(&source->lock);
	return fits;
}

/* --- a viewer's thread -------------------------------------------------------------------------- */

static void on_key(void *arg, uint32_t keysym, bool down)
{
	struct vnc_viewer *viewer = arg;

	viewer->events->key(viewer->arg, keysym, down);
}

static void on_pointer(void *arg, unsigned x, unsigned y, unsigned buttons)
{
	struct vnc_viewer *viewer = arg;
	unsigned right = viewer->source->grid.width - 1, bottom = viewer->source->grid.height - 1;

	viewer->events->pointer(viewer->arg, x < right ? x : right, y < bottom ? y : bottom,
	                        buttons);
}

static int open_session(struct vnc_viewer *viewer)
{
	const struct vnc_session_options options = {
		.fd = viewer->fd,
		.number = viewer->number,
		.name = viewer->source->name,
		.grid = viewer->source->grid,
		.pixels = viewer->pixels.data,
		.arg = viewer,
		.key = on_key,
		.pointer = on_pointer,
	};

	return vnc_session_create(viewer->source->library, &options, &viewer->session);
}

/* Into the viewer's copy. @out_changed: RECTANGLES_MAX; their number. */
static size_t take_damage(struct vnc_viewer *viewer, struct rectangle *out_changed)
{
	struct vnc_source *source = viewer->source;
	const struct grid *grid = &source->grid;
	unsigned count = grid_count(grid);

	pthread_mutex_lock(&source->lock);
	for (unsigned i = 0; i < count; i++) {
		struct rectangle area = grid_tile(grid, i);

		if (viewer->damage[i])
			copy_area(viewer->pixels.data, source->pixels.data, grid->width, &area);
	}
	memcpy(viewer->damaged, viewer->damage, count);
	memset(viewer->damage, 0, count);
	pthread_mutex_unlock(&source->lock);
	return grid_rectangles(grid, viewer->damaged, out_changed, RECTANGLES_MAX);
}

static int update(struct vnc_viewer *viewer)
{
	struct rectangle changed[RECTANGLES_MAX];

	if (!vnc_session_is_waiting(viewer->session))
		return 0;
	size_t count = take_damage(viewer, changed);
	int ret = vnc_session_update(viewer->session, changed, count);
	atomic_store(&viewer->sent, vnc_session_sent(viewer->session));
	return ret;
}

/* Until it leaves or is sent away; why. */
static int serve(struct vnc_viewer *viewer, struct error *err)
{
	uint64_t deadline_ns = clock_now_ns() + INTRODUCTION_NS, count;
	int ret = 0;

	while (ret == 0 && !atomic_load(&viewer->stop)) {
		bool listens = viewer->events->may_go_on(viewer->arg);
		struct pollfd fds[] = { { .fd = listens ? viewer->fd : -1, .events = POLLIN },
			                { .fd = viewer->wake_fd, .events = POLLIN } };
		bool is_new = !vnc_session_is_open(viewer->session);
		uint64_t now = clock_now_ns();

		if (is_new && now >= deadline_ns)
			return error_set(err, -ETIMEDOUT, "it didn't introduce itself");
		if (poll(fds, 2, is_new ? (int)((deadline_ns - now) / NS_PER_MS) + 1 : -1) < 0)
			ASSERT(errno == EINTR || errno == ENOMEM);
		if (read(viewer->wake_fd, &count, sizeof(count)) < 0)
			ASSERT(errno == EAGAIN);
		ret = listens ? vnc_session_read(viewer->session, err) : 0;
		if (ret == 0)
			ret = update(viewer);
	}
	return ret;
}

static void note_reason(struct vnc_viewer *viewer, int ret, const struct error *err)
{
	const char *reason = "it was sent away";

	if (ret == -ECONNRESET && !atomic_load(&viewer->stop))
		reason = "it closed the connection, or took nothing any more";
	else if (ret && ret != -ECONNRESET)
		reason = err->msg[0] ? err->msg : strerror(-ret);
	snprintf(viewer->reason, sizeof(viewer->reason), "%s", reason);
}

static void *viewer_main(void *arg)
{
	struct vnc_viewer *viewer = arg;
	struct error err = { 0 };
	int ret = open_session(viewer);

	if (ret == 0)
		ret = serve(viewer, &err);
	note_reason(viewer, ret, &err);
	if (!vnc_session_destroy(viewer->session))
		viewer->number = -1;
	/* The other end hears of it now, not when somebody has the time for it. */
	shutdown(viewer->fd, SHUT_RDWR);
	viewer->events->ended(viewer->arg);
	return NULL;
}

/* --- a viewer's life ---------------------------------------------------------------------------- */

static void free_viewer(struct vnc_viewer *viewer)
{
	close_fd(&viewer->fd);
	close_fd(&viewer->wake_fd);
	scratch_finish(&viewer->pixels);
	free(viewer->damage);
	free(viewer->damaged);
	free(viewer);
}

static int fill_viewer(struct vnc_viewer *viewer, struct error *err)
{
	const struct grid *grid = &viewer->source->grid;
	unsigned count = grid_count(grid);

	viewer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (viewer->wake_fd < 0 || fcntl(viewer->fd, F_SETFL, O_NONBLOCK) < 0)
		return error_set(err, -errno, "a viewer's descriptors: %s", strerror(errno));
	viewer->damage = malloc(count);
	viewer->damaged = malloc(count);
	if (!viewer->damage || !viewer->damaged ||
	    scratch_init(&viewer->pixels, (size_t)grid->width * grid->height * PIXEL_SIZE))
		return error_set(err, -ENOMEM, "no memory for a viewer");
	memset(viewer->damage, 1, count);
	return 0;
}

static void link_viewer(struct vnc_viewer *viewer)
{
	pthread_mutex_lock(&viewer->source->lock);
	viewer->next = viewer->source->viewers;
	viewer->source->viewers = viewer;
	pthread_mutex_unlock(&viewer->source->lock);
}

static void unlink_viewer(struct vnc_viewer *viewer)
{
	struct vnc_viewer **at = &viewer->source->viewers;

	pthread_mutex_lock(&viewer->source->lock);
	while (*at != viewer)
		at = &(*at)->next;
	*at = viewer->next;
	pthread_mutex_unlock(&viewer->source->lock);
}

int vnc_viewer_create(struct vnc_source *source, int fd, int number,
                      const struct vnc_events *events, void *arg, struct vnc_viewer **out_viewer,
                      struct error *err)
{
	struct vnc_viewer *viewer = calloc(1, sizeof(*viewer));

	if (!viewer) {
		close_fd(&fd);
		return error_set(err, -ENOMEM, "no memory for a viewer");
	}
	*viewer = (struct vnc_viewer){ .source = source,
		                       .events = events,
		                       .arg = arg,
		                       .fd = fd,
		                       .wake_fd = -1,
		                       .number = number };
	int ret = fill_viewer(viewer, err);
	if (ret) {
		free_viewer(viewer);
		return ret;
	}
	link_viewer(viewer);
	ret = thread_start(&viewer->thread, "viewer", 0, viewer_main, viewer);
	if (ret) {
		unlink_viewer(viewer);
		free_viewer(viewer);
		return error_set(err, ret, "no thread for a viewer: %s", strerror(-ret));
	}
	*out_viewer = viewer;
	return 0;
}

int vnc_viewer_destroy(struct vnc_viewer *viewer)
{
	if (!viewer)
		return -1;
	atomic_store(&viewer->stop, true);
	/* Whatever its thread waits for on the socket ends; it may be asleep, too. */
	shutdown(viewer->fd, SHUT_RDWR);
	wake(viewer);
	pthread_join(viewer->thread, NULL);
	unlink_viewer(viewer);
	int number = viewer->number;
	free_viewer(viewer);
	return number;
}

void vnc_viewer_go_on(const struct vnc_viewer *viewer)
{
	wake(viewer);
}

const char *vnc_viewer_reason(const struct vnc_viewer *viewer)
{
	return viewer->reason;
}

uint64_t vnc_viewer_sent(const struct vnc_viewer *viewer)
{
	return atomic_load(&viewer->sent);
}
