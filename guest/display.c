/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * display.c - the verb "display", and the Xvfb behind it. The agent's thread.
 *
 * Xvfb keeps its picture in a file on a tmpfs, that is in pages of guest RAM. The agent maps the
 * same file and never lets go of it; the guest kernel has no swap, compaction or migration: so the
 * page frames that /proc/self/pagemap names stay the picture's for as long as the guest lives,
 * and the VMM reads them behind the guest's back.
 */
#include "guest/display.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/environment.h"
#include "guest/verbs.h"
#include "guest/xwd.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proto.h"

#define PAGE_SIZE ((size_t)4096)
#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_PFN (((uint64_t)1 << 55) - 1)

enum state { STARTING, UP, DEAD, UNUSABLE };

struct display {
	struct agent *agent; /* borrowed */
	enum state state;
	void (*ready)(struct agent *agent);
	struct child child;
	struct loop_watch watch;
	int fd;              /* owned: Xvfb writes its display number here when it answers */
	const uint8_t *data; /* owned mapping */
	size_t size;
	struct xwd xwd;
};

static int framebuffer_map(struct display *display, struct error *err)
{
	char path[sizeof(display->agent->options.run) + 32];
	cleanup_fd int fd = -1;
	struct stat st;
	void *data;
	int ret;

	snprintf(path, sizeof(path), "%s/fb/Xvfb_screen0", display->agent->options.run);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (st.st_size < (off_t)PAGE_SIZE ||
	    (size_t)st.st_size > PROTO_DISPLAY_PAGES_MAX * PAGE_SIZE)
		return error_set(err, -EPROTO, "%s has an unlikely size", path);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (data == MAP_FAILED)
		return error_set(err, -errno, "can't map %s: %s", path, strerror(errno));
	ret = xwd_parse(data, (size_t)st.st_size, &display->xwd, err);
	if (ret < 0) {
		munmap(data, (size_t)st.st_size);
		return ret;
	}
	display->data = data;
	display->size = (size_t)st.st_size;
	return 0;
}

static void answer_ready(struct loop_watch *watch, uint32_t events)
{
	struct display *display = container_of(watch, struct display, watch);
	struct error err = { 0 };
	char text[16];
	ssize_t n = read(display->fd, text, sizeof(text));

	(void)events;
	/* The line comes in pieces, and Xvfb dies if we hang up before its last one. */
	if ((n < 0 && errno == EINTR) || (n > 0 && !memchr(text, '\n', (size_t)n)))
		return;
	loop_watch_remove(display->agent->loop, watch);
	close_fd(&display->fd);
	if (n <= 0)
		return; /* it ended instead: its death is told elsewhere */
	if (framebuffer_map(display, &err) < 0) {
		log_error("no framebuffer: %s", err.msg);
		display->state = UNUSABLE;
		return;
	}
	display->state = UP;
	display->ready(display->agent);
}

static void xvfb_ended(struct child *child, int wait_status)
{
	struct display *display = container_of(child, struct display, child);

	display->state = DEAD;
	channel_process_died(display->agent->channel, PROCESS_XVFB, wait_status);
}

static int xvfb_start(struct display *display)
{
	const struct options *options = &display->agent->options;
	char number[8], screen[32], folder[sizeof(options->run) + 8];
	char *argv[] = { "Xvfb",       number, "-screen",    "0",   screen,     "-fbdir", folder,
		         "-displayfd", "3",    "-nolisten",  "tcp", "-noreset", "-dpi",   "96",
		         "-s",         "0",    "-extension", "GLX", NULL };
	struct spawn spawn = { .argv = argv,
		               .fds = { -1, STDERR_FILENO, STDERR_FILENO, -1 },
		               .fd_count = 4 };
	cleanup_fd int writer = -1;
	char **envp = NULL;
	struct error err = { 0 };
	int ends[2];
	int ret;

	snprintf(number, sizeof(number), ":%u", options->display);
	snprintf(screen, sizeof(screen), "%ux%ux24", options->width, options->height);
	snprintf(folder, sizeof(folder), "%s/fb", options->run);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	display->fd = ends[0];
	writer = spawn.fds[3] = ends[1];
	ret = environment_make(display->agent, false, NULL, &envp);
	if (ret < 0)
		return ret;
	spawn.envp = envp;
	ret = children_spawn(display->agent->children, &spawn, &display->child, xvfb_ended, &err);
	environment_free(envp);
	if (ret < 0) {
		log_error("%s", err.msg);
		return ret;
	}
	return loop_watch_add(display->agent->loop, &display->watch, display->fd, EPOLLIN,
	                      answer_ready);
}

