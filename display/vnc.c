/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc.c - see vnc.h.
 *
 * .lock of the source guards its pixels and each viewer's map of damage. A viewer's thread takes damage
 * into its own copy under it, a few tiles at a time, and encodes without it: what libvncserver reads doesn't
 * change meanwhile, and the scan never waits for an encoder.
 *
 * libvncserver 0.9.14, as far as it matters here: a screen that was never rfbInitServer()ed has no socket
 * and no port. rfbProcessEvents() takes at most one message of a client and sends at most one update; all of
 * it blocks, at most .maxClientWait for each piece. It uses select(2): descriptors must be below FD_SETSIZE.
 */
#include "display/vnc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "display/scratch.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define LIBRARY "libvncserver.so.1"
#define RECTANGLES_MAX 64
#define INTRODUCTION_NS (10 * NS_PER_S)
/* For a piece of what is sent, and of a message once begun. */
#define PATIENCE_MS 30000
#define PIXEL_SIZE 4u

/* --- the library ------------------------------------------------------------------------------- */

static struct {
	void *handle; /* never closed */
	typeof(rfbGetScreen) *get_screen;
	typeof(rfbScreenCleanup) *screen_cleanup;
	typeof(rfbNewClientConnection) *new_client;
	typeof(rfbProcessEvents) *process_events;
	typeof(rfbMarkRectAsModified) *mark_modified;
	typeof(rfbCloseClient) *close_client;
	typeof(rfbStatGetSentBytes) *sent_bytes;
	rfbLogProc *log, *err;
} lib;

__attribute__((format(printf, 1, 2))) static void on_library_log(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("vnc: %s", line);
}

static int load_library(struct error *err)
{
	if (lib.handle)
		return 0;
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return error_set(err, -ENOENT,
		                 "no viewers without " LIBRARY " (Debian: libvncserver1): %s",
		                 dlerror());
	const struct {
		const char *name;
		void **place;
	} symbols[] = {
		{ "rfbGetScreen", (void **)&lib.get_screen },
		{ "rfbScreenCleanup", (void **)&lib.screen_cleanup },
		{ "rfbNewClientConnection", (void **)&lib.new_client },
		{ "rfbProcessEvents", (void **)&lib.process_events },
		{ "rfbMarkRectAsModified", (void **)&lib.mark_modified },
		{ "rfbCloseClient", (void **)&lib.close_client },
		{ "rfbStatGetSentBytes", (void **)&lib.sent_bytes },
		{ "rfbLog", (void **)&lib.log },
		{ "rfbErr", (void **)&lib.err },
	};
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		*symbols[i].place = dlsym(handle, symbols[i].name);
		if (!*symbols[i].place)
			return error_set(err, -ENOENT, "%s has no %s", LIBRARY, symbols[i].name);
	}
	*lib.log = *lib.err = on_library_log;
	lib.handle = handle;
	return 0;
}

/* --- the source -------------------------------------------------------------------------------- */

struct vnc_source {
	struct grid grid;
	char name[80];
	pthread_mutex_t lock;
	struct scratch pixels; /* rows of width pixels, 0x00RRGGBB */
	struct vnc_viewer *viewers;
	atomic_uint pointer; /* y << 16 | x */
};

struct vnc_viewer {
	struct vnc_source *source;
	struct vnc_viewer *next; /* of the source's */
	const struct vnc_events *events;
	void *arg;
	int fd;      /* owned: another descriptor of the socket, to shut it down */
	int wake_fd; /* owned eventfd */
	int lib_fd;  /* the library's, once it has it */
	pthread_t thread;
	atomic_bool stop;
	atomic_ullong sent;
	uint8_t *damage;  /* owned, the source's lock: a byte a tile */
	uint8_t *damaged; /* owned, the thread's: what it has taken of that */
	/* The thread's. */
	struct scratch pixels;
	rfbScreenInfoPtr screen;
	rfbClientPtr client; /* NULL: gone */
	uint64_t begun_ns;
};

