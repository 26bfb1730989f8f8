/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viewers.c - see viewers.h.
 *
 *	viewer's thread: key, pointer ──► .input ──► I/O thread: one "input" at a time to the agent
 *	scan's thread: frame ──► .source ──► viewers' threads
 *
 * The source and the scan's listener exist while there is a viewer: then nobody pays for a screen that
 * nobody looks at. A viewer's number is its name in logs, replies and the lease; numbers are never used twice,
 * so a late event of one that has gone counts for nobody.
 */
#include "vmm/viewers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "display/vnc.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/listener.h"
#include "lib/log.h"
#include "lib/sock.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/viewer_input.h"
#include "vmm/vm.h"

#define INPUT_TIMEOUT_MS 10000

struct viewer {
	struct viewers *viewers;
	uint64_t number; /* 0: free */
	bool may_control;
	uint64_t since_ns;
	atomic_bool has_ended;
	struct vnc_viewer *vnc; /* owned */
};

struct viewers {
	struct vm *vm;
	char *path; /* owned */
	struct listener listener;
	struct viewer list[VIEWERS_MAX];
	uint64_t last_number;
	struct vnc_library *library; /* owned; from the first viewer on */
	struct vnc_source *source;   /* owned; NULL while nobody looks */
	/*
	 * Owned: descriptors that the library's select(2) takes, kept from the start for as many viewers as there
	 * can be: a guest with many streams could leave none. Each viewer has one of them.
	 */
	int numbers[VIEWERS_MAX];
	unsigned number_count;
	struct scan_listener watch;
	uint64_t holder; /* a viewer's number; 0: nobody */
	struct viewer_input input;
	bool sending;          /* a request with input is under way */
	json_t *release;       /* owned: steps that let go, to be sent before all else */
	atomic_bool size_gone; /* the screen has got another size */
	int event_fd;          /* owned eventfd: input, or someone has left */
	struct loop_watch event_watch;
	struct log_limit complaints, arrivals;
};

