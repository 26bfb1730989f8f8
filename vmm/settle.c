/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.c - see settle.h.
 *
 * The scan's thread decides: in the callbacks of its listener a wait is that thread's, until .over is set. Then it
 * is the I/O thread's, which an eventfd tells so.
 */
#include "vmm/settle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "display/stillness.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proto.h"
#include "lib/wire.h"
#include "vmm/frame_ids.h"
#include "vmm/picture.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define PERIODIC_MAX 32 /* rectangles told */

struct wait {
	struct wait *next;
	struct settling *settling;
	struct scan_listener listener;
	struct settle_wish wish;
	uint64_t begun_ns;
	settle_done *done;
	void *arg;
	/* The scan's thread's, until .over. */
	struct stillness *still; /* owned */
	json_t *reply;           /* owned */
	atomic_bool over;
};

struct settling {
	struct vm *vm; /* borrowed */
	struct wait *waits;
	unsigned count;
	int over_fd; /* owned eventfd */
	struct loop_watch over_watch;
};

/* --- the scan's thread ----------------------------------------------------------------------- */

static void end(struct wait *wait, json_t *reply)
{
	uint64_t one = 1;

	wait->reply = reply;
	atomic_store(&wait->over, true);
	if (write(wait->settling->over_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

static void end_seen(struct wait *wait, bool settled, uint64_t now_ns)
{
	struct stillness *still = wait->still;
	struct rectangle periodic[PERIODIC_MAX];
	char frame[FRAME_ID_SIZE];

	if (frame_ids_give(wait->settling->vm->frame_ids, stillness_grid(still),
	                   stillness_hashes(still), frame)) {
		end(wait, wire_reply_error(0, PROTO_ERR_FAILED, "no memory for a frame's name"));
		return;
	}
	size_t count = stillness_periodic(still, periodic, PERIODIC_MAX);
	json_t *reply = wire_reply_ok(0);

	json_object_set_new(reply, "settled", json_boolean(settled));
	json_object_set_new(reply, "frame", json_string(frame));
	json_object_set_new(reply, "waited_ms",
	                    json_integer((json_int_t)((now_ns - wait->begun_ns) / NS_PER_MS)));
	json_object_set_new(reply, "periodic", picture_list(periodic, count));
	end(wait, reply);
}

/* The first frame, and one of another size, is where it begins. */
static void begin_again(struct wait *wait, const struct scan_frame *frame)
{
	const struct rectangle *area = wait->wish.area.width ? &wait->wish.area : NULL;

	stillness_destroy(steal_pointer(&wait->still));
	if (area && !rectangle_is_within(area, frame->width, frame->height))
		end(wait, wire_reply_error(0, PROTO_ERR_BAD_REQUEST,
		                           "'rect' is not within the screen of %ux%u", frame->width,
		                           frame->height));
	else if (stillness_create(tiles_grid(frame->tiles), area, frame->time_ns,
	                          tiles_hashes(frame->tiles), &wait->still))
		end(wait, wire_reply_error(0, PROTO_ERR_FAILED, "no memory to watch the screen"));
}

static void on_frame(struct scan_listener *listener, const struct scan_frame *frame)
{
	struct wait *wait = container_of(listener, struct wait, listener);
	const struct grid *grid = wait->still ? stillness_grid(wait->still) : NULL;

	if (atomic_load(&wait->over))
		return;
	if (!grid || grid->width != frame->width || grid->height != frame->height)
		begin_again(wait, frame);
	else
		stillness_note(wait->still, frame->time_ns, tiles_changed(frame->tiles),
		               tiles_hashes(frame->tiles));
}

static uint64_t on_idle(struct scan_listener *listener)
{
	struct wait *wait = container_of(listener, struct wait, listener);
	uint64_t now = clock_now_ns();
	uint64_t deadline = wait->begun_ns + wait->wish.timeout_ms * NS_PER_MS;
	/* What has been looked at, not what may have happened since. */
	uint64_t seen = scan_time(wait->settling->vm->scan);

	if (atomic_load(&wait->over))
		return 0;
	if (wait->still && seen >= stillness_since(wait->still) + wait->wish.quiet_ms * NS_PER_MS) {
		end_seen(wait, true, now);
		return 0;
	}
	if (now < deadline)
		return deadline;
	if (wait->still)
		end_seen(wait, false, now);
	else
		end(wait, wire_reply_error(0, PROTO_ERR_TIMEOUT, "the screen could not be seen"));
	return 0;
}

/* --- the I/O thread -------------------------------------------------------------------------- */

static void finish(struct wait *wait)
{
	struct settling *settling = wait->settling;
	struct wait **link = &settling->waits;

	scan_remove(settling->vm->scan, &wait->listener);
	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	settling->count--;
	wait->done(wait->arg, wait->reply);
	stillness_destroy(wait->still);
	free(wait);
}

static void on_over(struct loop_watch *watch, uint32_t events)
{
	struct settling *settling = container_of(watch, struct settling, over_watch);
	uint64_t count;

	(void)events;
	if (read(settling->over_fd, &count, sizeof(count)) < 0)
		return;
	for (struct wait *wait = settling->waits, *next; wait; wait = next) {
		next = wait->next;
		if (atomic_load(&wait->over))
			finish(wait);
	}
}

static void refuse(settle_done *done, void *arg, const char *code, const char *message)
{
	done(arg, wire_reply_error(0, code, "%s", message));
}

void settle(struct settling *settling, const struct settle_wish *wish, settle_done *done, void *arg)
{
	unsigned width, height;

	if (!screen_size(settling->vm->screen, &width, &height)) {
		refuse(done, arg, PROTO_ERR_NOT_READY,
		       "the guest has no screen (yet): wait for display");
		return;
	}
	struct wait *wait = settling->count < SETTLE_MAX ? calloc(1, sizeof(*wait)) : NULL;
	if (!wait) {
		refuse(done, arg, PROTO_ERR_BUSY, "too many wait for the screen to settle");
		return;
	}
	*wait = (struct wait){
		.next = settling->waits,
		.settling = settling,
		.listener = { .frame = on_frame, .idle = on_idle, .fd = -1, .fast = true },
		.wish = *wish,
		.begun_ns = clock_now_ns(),
		.done = done,
		.arg = arg,
	};
	settling->waits = wait;
	settling->count++;
	int ret = scan_add(settling->vm->scan, &wait->listener);
	if (ret == 0)
		return;
	wait->reply = wire_reply_error(0, ret == -EBUSY ? PROTO_ERR_BUSY : PROTO_ERR_FAILED,
	                               "cannot watch the screen: %s", strerror(-ret));
	finish(wait);
}

int settling_create(struct vm *vm, struct settling **out_settling)
{
	struct settling *settling = calloc(1, sizeof(*settling));

	if (!settling)
		return -ENOMEM;
	settling->vm = vm;
	settling->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret = settling->over_fd < 0 ? -errno : 0;
	if (ret == 0)
		ret = loop_watch_add(vm->loop, &settling->over_watch, settling->over_fd, EPOLLIN,
		                     on_over);
	if (ret) {
		settling_destroy(settling);
		return ret;
	}
	*out_settling = settling;
	return 0;
}

void settling_destroy(struct settling *settling)
{
	if (!settling)
		return;
	while (settling->waits) {
		struct wait *wait = settling->waits;

		scan_remove(settling->vm->scan, &wait->listener);
		if (!atomic_load(&wait->over))
			wait->reply = wire_reply_error(0, PROTO_ERR_GONE, "the session ends");
		finish(wait);
	}
	loop_watch_remove(settling->vm->loop, &settling->over_watch);
	close_fd(&settling->over_fd);
	free(settling);
}
