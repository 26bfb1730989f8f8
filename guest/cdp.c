/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cdp.c - framing, calls and their answers. The agent's thread.
 */
#include "guest/cdp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define READ_SIZE ((size_t)64 << 10)
#define READS_MAX 8 /* a round: others want the loop too */
#define QUEUE_MAX ((size_t)1 << 20)

/* --- framing --- */

void cdp_framer_init(struct cdp_framer *framer)
{
	*framer = (struct cdp_framer){ .used = 0 };
}

void cdp_framer_finish(struct cdp_framer *framer)
{
	free(framer->buffer);
	cdp_framer_init(framer);
}

/* The message handed out last is dropped only now, so that its reader had it to himself. */
static void framer_drop_taken(struct cdp_framer *framer)
{
	if (!framer->taken)
		return;
	memmove(framer->buffer, framer->buffer + framer->taken, framer->used - framer->taken);
	framer->used -= framer->taken;
	framer->scanned = 0;
	framer->taken = 0;
}

int cdp_framer_push(struct cdp_framer *framer, const char *data, size_t size)
{
	framer_drop_taken(framer);
	if (framer->skipping) {
		const char *end = memchr(data, '\0', size);

		if (!end)
			return 0;
		framer->skipping = false;
		size -= (size_t)(end + 1 - data);
		data = end + 1;
	}
	if (framer->used + size > framer->size) {
		size_t room = framer->size ? framer->size : READ_SIZE;
		char *grown;

		while (room < framer->used + size)
			room *= 2;
		grown = realloc(framer->buffer, room);
		if (!grown)
			return -ENOMEM;
		framer->buffer = grown;
		framer->size = room;
	}
	if (size)
		memcpy(framer->buffer + framer->used, data, size);
	framer->used += size;
	return 0;
}

/* A long message's room isn't kept for the short ones that follow. */
static void framer_shrink(struct cdp_framer *framer)
{
	if (framer->used || framer->size <= 2 * READ_SIZE)
		return;
	free(framer->buffer);
	framer->buffer = NULL;
	framer->size = 0;
}

const char *cdp_framer_next(struct cdp_framer *framer, size_t *out_size)
{
	const char *end;

	framer_drop_taken(framer);
	if (!framer->used) {
		framer_shrink(framer);
		return NULL;
	}
	end = memchr(framer->buffer + framer->scanned, '\0', framer->used - framer->scanned);
	if (end) {
		*out_size = (size_t)(end - framer->buffer);
		framer->taken = *out_size + 1;
		return *out_size <= CDP_MESSAGE_MAX ? framer->buffer
		                                    : cdp_framer_next(framer, out_size);
	}
	framer->scanned = framer->used;
	if (framer->used > CDP_MESSAGE_MAX) {
		framer->skipping = true;
		framer->used = framer->scanned = 0;
		framer_shrink(framer);
	}
	return NULL;
}

/* --- the connection --- */

struct call {
	uint32_t number; /* 0: a free slot */
	cdp_answer *answer;
	void *arg;
};

struct cdp {
	struct loop *loop; /* borrowed */
	struct cdp_events events;
	struct loop_watch read_watch, write_watch;
	int read_fd, write_fd; /* owned */
	struct cdp_framer framer;
	char *queue; /* owned: what the pipe didn't take yet */
	size_t queued;
	uint32_t number; /* of the latest call */
	struct call calls[CDP_CALLS_MAX];
	struct log_limit limit;
};

static void answer_give(struct cdp *cdp, json_int_t number, json_t *result, const char *error)
{
	for (size_t i = 0; i < CDP_CALLS_MAX; i++) {
		struct call call = cdp->calls[i];

		if (!call.number || call.number != number)
			continue;
		cdp->calls[i].number = 0;
		call.answer(call.arg, result, error);
		return;
	}
}

static void message_handle(struct cdp *cdp, const char *text, size_t size)
{
	json_t *object = json_loadb(text, size, 0, NULL);
	json_t *id = json_object_get(object, "id");
	const char *method = json_string_value(json_object_get(object, "method"));
	const char *error;

	if (!object) {
		log_warn_limited(&cdp->limit, "browser: a DevTools message is no JSON");
		return;
	}
	if (id) {
		json_t *failure = json_object_get(object, "error");

		error = json_string_value(json_object_get(failure, "message"));
		answer_give(cdp, json_integer_value(id),
		            failure ? NULL : json_object_get(object, "result"),
		            error ? error : "DevTools refuses");
	} else if (method) {
		cdp->events.event(cdp->events.arg,
		                  json_string_value(json_object_get(object, "sessionId")), method,
		                  json_object_get(object, "params"));
	}
	json_decref(object);
}