int display_create(struct agent *agent, void (*ready)(struct agent *agent),
                   struct display **out_display)
{
	struct display *display = calloc(1, sizeof(*display));
	int ret;

	if (!display)
		return -ENOMEM;
	display->agent = agent;
	display->ready = ready;
	display->fd = -1;
	ret = xvfb_start(display);
	if (ret < 0) {
		display_destroy(display);
		return ret;
	}
	*out_display = display;
	return 0;
}

void display_destroy(struct display *display)
{
	if (!display)
		return;
	child_kill(&display->child, SIGTERM);
	children_forget(display->agent->children, &display->child);
	loop_watch_remove(display->agent->loop, &display->watch);
	close_fd(&display->fd);
	if (display->data)
		munmap((void *)(uintptr_t)display->data, display->size);
	free(display);
}

bool display_is_up(const struct display *display)
{
	return display && display->state == UP;
}

const char *display_explain(const struct display *display)
{
	if (!display)
		return "Xvfb couldn't be started";
	switch (display->state) {
	case STARTING:
		return "Xvfb is starting";
	case UP:
		return "Xvfb is up";
	case DEAD:
		return "Xvfb has ended";
	case UNUSABLE:
		return "Xvfb's framebuffer can't be used";
	}
	return "?";
}

/* --- the verb --- */

/* Touched again each time: a page must be mapped here for pagemap to name it. */
static void pages_touch(const struct display *display)
{
	for (size_t at = 0; at < display->size; at += PAGE_SIZE)
		(void)*(const volatile uint8_t *)(display->data + at);
}

static int pages_read(const struct display *display, uint64_t *frames, size_t count,
                      struct error *err)
{
	cleanup_fd int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)((uintptr_t)display->data / PAGE_SIZE * sizeof(*frames));
	size_t size = count * sizeof(*frames);

	if (fd < 0)
		return error_set(err, -errno, "/proc/self/pagemap: %s", strerror(errno));
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, (uint8_t *)frames + done, size - done, at + (off_t)done);

		if (n <= 0)
			return error_set(err, -EIO, "/proc/self/pagemap: %s",
			                 n < 0 ? strerror(errno) : "too short");
		done += (size_t)n;
	}
	for (size_t i = 0; i < count; i++) {
		if (!(frames[i] & PAGEMAP_PRESENT) || !(frames[i] & PAGEMAP_PFN))
			return error_set(err, -EPERM, "the kernel doesn't tell page frames");
		frames[i] = htole64(frames[i] & PAGEMAP_PFN);
	}
	return 0;
}

void verb_display(struct agent *agent, struct request *request)
{
	const struct display *display = agent->display;
	cleanup_free uint64_t *frames = NULL;
	struct error err = { 0 };
	size_t count;

	if (!display_is_up(display)) {
		request_fail(request, PROTO_ERR_NOT_READY, "display: %s", display_explain(display));
		return;
	}
	count = (display->size + PAGE_SIZE - 1) / PAGE_SIZE;
	frames = calloc(count, sizeof(*frames));
	if (!frames) {
		request_fail(request, PROTO_ERR_FAILED, "display: no memory");
		return;
	}
	pages_touch(display);
	if (pages_read(display, frames, count, &err) < 0) {
		request_fail(request, PROTO_ERR_FAILED, "display: %s", err.msg);
		return;
	}
	request_reply(request,
	              json_pack("{s:I, s:I, s:I, s:I}", "width", (json_int_t)display->xwd.width,
	                        "height", (json_int_t)display->xwd.height, "stride",
	                        (json_int_t)display->xwd.stride, "size", (json_int_t)display->size),
	              frames, count * sizeof(*frames));
}
