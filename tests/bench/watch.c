/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.c - watch FILE.png SECONDS still|busy|input tiles|whole: what it takes to show a screen to one viewer,
 * by the VMM's own scan and its VNC.
 *
 * The viewer is a process of its own, of libvncclient, with noVNC's settings (Tight, JPEG quality 6).
 * "tiles" is what we do; "whole" is the yardstick, which knows of no damage: the whole screen counts as
 * changed 30 times a second, which is ours at its fastest (kvmtool's ui/vnc.c does it in a loop without a
 * pause); the viewer gets it as often as it has drawn the one before. Threads: this one paints, the scan's
 * looks, the viewer's sends; the painter's time isn't counted.
 *
 * still: nothing changes. busy: somebody reads and types, by a script that repeats every ten seconds: 40
 * characters, two turns of the wheel of eight frames each, one page that is loaded. input: now and then a pixel
 * changes and, in "tiles", the scan is told that there was input.
 *
 * Prints "cpu PERCENT" of a core and "bytes N" that were sent; for input a line "us N" for each change.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <rfb/rfbclient.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "display/vnc.h"
#include "lib/clock.h"
#include "lib/loop.h"
#include "tests/bench/screen.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define TICK_MS 25
#define SCRIPT_TICKS (10000 / TICK_MS)
#define SETTLING_S 2 /* the first picture travels */

static struct bench {
	struct screen pixels;
	struct framebuffer *fb;
	struct vnc_library *library;
	struct vnc_source *source;
	struct vnc_viewer *viewer;
	struct scan *scan;
	struct scan_listener listener;
	struct tiles *tiles; /* the scan's */
	bool whole;
	int seen_fd; /* the viewer tells when something has changed for it */
} bench;

/* All that the scan wants of the VM. */
struct framebuffer *screen_framebuffer(struct screen *screen)
{
	(void)screen;
	return framebuffer_share(bench.fb);
}

static void on_frame(struct scan_listener *listener, const struct scan_frame *frame)
{
	(void)listener;
	bench.tiles = (struct tiles *)(uintptr_t)frame->tiles;
	vnc_source_show(bench.source, bench.tiles);
}

/* After each scan. */
static uint64_t on_look(struct scan_listener *listener)
{
	(void)listener;
	if (bench.tiles) {
		tiles_mark_all(bench.tiles);
		vnc_source_show(bench.source, bench.tiles);
	}
	return 0;
}

/* --- the viewer ---------------------------------------------------------------------------------- */

static int pipe_to_parent;

static void on_update(rfbClient *client, int x, int y, int width, int height)
{
	uint64_t now = clock_now_ns();

	(void)client;
	(void)x;
	(void)y;
	(void)width;
	(void)height;
	if (write(pipe_to_parent, &now, sizeof(now)) != sizeof(now))
		_exit(0);
}

static void view(const char *path)
{
	rfbClient *client = rfbGetClient(8, 3, 4);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rfbEnableClientLogging = getenv("WATCH_DEBUG") != NULL;
	client->serverHost = strdup(path);
	client->GotFrameBufferUpdate = on_update;
	client->appData.encodingsString = "tight copyrect raw";
	client->appData.qualityLevel = 6;
	client->appData.compressLevel = 2;
	client->appData.enableJPEG = TRUE;
	if (!rfbInitClient(client, NULL, NULL))
		_exit(1);
	while (WaitForMessage(client, 1000000) >= 0 && HandleRFBServerMessage(client))
		;
	_exit(0);
}

/* WaitForMessage() says 0 for nothing, which HandleRFBServerMessage() would block on: both are fine here. */
static pid_t start_viewer(const char *path)
{
	int ends[2];

	if (pipe(ends))
		err(1, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		pipe_to_parent = ends[1];
		view(path);
	}
	close(ends[1]);
	bench.seen_fd = ends[0];
	return pid;
}

static void no_key(void *arg, uint32_t keysym, bool down)
{
	(void)arg;
	(void)keysym;
	(void)down;
}

static void no_pointer(void *arg, unsigned x, unsigned y, unsigned buttons)
{
	(void)arg;
	(void)x;
	(void)y;
	(void)buttons;
}

