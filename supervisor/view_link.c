/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_link.c - see view_link.h. The loop's thread only.
 *
 * Who has control changes without us, too: by another viewer, by `cloche control`. So it is asked
 * again and again while somebody looks; of a VMM that isn't looked at nothing is asked.
 */
#include "supervisor/view_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "supervisor/view.h"

#define STATUS_TIMEOUT_MS 5000u
#define ENDED "The session has ended"

int view_link_open(struct view *view, struct failure *failure)
{
	json_auto_t *status = NULL;

	view->link.client = (struct client)CLIENT_INIT;
	view->link.client.interrupt_fd = view->interrupt_fd;
	if (client_open(&view->link.client, &view->session, failure) < 0)
		return -1;
	return client_get_status(&view->link.client, STATUS_TIMEOUT_MS, &status, failure);
}

void view_link_close(struct view *view)
{
	view_file_stop(&view->link.file);
	client_close(&view->link.client);
}

/* Sends what could not be sent at once when the socket takes more. */
static void flush_later(struct view_link *link)
{
	if (wire_conn_wants_write(&link->client.conn))
		view_file_want_write(&link->file);
}

static void lose(struct view *view)
{
	view_file_stop(&view->link.file);
	view_end(view, ENDED);
}

/* --- requests --- */

/* Sends @message (stolen, may be NULL). False when it can't be: then nobody is told. */
static bool send_request(struct view *view, json_t *message, int fd, struct view_slot *slot,
                         void (*answered)(struct view *, const struct view_request *,
                                          const json_t *))
{
	struct view_link *link = &view->link;
	json_auto_t *owned = message;
	struct view_request *request = NULL;

	for (size_t i = 0; i < VIEW_REQUESTS_MAX && !request; i++) {
		if (link->requests[i].id == 0)
			request = &link->requests[i];
	}
	if (!request || !owned || view->ended)
		return false;
	link->client.last_id++;
	json_object_set_new(owned, "id", json_integer(link->client.last_id));
	json_object_set_new(owned, "timeout_ms", json_integer(VIEW_ANSWER_MS));
	if (wire_conn_send(&link->client.conn, owned, NULL, 0, fd) < 0)
		return false;
	flush_later(link);
	*request = (struct view_request){
		.id = link->client.last_id,
		.deadline_ns = clock_now_ns() + VIEW_ANSWER_MS * NS_PER_MS,
		.slot = slot,
		.generation = slot ? slot->generation : 0,
		.answered = answered,
	};
	return true;
}

static bool is_ok(const json_t *reply)
{
	return json_is_true(json_object_get(reply, "ok"));
}

/* Notes for the page why the VMM said no. @reply may be NULL: it said nothing. */
static void note_refusal(struct view_slot *slot, const json_t *reply)
{
	const char *message = client_string(json_object_get(reply, "error"), "message");

	snprintf(slot->note, sizeof(slot->note), "%s", *message ? message : "No answer");
	text_clean(slot->note);
}

/* True when @request is about the screen that its slot has now. */
static bool is_current(const struct view_request *request)
{
	return request->slot->generation == request->generation && request->slot->screen;
}

/* --- who has control --- */

static void set_holder(struct view_slot *slot, json_int_t holder)
{
	enum view_holder now = VIEW_HELD_BY_NOBODY;

	if (holder > 0)
		now = holder == slot->viewer ? VIEW_HELD_BY_YOU : VIEW_HELD_BY_OTHER;
	if (now == slot->holder)
		return;
	slot->holder = now;
	slot->note[0] = '\0';
	view_hands_tell(slot->hands);
}

/* Takes the answer of any "control" request: all of them say how things stand. */
static void take_state(struct view *view, const json_t *reply)
{
	json_int_t holder = client_integer(reply, "holder", 1, INT64_MAX, 0);

	for (size_t i = 0; i < view->slot_count; i++)
		set_holder(&view->slots[i], holder);
}

static void state_answered(struct view *view, const struct view_request *request,
                           const json_t *reply)
{
	(void)request;
	view->link.polling = false;
	if (is_ok(reply))
		take_state(view, reply);
}

