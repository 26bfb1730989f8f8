/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input.c - the verb "input". The agent's thread.
 *
 * One worker process owns the X connection (input_worker.h) because X calls block: a server that
 * is stopped or stuck stops the worker, never the agent. Requests go to it one at a time, in the
 * order of their coming; one whose time is over or whose asker is gone costs the worker its life,
 * and the next request gets a new one. Keys and buttons that are down stay down in the X server.
 */
#include "guest/input.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/display.h"
#include "guest/input_worker.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"

struct input {
	struct agent *agent; /* borrowed */
	struct child child;
	struct wire_conn conn;
	struct loop_watch watch;
	bool connected;
	json_int_t serial;                         /* id of the latest message to the worker */
	struct loop_timer timer;                   /* set when a cancelled request has made room */
	struct request *queue[PROTO_REQUESTS_MAX]; /* borrowed; [0] is with the worker */
	size_t queued;
};

static void queue_advance(struct input *input);

static void worker_stop(struct input *input)
{
	child_kill(&input->child, SIGKILL);
	children_forget(input->agent->children, &input->child);
	if (input->connected) {
		loop_watch_remove(input->agent->loop, &input->watch);
		wire_conn_finish(&input->conn);
		input->connected = false;
	}
}

static struct request *queue_take(struct input *input, size_t at)
{
	struct request *request = input->queue[at];

	input->queued--;
	memmove(&input->queue[at], &input->queue[at + 1],
	        (input->queued - at) * sizeof(input->queue[0]));
	return request;
}

/* --- the worker's words --- */

static void answer_take(struct input *input, json_t *answer)
{
	json_t *error = json_object_get(answer, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));
	struct request *request;
	json_t *members;

	if (!input->queued || json_integer_value(json_object_get(answer, "id")) != input->serial)
		return;
	request = queue_take(input, 0);
	if (error) {
		request_fail(request, code ? code : PROTO_ERR_FAILED, "input: %s",
		             text ? text : "?");
	} else {
		members = json_copy(answer);
		json_object_del(members, "id");
		request_reply(request, members, NULL, 0);
	}
}

static void worker_ready(struct loop_watch *watch, uint32_t events)
{
	struct input *input = container_of(watch, struct input, watch);
	struct wire_message message = WIRE_MESSAGE_INIT;
	int got = wire_conn_read(&input->conn, NULL);

	(void)events;
	while (wire_conn_next(&input->conn, &message, NULL) > 0) {
		answer_take(input, message.object);
		wire_message_finish(&message);
	}
	if (got < 0) {
		worker_stop(input);
		if (input->queued)
			request_fail(queue_take(input, 0), PROTO_ERR_NOT_READY, "input: %s",
			             display_is_up(input->agent->display)
			                     ? "the X server has closed the connection"
			                     : display_explain(input->agent->display));
	} else if (wire_conn_flush(&input->conn) == 0) {
		loop_watch_change(input->agent->loop, watch,
		                  wire_conn_wants_write(&input->conn) ? EPOLLIN | EPOLLOUT
		                                                      : EPOLLIN);
	}
	queue_advance(input);
}

static void worker_ended(struct child *child, int wait_status)
{
	/* Its socket says the same, after its last words. */
	(void)child;
	(void)wait_status;
}

static int worker_start(struct input *input)
{
	cleanup_fd int theirs = -1;
	int ends[2];
	pid_t pid;
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	theirs = ends[1];
	pid = children_fork(input->agent->children, theirs, &input->child, worker_ended);
	if (pid == 0)
		input_worker(steal_fd(&theirs), input->agent->options.display);
	if (pid < 0) {
		close_fd(&ends[0]);
		return (int)pid;
	}
	input->conn = (struct wire_conn){ .fd = -1 };
	ret = wire_conn_init(&input->conn, ends[0]);
	if (ret == 0) {
		input->connected = true;
		ret = loop_watch_add(input->agent->loop, &input->watch, input->conn.fd, EPOLLIN,
		                     worker_ready);
	}
	if (ret < 0)
		worker_stop(input);
	return ret;
}

/* --- the queue --- */

static int request_forward(struct input *input, struct request *request)
{
	json_t *steps = json_object_get(request->message.object, "steps");
	json_t *message;
	int ret = input->connected ? 0 : worker_start(input);

	if (ret < 0)
		return ret;
	message = json_pack("{s:I, s:O}", "id", ++input->serial, "steps", steps);
	if (!message)
		return -ENOMEM;
	ret = wire_conn_send(&input->conn, message, NULL, 0, -1);
	json_decref(message);
	if (ret == 0)
		ret = loop_watch_change(input->agent->loop, &input->watch,
		                        wire_conn_wants_write(&input->conn) ? EPOLLIN | EPOLLOUT
		                                                            : EPOLLIN);
	return ret;
}

/* Hands the first request to the worker, unless it has one: its job says so. */
static void queue_advance(struct input *input)
{
	while (input->queued && !input->queue[0]->job) {
		struct request *request = input->queue[0];
		int ret = request_forward(input, request);

		if (ret == 0) {
			request->job = input;
			request->waiting_for = "the steps to be done";
			return;
		}
		worker_stop(input);
		request_fail(queue_take(input, 0), PROTO_ERR_FAILED, "input: %s", strerror(-ret));
	}
}

static void room_made(struct loop_timer *timer)
{
	queue_advance(container_of(timer, struct input, timer));
}

/* The next one has to wait for the loop: when a connection is lost, it's about to be cancelled. */
static void input_cancel(struct request *request)
{
	struct input *input = request->agent->input;
	bool working = request->job != NULL;

	for (size_t i = 0; i < input->queued; i++)
		if (input->queue[i] == request)
			queue_take(input, i--);
	if (working)
		worker_stop(input);
	loop_timer_set(input->agent->loop, &input->timer, clock_now_ns(), room_made);
}

void verb_input(struct agent *agent, struct request *request)
{
	struct input *input = agent->input;

	if (!input || !display_is_up(agent->display)) {
		request_fail(request, PROTO_ERR_NOT_READY, "input: %s",
		             display_explain(agent->display));
		return;
	}
	if (!json_is_array(json_object_get(request->message.object, "steps"))) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "input: \"steps\" must be an array");
		return;
	}
	ASSERT(input->queued < PROTO_REQUESTS_MAX);
	request->cancel = input_cancel;
	request->waiting_for = "earlier input";
	input->queue[input->queued++] = request;
	queue_advance(input);
}

int input_create(struct agent *agent, struct input **out_input)
{
	struct input *input = calloc(1, sizeof(*input));
	int ret;

	if (!input)
		return -ENOMEM;
	input->agent = agent;
	ret = worker_start(input);
	if (ret < 0) {
		free(input);
		return ret;
	}
	*out_input = input;
	return 0;
}

void input_destroy(struct input *input)
{
	if (!input)
		return;
	loop_timer_cancel(input->agent->loop, &input->timer);
	worker_stop(input);
	free(input);
}