static void wake(const struct vnc_viewer *viewer)
{
	uint64_t one = 1;

	if (write(viewer->wake_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

int vnc_source_create(unsigned width, unsigned height, const char *name,
                      struct vnc_source **out_source, struct error *err)
{
	int ret = load_library(err);

	if (ret)
		return ret;
	struct vnc_source *source = calloc(1, sizeof(*source));
	if (!source)
		return error_set(err, -ENOMEM, "no memory for viewers");
	ret = scratch_init(&source->pixels, (size_t)width * height * PIXEL_SIZE);
	if (ret) {
		free(source);
		return error_set(err, ret, "no memory for viewers");
	}
	source->grid = grid_of(width, height);
	/* Where X has it at first. */
	atomic_store(&source->pointer, height / 2 << 16 | width / 2);
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

void vnc_source_point(struct vnc_source *source, unsigned x, unsigned y)
{
	unsigned place = (y & 0xffff) << 16 | (x & 0xffff);

	if (atomic_exchange(&source->pointer, place) == place)
		return;
	pthread_mutex_lock(&source->lock);
	for (const struct vnc_viewer *viewer = source->viewers; viewer; viewer = viewer->next)
		wake(viewer);
	pthread_mutex_unlock(&source->lock);
}

/* --- what a viewer says ------------------------------------------------------------------------ */

static struct vnc_viewer *viewer_of(const struct _rfbClientRec *client)
{
	return client->screen->screenData;
}

static void on_key(rfbBool down, rfbKeySym keysym, struct _rfbClientRec *client)
{
	struct vnc_viewer *viewer = viewer_of(client);

	viewer->events->key(viewer->arg, keysym, down);
}

static void on_pointer(int buttons, int x, int y, struct _rfbClientRec *client)
{
	struct vnc_viewer *viewer = viewer_of(client);
	int right = (int)viewer->source->grid.width - 1,
	    bottom = (int)viewer->source->grid.height - 1;

	x = x < 0 ? 0 : x > right ? right : x;
	y = y < 0 ? 0 : y > bottom ? bottom : y;
	viewer->events->pointer(viewer->arg, (unsigned)x, (unsigned)y, (unsigned)buttons & 0xff);
}

static void on_cut_text(char *text, int size, struct _rfbClientRec *client)
{
	(void)text;
	(void)size;
	(void)client;
}

static void on_gone(struct _rfbClientRec *client)
{
	viewer_of(client)->client = NULL;
}

static enum rfbNewClientAction on_new_client(struct _rfbClientRec *client)
{
	viewer_of(client)->client = client;
	client->clientGoneHook = on_gone;
	return RFB_CLIENT_ACCEPT;
}

/* --- a viewer's thread -------------------------------------------------------------------------- */

static bool open_screen(struct vnc_viewer *viewer)
{
	const struct grid *grid = &viewer->source->grid;
	rfbScreenInfoPtr screen =
		lib.get_screen(NULL, NULL, (int)grid->width, (int)grid->height, 8, 3, PIXEL_SIZE);

	if (!screen)
		return false;
	viewer->screen = screen;
	screen->screenData = viewer;
	screen->desktopName = viewer->source->name;
	screen->frameBuffer = viewer->pixels.data;
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	screen->alwaysShared = TRUE;
	screen->deferUpdateTime = 0;
	screen->deferPtrUpdateTime = 0;
	screen->maxClientWait = PATIENCE_MS;
	screen->ignoreSIGPIPE = FALSE;
	screen->permitFileTransfer = FALSE;
	screen->kbdAddEvent = on_key;
	screen->ptrAddEvent = on_pointer;
	screen->setXCutText = on_cut_text;
	screen->newClientHook = on_new_client;
	lib.new_client(screen, viewer->lib_fd);
	viewer->lib_fd = -1;
	return viewer->client != NULL;
}

static void take_damage(struct vnc_viewer *viewer)
{
	struct vnc_source *source = viewer->source;
	struct rectangle areas[RECTANGLES_MAX];
	unsigned count = grid_count(&source->grid);

	pthread_mutex_lock(&source->lock);
	for (unsigned i = 0; i < count; i++) {
		struct rectangle area = grid_tile(&source->grid, i);

		if (viewer->damage[i])
			copy_area(viewer->pixels.data, source->pixels.data, source->grid.width,
			          &area);
	}
	memcpy(viewer->damaged, viewer->damage, count);
	memset(viewer->damage, 0, count);
	pthread_mutex_unlock(&source->lock);
	size_t found = grid_rectangles(&source->grid, viewer->damaged, areas, RECTANGLES_MAX);
	for (size_t i = 0; i < found; i++)
		lib.mark_modified(viewer->screen, (int)areas[i].x, (int)areas[i].y,
		                  (int)(areas[i].x + areas[i].width),
		                  (int)(areas[i].y + areas[i].height));
}

static void take_pointer(struct vnc_viewer *viewer)
{
	unsigned place = atomic_load(&viewer->source->pointer);
	int x = (int)(place & 0xffff), y = (int)(place >> 16);

	if (x == viewer->screen->cursorX && y == viewer->screen->cursorY)
		return;
	viewer->screen->cursorX = x;
	viewer->screen->cursorY = y;
	viewer->client->cursorWasMoved = TRUE;
}

static bool is_overdue(const struct vnc_viewer *viewer)
{
	return viewer->client->state != RFB_NORMAL &&
	       clock_now_ns() - viewer->begun_ns > INTRODUCTION_NS;
}

static void serve(struct vnc_viewer *viewer)
{
	uint64_t count;

	while (viewer->client && !atomic_load(&viewer->stop)) {
		struct pollfd fds[] = { { .fd = viewer->client->sock, .events = POLLIN },
			                { .fd = viewer->wake_fd, .events = POLLIN } };
		bool is_new = viewer->client->state != RFB_NORMAL;

		if (poll(fds, 2, is_new ? (int)(INTRODUCTION_NS / NS_PER_MS) : -1) < 0)
			ASSERT(errno == EINTR);
		if (is_overdue(viewer))
			break;
		if (read(viewer->wake_fd, &count, sizeof(count)) < 0)
			ASSERT(errno == EAGAIN);
		take_damage(viewer);
		take_pointer(viewer);
		lib.process_events(viewer->screen, 0);
		if (viewer->client)
			atomic_store(&viewer->sent,
			             (unsigned long long)lib.sent_bytes(viewer->client));
	}
}

static void *viewer_main(void *arg)
{
	struct vnc_viewer *viewer = arg;

	viewer->begun_ns = clock_now_ns();
	if (open_screen(viewer))
		serve(viewer);
	if (viewer->client)
		lib.close_client(viewer->client);
	if (viewer->screen)
		lib.screen_cleanup(viewer->screen);
	viewer->events->ended(viewer->arg);
	return NULL;
}

/* --- a viewer's life ---------------------------------------------------------------------------- */

static void free_viewer(struct vnc_viewer *viewer)
{
	close_fd(&viewer->fd);
	close_fd(&viewer->wake_fd);
	close_fd(&viewer->lib_fd);
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
	viewer->lib_fd = fcntl(viewer->fd, F_DUPFD_CLOEXEC, 0);
	if (viewer->wake_fd < 0 || viewer->lib_fd < 0)
		return error_set(err, -errno, "no descriptor for a viewer: %s", strerror(errno));
	if (viewer->lib_fd >= FD_SETSIZE)
		return error_set(err, -EMFILE, "too many descriptors are in use for a viewer");
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

int vnc_viewer_create(struct vnc_source *source, int fd, const struct vnc_events *events, void *arg,
                      struct vnc_viewer **out_viewer, struct error *err)
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
		                       .lib_fd = -1 };
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

void vnc_viewer_destroy(struct vnc_viewer *viewer)
{
	if (!viewer)
		return;
	atomic_store(&viewer->stop, true);
	/* Whatever its thread waits for on the socket ends; it may be asleep, too. */
	shutdown(viewer->fd, SHUT_RDWR);
	wake(viewer);
	pthread_join(viewer->thread, NULL);
	unlink_viewer(viewer);
	free_viewer(viewer);
}

uint64_t vnc_viewer_sent(const struct vnc_viewer *viewer)
{
	return atomic_load(&viewer->sent);
}