static void no_end(void *arg)
{
	(void)arg;
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

static const struct vnc_events events = {
	.may_go_on = always, .key = no_key, .pointer = no_pointer, .ended = no_end
};

/* --- the script ------------------------------------------------------------------------------------ */

/* Moves the page below the browser's bars up by @rows; what comes from below is what went out above. */
static void scroll(unsigned rows)
{
	const struct screen *s = &bench.pixels;
	unsigned top = 90;
	uint32_t *kept = malloc((size_t)rows * s->width * 4);

	if (!kept)
		err(1, "memory");
	for (unsigned y = 0; y < rows; y++)
		for (unsigned x = 0; x < s->width; x++)
			memcpy(&kept[y * s->width + x], screen_pixel(s, x, top + y), 4);
	for (unsigned y = top; y < s->height; y++)
		for (unsigned x = 0; x < s->width; x++)
			memcpy(screen_pixel(s, x, y),
			       y + rows < s->height
			               ? screen_pixel(s, x, y + rows)
			               : (uint8_t *)&kept[(y + rows - s->height) * s->width + x],
			       4);
	free(kept);
}

static void type_character(unsigned at)
{
	for (unsigned y = 0; y < 14; y++)
		for (unsigned x = 0; x < 7; x++)
			*screen_pixel(&bench.pixels, 300 + at * 8 + x, 400 + y) ^=
				(uint8_t)(x * y * 5 + 3);
}

static void play(unsigned tick)
{
	unsigned at = tick % SCRIPT_TICKS;

	if (at < 160 && at % 4 == 0) /* 40 characters in four seconds */
		type_character(at / 4);
	if ((at >= 200 && at < 216) || (at >= 260 && at < 276)) /* a wheel's turn, in 0.4 s */
		if (at % 2 == 0)
			scroll(13);
	if (at == 340)
		scroll(333); /* another page: most of it is different */
}

/* --- measuring -------------------------------------------------------------------------------------- */

static double own_cpu_s(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void sleep_ms(unsigned ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

static void drain_seen(void)
{
	struct pollfd pfd = { .fd = bench.seen_fd, .events = POLLIN };
	uint64_t at[64];

	while (poll(&pfd, 1, 0) > 0 && read(bench.seen_fd, at, sizeof(at)) > 0)
		;
}

static void measure_load(unsigned seconds, bool busy)
{
	double cpu = own_cpu_s(RUSAGE_SELF) - own_cpu_s(RUSAGE_THREAD);
	uint64_t sent = vnc_viewer_sent(bench.viewer), begun = clock_now_ns();

	for (unsigned tick = 0; tick < seconds * 1000 / TICK_MS; tick++) {
		if (busy)
			play(tick);
		drain_seen();
		sleep_ms(TICK_MS);
	}
	cpu = own_cpu_s(RUSAGE_SELF) - own_cpu_s(RUSAGE_THREAD) - cpu;
	printf("cpu %.3f\n", 100 * cpu / ((double)(clock_now_ns() - begun) / 1e9));
	printf("bytes %llu\n", (unsigned long long)(vnc_viewer_sent(bench.viewer) - sent));
}

/* The screen has been still for a while when it changes, which is when it is looked at least often. */
static void measure_input(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t seen;

		sleep_ms(1500 + i * 37 % 500);
		drain_seen();
		uint64_t begun = clock_now_ns();
		type_character(i % 40);
		if (!bench.whole)
			scan_poke(bench.scan);
		if (read(bench.seen_fd, &seen, sizeof(seen)) != sizeof(seen))
			errx(1, "the viewer has gone");
		printf("us %.0f\n", (double)(seen - begun) / 1e3);
	}
}

/* --- setting up -------------------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		err(1, "%s", path);
	return fd;
}

static void begin(void)
{
	char folder[] = "/tmp/bench-watch.XXXXXX", path[64];
	static struct vm vm;
	struct error error = { 0 };

	if (!mkdtemp(folder))
		err(1, "%s", folder);
	snprintf(path, sizeof(path), "%s/vnc", folder);
	int listener = listen_at(path);
	start_viewer(path); /* before there are threads */
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(listener);
	unlink(path);
	rmdir(folder);
	if (framebuffer_create(bench.pixels.pages, bench.pixels.page_count, bench.pixels.width,
	                       bench.pixels.height, &bench.fb, &error) ||
	    vnc_library_load(&bench.library, &error) ||
	    vnc_source_create(bench.library, bench.pixels.width, bench.pixels.height, "bench",
	                      &bench.source, &error) ||
	    vnc_viewer_create(bench.source, fd, open("/dev/null", O_RDWR | O_CLOEXEC), &events,
	                      NULL, &bench.viewer, &error))
		errx(1, "%s", error.msg);
	bench.listener = (struct scan_listener){ .frame = on_frame,
		                                 .idle = bench.whole ? on_look : NULL,
		                                 .fast = bench.whole,
		                                 .fd = -1 };
	if (scan_create(&vm, &bench.scan) || scan_add(bench.scan, &bench.listener))
		errx(1, "no scan");
}

int main(int argc, char *argv[])
{
	if (argc != 5)
		errx(2, "usage: watch FILE.png SECONDS still|busy|input tiles|whole");
	signal(SIGPIPE, SIG_IGN);
	bench.whole = strcmp(argv[4], "whole") == 0;
	screen_make(argv[1], false, &bench.pixels);
	begin();
	sleep_ms(SETTLING_S * 1000);
	drain_seen();
	if (strcmp(argv[3], "input") == 0)
		measure_input((unsigned)atoi(argv[2]));
	else
		measure_load((unsigned)atoi(argv[2]), strcmp(argv[3], "busy") == 0);
	scan_remove(bench.scan, &bench.listener);
	scan_destroy(bench.scan);
	vnc_viewer_destroy(bench.viewer);
	vnc_source_destroy(bench.source);
	vnc_library_release(bench.library);
	framebuffer_destroy(bench.fb);
	screen_finish(&bench.pixels);
	return 0;
}