static void poll_state(struct view *view)
{
	bool watched = false;

	for (size_t i = 0; i < view->slot_count; i++)
		watched = watched || view->slots[i].viewer > 0;
	if (watched && !view->link.polling)
		view->link.polling =
			send_request(view, json_pack("{s:s,s:s}", "verb", "control", "op", "state"),
		                     -1, NULL, state_answered);
}

static void wish_answered(struct view *view, const struct view_request *request,
                          const json_t *reply)
{
	if (is_ok(reply)) {
		request->slot->note[0] = '\0';
		take_state(view, reply);
	} else {
		note_refusal(request->slot, reply);
	}
	view_hands_tell(request->slot->hands);
}

void view_link_ask(struct view_slot *slot, bool take)
{
	/* The VMM would let it take what another has, and give back what isn't its own. */
	if (slot->viewer == 0 || !slot->control || slot->holder == VIEW_HELD_BY_OTHER)
		return;
	if (!send_request(slot->view,
	                  json_pack("{s:s,s:s,s:I}", "verb", "control", "op",
	                            take ? "take" : "release", "viewer", slot->viewer),
	                  -1, slot, wish_answered))
		note_refusal(slot, NULL);
}

/* --- viewers --- */

static void viewer_answered(struct view *view, const struct view_request *request,
                            const json_t *reply)
{
	struct view_slot *slot = request->slot;
	json_int_t viewer = client_integer(reply, "viewer", 1, INT64_MAX, 0);

	if (!is_current(request))
		return;
	if (is_ok(reply) && viewer > 0) {
		slot->viewer = viewer;
		view_hands_tell(slot->hands);
		poll_state(view);
		return;
	}
	note_refusal(slot, reply);
	log_warn_limited(&view->refusals, "the session takes no viewer: %s", slot->note);
	view_hands_end(slot->hands, "The session takes no viewer now");
	view_screen_close(slot->screen, VIEW_CLOSE_ENDED, "refused");
}

void view_link_add_viewer(struct view_slot *slot, int fd)
{
	if (!send_request(slot->view,
	                  json_pack("{s:s,s:b}", "verb", "viewer", "control", slot->control), fd,
	                  slot, viewer_answered))
		view_screen_close(slot->screen, VIEW_CLOSE_ENDED, "busy");
}

/* --- what comes in --- */

static void take_reply(struct view *view, const json_t *reply)
{
	json_int_t id = client_integer(reply, "id", 1, INT64_MAX, 0);

	for (size_t i = 0; id > 0 && i < VIEW_REQUESTS_MAX; i++) {
		struct view_request request = view->link.requests[i];

		if (request.id != id)
			continue;
		view->link.requests[i].id = 0;
		request.answered(view, &request, reply);
		return;
	}
}

static void link_readable(struct view_file *file)
{
	struct view *view = container_of(file, struct view, link.file);
	struct wire_conn *conn = &view->link.client.conn;
	struct error err = { 0 };
	int rc = wire_conn_read(conn, &err);

	/* What it said before it hung up is still heard. */
	for (;;) {
		cleanup_message struct wire_message message = WIRE_MESSAGE_INIT;
		int next = wire_conn_next(conn, &message, &err);

		if (next < 0)
			rc = next;
		if (next <= 0)
			break;
		take_reply(view, message.object);
	}
	if (rc < 0)
		lose(view);
}

static void link_writable(struct view_file *file)
{
	struct view *view = container_of(file, struct view, link.file);

	if (wire_conn_flush(&view->link.client.conn) < 0)
		lose(view);
	else
		flush_later(&view->link);
}

static void link_hung_up(struct view_file *file)
{
	lose(container_of(file, struct view, link.file));
}

int view_link_start(struct view *view)
{
	view->link.file = (struct view_file){
		.readable = link_readable,
		.writable = link_writable,
		.hung_up = link_hung_up,
	};
	return view_file_start(&view->link.file, view->vhost, view->link.client.conn.fd);
}

void view_link_tick(struct view *view)
{
	uint64_t now = clock_now_ns();

	for (size_t i = 0; i < VIEW_REQUESTS_MAX; i++) {
		struct view_request request = view->link.requests[i];

		if (request.id == 0 || now < request.deadline_ns)
			continue;
		view->link.requests[i].id = 0;
		request.answered(view, &request, NULL);
	}
	poll_state(view);
}
