/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.c - from the agent's list of pages to a framebuffer that jobs are done with.
 *
 * The display thread works off the list of jobs and ends when it is empty. .lock guards that list
 * and the framebuffer pointer; whoever reads the framebuffer has a reference of its own, so that it may be
 * replaced meanwhile.
 */
#include "vmm/screen.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/thread.h"
#include "lib/wire.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/screen_pages.h"
#include "vmm/vm.h"

#define ATTACH_TIMEOUT_MS 30000

struct job_list {
	struct screen_job *head, **tail;
};

struct screen {
	struct vm *vm;
	bool asking, ask_again;      /* the agent; once more when it has answered */
	struct log_limit complaints; /* of what it answers */
	struct framebuffer *fb;      /* owned; written by the I/O thread */
	struct screen_pages pages;   /* that .fb lies in */
	pthread_mutex_t lock;
	struct job_list waiting, finished;
	unsigned count;
	bool running;
	pthread_t thread;
	bool joinable;
	int done_fd; /* owned eventfd */
	struct loop_watch done_watch;
};

static void list_init(struct job_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void list_put(struct job_list *list, struct screen_job *job)
{
	job->next = NULL;
	*list->tail = job;
	list->tail = &job->next;
}

static struct screen_job *list_take(struct job_list *list)
{
	struct screen_job *job = list->head;

	if (!job)
		return NULL;
	list->head = job->next;
	if (!list->head)
		list->tail = &list->head;
	return job;
}

bool screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
	if (!screen->fb)
		return false;
	*out_width = framebuffer_width(screen->fb);
	*out_height = framebuffer_height(screen->fb);
	return true;
}

struct framebuffer *screen_framebuffer(struct screen *screen)
{
	pthread_mutex_lock(&screen->lock);
	struct framebuffer *fb = screen->fb ? framebuffer_share(screen->fb) : NULL;
	pthread_mutex_unlock(&screen->lock);
	return fb;
}

/* --- attaching ------------------------------------------------------------------------------- */

/* Takes both over. */
static void use_framebuffer(struct screen *screen, struct framebuffer *fb,
                            struct screen_pages *pages)
{
	struct framebuffer *before = screen->fb;

	pthread_mutex_lock(&screen->lock);
	screen->fb = fb;
	pthread_mutex_unlock(&screen->lock);
	framebuffer_destroy(before);
	screen_pages_finish(&screen->pages);
	screen->pages = *pages;
	vm_reach(screen->vm, STAGE_DISPLAY);
	control_notify(screen->vm->control);
}

static void use_reply(struct screen *screen, const json_t *reply, const void *blob,
                      size_t blob_size)
{
	struct screen_pages pages = { 0 };
	struct framebuffer *fb = NULL;
	struct error err = { 0 };

	if (!json_is_true(json_object_get(reply, "ok"))) {
		const char *why = json_string_value(
			json_object_get(json_object_get(reply, "error"), "message"));

		log_warn_limited(&screen->complaints,
		                 "display: the agent did not say where the screen is: %s",
		                 why ? why : "no reason");
		return;
	}
	if (screen_pages_read(reply, blob, blob_size, &pages, &err) ||
	    screen_pages_attach(&screen->vm->memory, &pages, &fb, &err)) {
		log_warn_limited(&screen->complaints, "%s; no screen is attached", err.msg);
		screen_pages_finish(&pages);
		return;
	}
	use_framebuffer(screen, fb, &pages);
}

void screen_save(const struct screen *screen, struct wire_writer *out)
{
	wire_put_u32(out, screen->fb ? screen->pages.width : 0);
	wire_put_u32(out, screen->pages.height);
	wire_put_blob(out, screen->pages.list, screen->pages.count * sizeof(screen->pages.list[0]));
}

int screen_restore(struct screen *screen, struct wire_reader *in, struct error *err)
{
	struct screen_pages pages = { .width = wire_get_u32(in), .height = wire_get_u32(in) };
	struct framebuffer *fb = NULL;
	struct error why = { 0 };
	size_t size = 0;
	const uint8_t *list =
		wire_get_blob(in, PROTO_DISPLAY_PAGES_MAX * sizeof(pages.list[0]), &size);

	if (!list || !wire_reader_ended(in))
		return error_set(err, -EINVAL, "screen: its state is none");
	if (pages.width == 0)
		return 0;
	if (screen_pages_copy(list, size, &pages, &why) ||
	    screen_pages_attach(&screen->vm->memory, &pages, &fb, &why)) {
		log_warn_limited(&screen->complaints, "%s; no screen is attached", why.msg);
		screen_pages_finish(&pages);
		return 0;
	}
	use_framebuffer(screen, fb, &pages);
	return 0;
}