static void notify(struct viewers *viewers)
{
	uint64_t one = 1;

	if (write(viewers->event_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

/* --- on a viewer's thread ----------------------------------------------------------------------- */

static bool may_go_on(void *arg)
{
	struct viewer *viewer = arg;

	return viewer_input_has_room(&viewer->viewers->input, viewer->number);
}

static void on_key(void *arg, uint32_t keysym, bool down)
{
	struct viewer *viewer = arg;

	if (viewer_input_key(&viewer->viewers->input, viewer->number, keysym, down))
		notify(viewer->viewers);
}

static void on_pointer(void *arg, unsigned x, unsigned y, unsigned buttons)
{
	struct viewer *viewer = arg;

	if (viewer_input_pointer(&viewer->viewers->input, viewer->number, x, y, buttons))
		notify(viewer->viewers);
}

static void on_ended(void *arg)
{
	struct viewer *viewer = arg;

	atomic_store(&viewer->has_ended, true);
	notify(viewer->viewers);
}

static const struct vnc_events events = { may_go_on, on_key, on_pointer, on_ended };

/* --- on the scan's ------------------------------------------------------------------------------- */

static void on_frame(struct scan_listener *listener, const struct scan_frame *frame)
{
	struct viewers *viewers = container_of(listener, struct viewers, watch);

	if (!vnc_source_show(viewers->source, frame->tiles) &&
	    !atomic_exchange(&viewers->size_gone, true))
		log_info("viewers: the screen has another size: they must connect anew");
}

/* --- input ---------------------------------------------------------------------------------------- */

static void send_input(struct viewers *viewers);

static void on_input_done(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	struct viewers *viewers = arg;

	(void)blob;
	(void)blob_size;
	viewers->sending = false;
	if (!json_is_true(json_object_get(reply, "ok"))) {
		const char *why = json_string_value(
			json_object_get(json_object_get(reply, "error"), "message"));

		log_warn_limited(&viewers->complaints, "viewers: the guest doesn't take input: %s",
		                 why ? why : "no reason");
		notify(viewers); /* not from here: the agent may have refused at once */
		return;
	}
	send_input(viewers);
}

static bool is_holder(const struct viewer *viewer)
{
	return viewer->viewers->holder == viewer->number;
}

/* What was taken, or forgotten, has made room. */
static void listen_again(struct viewers *viewers)
{
	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		if (viewers->list[i].vnc && is_holder(&viewers->list[i]))
			vnc_viewer_go_on(viewers->list[i].vnc);
}

static void send_input(struct viewers *viewers)
{
	if (viewers->sending)
		return;
	json_t *steps = viewers->release;
	viewers->release = NULL;
	if (!steps) {
		/* Who types at a frozen guest doesn't see what happens; what is let go is let go when it thaws. */
		steps = viewer_input_take(&viewers->input, viewers->vm->paused);
		listen_again(viewers);
	}
	if (!steps)
		return;
	if (json_array_size(steps) == 0) {
		json_decref(steps);
		notify(viewers); /* there may be more */
		return;
	}
	json_t *request = json_pack("{s:s,s:o}", "verb", "input", "steps", steps);
	ASSERT(request);
	viewers->sending = true;
	scan_poke(viewers->vm->scan);
	control_publish_action(viewers->vm->control, request, "viewer");
	agent_request(viewers->vm->agent, request, NULL, 0, INPUT_TIMEOUT_MS, on_input_done,
	              viewers);
	json_decref(request);
}

static void change_holder(struct viewers *viewers, uint64_t number)
{
	uint64_t before = viewers->holder;

	if (before == number)
		return;
	viewers->holder = number;
	json_t *steps = viewer_input_give(&viewers->input, number);
	/* At most one holder's is waiting: the one before has let go when the next one types. */
	if (steps && viewers->release) {
		json_array_extend(viewers->release, steps);
		json_decref(steps);
	} else if (steps) {
		viewers->release = steps;
	}
	send_input(viewers);
	if (number)
		log_info("viewers: viewer %llu has control", (unsigned long long)number);
	else
		log_info("viewers: viewer %llu has given control back", (unsigned long long)before);
	control_publish(viewers->vm->control, number ? json_pack("{s:s,s:I}", "event", "control",
	                                                         "holder", (json_int_t)number)
	                                             : json_pack("{s:s}", "event", "control"));
}

/* --- low descriptors -------------------------------------------------------------------------------- */

static void keep_numbers(struct viewers *viewers, unsigned wanted)
{
	while (viewers->number_count < wanted) {
		int fd = fcntl(viewers->event_fd, F_DUPFD_CLOEXEC, 0);

		if (fd >= FD_SETSIZE)
			close(fd);
		if (fd < 0 || fd >= FD_SETSIZE)
			return;
		viewers->numbers[viewers->number_count++] = fd;
	}
}

/* It may still refer to a viewer's socket. */
static void take_back_number(struct viewers *viewers, int number)
{
	if (number >= 0 && dup3(viewers->event_fd, number, O_CLOEXEC) >= 0)
		viewers->numbers[viewers->number_count++] = number;
}

/* --- coming and going ------------------------------------------------------------------------------- */

static struct viewer *find(struct viewers *viewers, uint64_t number)
{
	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		if (viewers->list[i].number == number)
			return &viewers->list[i];
	return NULL;
}

static unsigned count(const struct viewers *viewers)
{
	unsigned found = 0;

	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		found += viewers->list[i].number != 0;
	return found;
}

/* They may come and go as often as they like: the log has some of it. */
static void note(struct viewers *viewers, uint64_t number, const char *what, const char *why)
{
	uint32_t suppressed;

	if (log_limit_pass(&viewers->arrivals, clock_now_ns(), &suppressed))
		log_info("viewers: viewer %llu %s%s", (unsigned long long)number, what, why);
}

static void close_source(struct viewers *viewers)
{
	scan_remove(viewers->vm->scan, &viewers->watch);
	vnc_source_destroy(viewers->source);
	viewers->source = NULL;
	atomic_store(&viewers->size_gone, false);
}

static void remove_viewer(struct viewer *viewer)
{
	struct viewers *viewers = viewer->viewers;

	if (is_holder(viewer))
		change_holder(viewers, 0);
	note(viewers, viewer->number, "has left: ",
	     atomic_load(&viewer->has_ended) ? vnc_viewer_reason(viewer->vnc) : "the session ends");
	take_back_number(viewers, vnc_viewer_destroy(viewer->vnc));
	*viewer = (struct viewer){ .viewers = viewers };
	/* One that the library has closed is the lowest that is free, unless somebody was quicker. */
	keep_numbers(viewers, VIEWERS_MAX - count(viewers));
	if (count(viewers) == 0)
		close_source(viewers);
}

static void on_event(struct loop_watch *watch, uint32_t ready)
{
	struct viewers *viewers = container_of(watch, struct viewers, event_watch);
	uint64_t times;

	(void)ready;
	if (read(viewers->event_fd, &times, sizeof(times)) < 0)
		return;
	send_input(viewers);
	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		if (viewers->list[i].number && atomic_load(&viewers->list[i].has_ended))
			remove_viewer(&viewers->list[i]);
}

static int open_source(struct viewers *viewers, struct error *err)
{
	unsigned width, height;

	if (viewers->source)
		return 0;
	if (!screen_size(viewers->vm->screen, &width, &height))
		return error_set(err, -EAGAIN, "the guest has no screen (yet): wait for display");
	int ret = viewers->library ? 0 : vnc_library_load(&viewers->library, err);
	if (ret == 0)
		ret = vnc_source_create(viewers->library, width, height, viewers->vm->config->name,
		                        &viewers->source, err);
	if (ret)
		return ret;
	viewers->watch = (struct scan_listener){ .frame = on_frame, .fd = -1 };
	ret = scan_add(viewers->vm->scan, &viewers->watch);
	if (ret) {
		vnc_source_destroy(viewers->source);
		viewers->source = NULL;
		return error_set(err, ret, "cannot watch the screen: %s", strerror(-ret));
	}
	return 0;
}

static int start_viewer(struct viewers *viewers, struct viewer *viewer, int fd, struct error *err)
{
	int ret = -EMFILE;

	if (viewers->number_count > 0) {
		int number = viewers->numbers[viewers->number_count - 1];

		ret = vnc_viewer_create(viewers->source, fd, number, &events, viewer, &viewer->vnc,
		                        err);
	} else {
		close_fd(&fd);
		error_set(err, ret, "no descriptor below %d is free for a viewer", FD_SETSIZE);
	}
	if (ret == 0) {
		viewers->number_count--;
	} else {
		viewer->number = 0;
		if (count(viewers) == 0)
			close_source(viewers);
	}
	return ret;
}

int viewers_add(struct viewers *viewers, int fd, bool may_control, uint64_t *out_number,
                struct error *err)
{
	struct viewer *viewer = find(viewers, 0);
	int ret = viewer ? open_source(viewers, err)
	                 : error_set(err, -EBUSY, "%d viewers are connected, no more are taken",
	                             VIEWERS_MAX);
	if (ret) {
		close_fd(&fd);
		return ret;
	}
	*viewer = (struct viewer){ .viewers = viewers,
		                   .number = ++viewers->last_number,
		                   .may_control = may_control,
		                   .since_ns = clock_now_ns() };
	ret = start_viewer(viewers, viewer, fd, err);
	if (ret)
		return ret;
	note(viewers, viewer->number, "is there", "");
	*out_number = viewer->number;
	return 0;
}

static void on_accepted(struct listener *listener, int fd)
{
	struct viewers *viewers = container_of(listener, struct viewers, listener);
	struct error err = { 0 };
	uint64_t number;

	if (viewers_add(viewers, fd, true, &number, &err))
		log_warn_limited(&viewers->complaints, "viewers: one was sent away: %s", err.msg);
}

/* --- the lease ---------------------------------------------------------------------------------------- */

static struct viewer *find_candidate(struct viewers *viewers)
{
	struct viewer *newest = NULL;

	for (unsigned i = 0; i < VIEWERS_MAX; i++) {
		struct viewer *viewer = &viewers->list[i];

		if (viewer->number && viewer->may_control &&
		    (!newest || viewer->number > newest->number))
			newest = viewer;
	}
	return newest;
}

int viewers_take(struct viewers *viewers, uint64_t number, uint64_t *out_number, struct error *err)
{
	const struct viewer *viewer = number ? find(viewers, number) : find_candidate(viewers);

	if (!viewer)
		return number ? error_set(err, -ENOENT, "there is no viewer %llu",
		                          (unsigned long long)number)
		              : error_set(err, -ENOENT,
		                          "no viewer that could take control is connected");
	if (!viewer->may_control)
		return error_set(err, -EPERM, "viewer %llu may only look",
		                 (unsigned long long)number);
	change_holder(viewers, viewer->number);
	*out_number = viewer->number;
	return 0;
}

void viewers_release(struct viewers *viewers)
{
	change_holder(viewers, 0);
}

bool viewers_are_in_control(const struct viewers *viewers)
{
	return viewers && viewers->holder != 0;
}

json_t *viewers_describe(const struct viewers *viewers)
{
	json_t *list = json_array();
	uint64_t now = clock_now_ns(), holder = viewers->holder;

	for (unsigned i = 0; i < VIEWERS_MAX; i++) {
		const struct viewer *viewer = &viewers->list[i];

		if (viewer->number)
			json_array_append_new(
				list, json_pack("{s:I,s:I,s:b,s:I}", "viewer",
			                        (json_int_t)viewer->number, "since_ms",
			                        (json_int_t)((now - viewer->since_ns) / NS_PER_MS),
			                        "control", viewer->may_control, "bytes",
			                        (json_int_t)vnc_viewer_sent(viewer->vnc)));
	}
	json_t *object = json_pack("{s:o}", "viewers", list);
	if (holder)
		json_object_set_new(object, "holder", json_integer((json_int_t)holder));
	return object;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static int listen_on(struct viewers *viewers, const char *path, struct error *err)
{
	cleanup_fd int fd = -1;

	if (!path)
		return 0;
	int ret = sock_listen_unix(path, &fd, err);
	if (ret)
		return ret;
	viewers->path = strdup(path);
	ret = viewers->path ? listener_start(&viewers->listener, viewers->vm->loop, fd, on_accepted)
	                    : -ENOMEM;
	if (ret) {
		unlink(path);
		return error_set(err, ret, "viewers' socket: %s", strerror(-ret));
	}
	steal_fd(&fd);
	return 0;
}

int viewers_create(struct vm *vm, const char *path, struct viewers **out_viewers, struct error *err)
{
	struct viewers *viewers = calloc(1, sizeof(*viewers));

	if (!viewers)
		return error_set(err, -ENOMEM, "no memory for viewers");
	viewers->vm = vm;
	viewers->listener = (struct listener)LISTENER_INIT;
	viewers->complaints = viewers->arrivals = (struct log_limit)LOG_LIMIT_INIT;
	viewer_input_init(&viewers->input);
	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		viewers->list[i].viewers = viewers;
	viewers->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret =
		viewers->event_fd < 0 ? error_set(err, -errno, "eventfd: %s", strerror(errno)) : 0;
	if (ret == 0 &&
	    loop_watch_add(vm->loop, &viewers->event_watch, viewers->event_fd, EPOLLIN, on_event))
		ret = error_set(err, -ENOMEM, "cannot watch an eventfd");
	if (ret == 0)
		keep_numbers(viewers, VIEWERS_MAX);
	if (ret == 0)
		ret = listen_on(viewers, path, err);
	if (ret) {
		viewers_destroy(viewers);
		return ret;
	}
	*out_viewers = viewers;
	return 0;
}

void viewers_destroy(struct viewers *viewers)
{
	if (!viewers)
		return;
	ASSERT(!viewers->sending);
	if (viewers->listener.fd >= 0)
		unlink(viewers->path);
	listener_stop(&viewers->listener);
	viewers->holder = 0;
	json_decref(viewer_input_give(&viewers->input, 0));
	for (unsigned i = 0; i < VIEWERS_MAX; i++)
		if (viewers->list[i].number)
			remove_viewer(&viewers->list[i]);
	loop_watch_remove(viewers->vm->loop, &viewers->event_watch);
	while (viewers->number_count > 0)
		close_fd(&viewers->numbers[--viewers->number_count]);
	close_fd(&viewers->event_fd);
	vnc_library_release(viewers->library);
	json_decref(viewers->release);
	viewer_input_finish(&viewers->input);
	free(viewers->path);
	free(viewers);
}

void viewers_hold(struct viewers *viewers)
{
	if (viewers)
		vnc_library_hold(viewers->library);
}

void viewers_go_on(struct viewers *viewers)
{
	if (viewers)
		vnc_library_go_on(viewers->library);
}