static void pipe_closed(struct cdp *cdp)
{
	loop_watch_remove(cdp->loop, &cdp->read_watch);
	loop_watch_remove(cdp->loop, &cdp->write_watch);
	close_fd(&cdp->read_fd);
	close_fd(&cdp->write_fd);
	cdp->events.closed(cdp->events.arg);
	for (size_t i = 0; i < CDP_CALLS_MAX; i++)
		answer_give(cdp, cdp->calls[i].number, NULL, "the browser has closed DevTools");
}

static void read_ready(struct loop_watch *watch, uint32_t events)
{
	struct cdp *cdp = container_of(watch, struct cdp, read_watch);
	char data[READ_SIZE];

	(void)events;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(cdp->read_fd, data, sizeof(data));
		const char *text;
		size_t size;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || cdp_framer_push(&cdp->framer, data, (size_t)n) < 0) {
			pipe_closed(cdp);
			return;
		}
		while ((text = cdp_framer_next(&cdp->framer, &size)))
			message_handle(cdp, text, size);
	}
}

static void write_ready(struct loop_watch *watch, uint32_t events)
{
	struct cdp *cdp = container_of(watch, struct cdp, write_watch);
	ssize_t n = write(cdp->write_fd, cdp->queue, cdp->queued);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* The reading side will tell; until then there is nothing to write to. */
		cdp->queued = 0;
	} else {
		memmove(cdp->queue, cdp->queue + n, cdp->queued - (size_t)n);
		cdp->queued -= (size_t)n;
	}
	if (!cdp->queued)
		loop_watch_remove(cdp->loop, watch);
}

static int queue_append(struct cdp *cdp, const char *text, size_t size)
{
	char *grown;

	if (cdp->write_fd < 0 || cdp->queued + size > QUEUE_MAX)
		return -ENOBUFS;
	grown = realloc(cdp->queue, cdp->queued + size);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + cdp->queued, text, size);
	cdp->queue = grown;
	cdp->queued += size;
	if (cdp->write_watch.active)
		return 0;
	return loop_watch_add(cdp->loop, &cdp->write_watch, cdp->write_fd, EPOLLOUT, write_ready);
}

static struct call *slot_find(struct cdp *cdp)
{
	for (size_t i = 0; i < CDP_CALLS_MAX; i++)
		if (!cdp->calls[i].number)
			return &cdp->calls[i];
	return NULL;
}

uint32_t cdp_call(struct cdp *cdp, const char *session, const char *method, json_t *params,
                  cdp_answer *answer, void *arg)
{
	struct call *slot = answer ? slot_find(cdp) : NULL;
	uint32_t number = ++cdp->number ? cdp->number : ++cdp->number;
	cleanup_free char *text = NULL;
	json_t *message = json_pack("{s:I, s:s, s:o*, s:s*}", "id", (json_int_t)number, "method",
	                            method, "params", params, "sessionId", session);

	if (message)
		text = json_dumps(message, JSON_COMPACT);
	json_decref(message);
	if (!text || (answer && !slot) || queue_append(cdp, text, strlen(text) + 1) < 0)
		return 0;
	if (slot)
		*slot = (struct call){ .number = number, .answer = answer, .arg = arg };
	return number;
}

void cdp_forget(struct cdp *cdp, uint32_t number)
{
	for (size_t i = 0; number && i < CDP_CALLS_MAX; i++)
		if (cdp->calls[i].number == number)
			cdp->calls[i].number = 0;
}

int cdp_create(struct loop *loop, int read_fd, int write_fd, const struct cdp_events *events,
               struct cdp **out_cdp)
{
	struct cdp *cdp = calloc(1, sizeof(*cdp));
	int ret;

	if (!cdp) {
		close_fd(&read_fd);
		close_fd(&write_fd);
		return -ENOMEM;
	}
	cdp->loop = loop;
	cdp->events = *events;
	cdp->read_fd = read_fd;
	cdp->write_fd = write_fd;
	cdp->limit = (struct log_limit)LOG_LIMIT_INIT;
	cdp_framer_init(&cdp->framer);
	ret = loop_watch_add(loop, &cdp->read_watch, read_fd, EPOLLIN, read_ready);
	if (ret < 0) {
		cdp_destroy(cdp);
		return ret;
	}
	*out_cdp = cdp;
	return 0;
}

void cdp_destroy(struct cdp *cdp)
{
	if (!cdp)
		return;
	loop_watch_remove(cdp->loop, &cdp->read_watch);
	loop_watch_remove(cdp->loop, &cdp->write_watch);
	close_fd(&cdp->read_fd);
	close_fd(&cdp->write_fd);
	for (size_t i = 0; i < CDP_CALLS_MAX; i++)
		answer_give(cdp, cdp->calls[i].number, NULL, "the browser has ended");
	cdp_framer_finish(&cdp->framer);
	free(cdp->queue);
	free(cdp);
}