static void on_display_reply(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	struct screen *screen = arg;
	bool again = screen->ask_again;

	screen->asking = screen->ask_again = false;
	use_reply(screen, reply, blob, blob_size);
	if (again)
		screen_attach(screen);
}

void screen_attach(struct screen *screen)
{
	/* An agent that says so often doesn't use up the channel for all others. */
	if (screen->asking) {
		screen->ask_again = true;
		return;
	}
	json_t *request = json_pack("{s:s}", "verb", "display");

	ASSERT(request);
	screen->asking = true;
	agent_request(screen->vm->agent, request, NULL, 0, ATTACH_TIMEOUT_MS, on_display_reply,
	              screen);
	json_decref(request);
}

/* --- the display thread ---------------------------------------------------------------------- */

static void *display_main(void *arg)
{
	struct screen *screen = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&screen->lock);
	for (struct screen_job *job; (job = list_take(&screen->waiting));) {
		struct framebuffer *fb = framebuffer_share(screen->fb);

		pthread_mutex_unlock(&screen->lock);
		job->work(job, fb);
		framebuffer_destroy(fb);
		pthread_mutex_lock(&screen->lock);
		list_put(&screen->finished, job);
		if (write(screen->done_fd, &one, sizeof(one)) < 0)
			ASSERT(errno == EAGAIN);
	}
	screen->running = false;
	pthread_mutex_unlock(&screen->lock);
	return NULL;
}

static void deliver_finished(struct screen *screen)
{
	for (;;) {
		pthread_mutex_lock(&screen->lock);
		struct screen_job *job = list_take(&screen->finished);
		pthread_mutex_unlock(&screen->lock);
		if (!job)
			return;
		screen->count--;
		job->finished(job);
	}
}

static void join(struct screen *screen)
{
	if (screen->joinable)
		pthread_join(screen->thread, NULL);
	screen->joinable = false;
}

static void on_done(struct loop_watch *watch, uint32_t events)
{
	struct screen *screen = container_of(watch, struct screen, done_watch);
	uint64_t count;

	(void)events;
	if (read(screen->done_fd, &count, sizeof(count)) > 0)
		deliver_finished(screen);
}

static int start_thread(struct screen *screen)
{
	join(screen);
	int ret = thread_start(&screen->thread, "display", 0, display_main, screen);
	screen->joinable = ret == 0;
	return ret;
}

int screen_run(struct screen *screen, struct screen_job *job)
{
	if (!screen->fb)
		return -ENODATA;
	if (screen->count == SCREEN_JOBS_MAX)
		return -EBUSY;
	screen->count++;
	pthread_mutex_lock(&screen->lock);
	list_put(&screen->waiting, job);
	bool start = !screen->running;
	screen->running = true;
	pthread_mutex_unlock(&screen->lock);
	int ret = start ? start_thread(screen) : 0;
	if (ret == 0)
		return 0;
	/* Without a thread nobody else touches the list, whose only member is this job. */
	screen->running = false;
	list_take(&screen->waiting);
	screen->count--;
	return ret;
}

int screen_create(struct vm *vm, struct screen **out_screen)
{
	struct screen *screen = calloc(1, sizeof(*screen));

	if (!screen)
		return -ENOMEM;
	screen->vm = vm;
	screen->complaints = (struct log_limit)LOG_LIMIT_INIT;
	pthread_mutex_init(&screen->lock, NULL);
	list_init(&screen->waiting);
	list_init(&screen->finished);
	screen->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret = screen->done_fd < 0 ? -errno : 0;
	if (ret == 0)
		ret = loop_watch_add(vm->loop, &screen->done_watch, screen->done_fd, EPOLLIN,
		                     on_done);
	if (ret) {
		screen_destroy(screen);
		return ret;
	}
	*out_screen = screen;
	return 0;
}

void screen_destroy(struct screen *screen)
{
	if (!screen)
		return;
	join(screen);
	deliver_finished(screen);
	loop_watch_remove(screen->vm->loop, &screen->done_watch);
	close_fd(&screen->done_fd);
	framebuffer_destroy(screen->fb);
	screen_pages_finish(&screen->pages);
	pthread_mutex_destroy(&screen->lock);
	free(screen);
}
