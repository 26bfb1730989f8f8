/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel.c - connecting, greeting, the request table. The agent's thread.
 *
 *	         host_connect()                writable
 *	 IDLE ---------------------> CONNECTING --------> OPEN
 *	  ^ ^   timer, back-off          | fails           | lost: EOF, error, garbage,
 *	  | +----------------------------+                 | a peer that doesn't read
 *	  +------------------------------------------------+ requests are cancelled
 *
 * The connection is lost whenever the guest is cloned, so reconnecting is an everyday matter: after
 * a connection that was of use the first try comes at once, later ones at most a second apart, for
 * ever.
 * A failure to send is noticed in the middle of somebody's verb; tearing the table down there
 * would pull it from under them, so such a connection is only marked and closed from the loop.
 */
#include "guest/channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <time.h>

#include "guest/agent.h"
#include "guest/children.h"
#include "guest/host.h"
#include "guest/text.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"

#define BACKOFF_MIN_MS 10u
#define BACKOFF_MAX_MS 1000u
#define LASTED_MS 1000u /* a connection that lived so long was of use */
#define COMPLAIN_AFTER_MS 30000u
#define DRAIN_MS 500u
#define ID_MAX ((json_int_t)1 << 53)

enum state { IDLE, CONNECTING, OPEN };

struct stage {
	bool reached;
	json_int_t boot_ms;
};

struct death {
	bool happened;
	int wait_status;
	json_int_t boot_ms;
};

struct channel {
	struct agent *agent; /* borrowed */
	enum state state;
	int connecting_fd; /* owned while CONNECTING */
	struct wire_conn conn;
	struct loop_watch watch;
	struct loop_timer timer; /* IDLE: the next try; OPEN: closes a broken connection */
	bool broken;
	bool useful; /* the connection has had a request that worked */
	uint32_t backoff_ms;
	uint64_t opened_ns;
	uint64_t lost_ns; /* since when there is no connection */
	bool complained;
	struct log_limit limit;
	struct stage stages[STAGES];
	struct death deaths[PROCESSES];
	struct loop_timer drain_timer;
	void (*drained)(struct agent *agent);
	struct request requests[PROTO_REQUESTS_MAX];
};

static const char *const stage_names[STAGES] = { "agent", "display", "browser" };
static const char *const process_names[PROCESSES] = { "xvfb", "browser" };

static void connect_try(struct loop_timer *timer);
static void connection_ready(struct loop_watch *watch, uint32_t events);

static json_int_t boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (json_int_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- losing a connection --- */

static void requests_cancel(struct channel *channel)
{
	for (size_t i = 0; i < PROTO_REQUESTS_MAX; i++) {
		struct request *request = &channel->requests[i];

		if (!request->id)
			continue;
		loop_timer_cancel(channel->agent->loop, &request->timer);
		if (request->cancel)
			request->cancel(request);
		wire_message_finish(&request->message);
		request->id = 0;
	}
}

static void connection_lost(struct channel *channel, const char *why)
{
	struct loop *loop = channel->agent->loop;

	if (channel->state == OPEN)
		log_info("connection to the VMM lost: %s", why);
	loop_watch_remove(loop, &channel->watch);
	if (channel->state == OPEN) {
		wire_conn_finish(&channel->conn);
		channel->lost_ns = clock_now_ns();
		channel->complained = false;
		if (channel->useful ||
		    channel->lost_ns - channel->opened_ns > LASTED_MS * NS_PER_MS)
			channel->backoff_ms = 0;
	}
	close_fd(&channel->connecting_fd);
	channel->state = IDLE;
	channel->broken = false;
	requests_cancel(channel);
	loop_timer_set(loop, &channel->timer, clock_now_ns() + channel->backoff_ms * NS_PER_MS,
	               connect_try);
	channel->backoff_ms = channel->backoff_ms ? channel->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (channel->backoff_ms > BACKOFF_MAX_MS)
		channel->backoff_ms = BACKOFF_MAX_MS;
}

static void broken_close(struct loop_timer *timer)
{
	connection_lost(container_of(timer, struct channel, timer), "it can't be written to");
}

/* --- sending --- */

static void drain_check(struct channel *channel)
{
	void (*drained)(struct agent *) = channel->drained;

	if (!drained || (channel->state == OPEN && wire_conn_wants_write(&channel->conn)))
		return;
	channel->drained = NULL;
	drained(channel->agent);
}

static int message_send(struct channel *channel, json_t *object, const void *blob, size_t size)
{
	struct loop *loop = channel->agent->loop;
	int ret;

	if (channel->state != OPEN || channel->broken)
		return 0;
	ret = object ? wire_conn_send(&channel->conn, object, blob, size, -1) : -ENOMEM;
	if (ret == -EMSGSIZE)
		return ret;
	if (ret == 0)
		ret = loop_watch_change(loop, &channel->watch,
		                        wire_conn_wants_write(&channel->conn) ? EPOLLIN | EPOLLOUT
		                                                              : EPOLLIN);
	if (ret < 0) {
		channel->broken = true;
		loop_timer_set(loop, &channel->timer, clock_now_ns(), broken_close);
	}
	return 0;
}

static void event_send(struct channel *channel, json_t *event)
{
	if (message_send(channel, event, NULL, 0) < 0)
		log_error("an event exceeds what a line may hold");
	json_decref(event);
}

static void hello_send(struct channel *channel)
{
	struct utsname name;

	if (uname(&name) < 0)
		strcpy(name.release, "?");
	event_send(channel,
	           json_pack("{s:s, s:i, s:s, s:s, s:I, s:b}", "event", "hello", "protocol",
	                     PROTO_VERSION, "agent", AGENT_VERSION, "kernel", name.release,
	                     "boot_ms", boot_ms(), "root", channel->agent->options.root ? 1 : 0));
}

static void stage_send(struct channel *channel, enum channel_stage stage)
{
	if (channel->stages[stage].reached)
		event_send(channel, json_pack("{s:s, s:s, s:I}", "event", "ready", "stage",
		                              stage_names[stage], "boot_ms",
		                              channel->stages[stage].boot_ms));
}

static void death_send(struct channel *channel, enum channel_process process)
{
	const struct death *death = &channel->deaths[process];
	json_t *event;

	if (!death->happened)
		return;
	event = json_pack("{s:s, s:s, s:I}", "event", "died", "process", process_names[process],
	                  "boot_ms", death->boot_ms);
	child_describe(event, death->wait_status);
	event_send(channel, event);
}

void channel_stage_reached(struct channel *channel, enum channel_stage stage)
{
	if (channel->stages[stage].reached)
		return;
	channel->stages[stage] = (struct stage){ .reached = true, .boot_ms = boot_ms() };
	stage_send(channel, stage);
}

void channel_process_died(struct channel *channel, enum channel_process process, int wait_status)
{
	char text[32];

	child_status_text(wait_status, text, sizeof(text));
	log_warn("%s has ended: %s", process_names[process], text);
	channel->deaths[process] = (struct death){
		.happened = true,
		.wait_status = wait_status,
		.boot_ms = boot_ms(),
	};
	death_send(channel, process);
}

static void drain_expired(struct loop_timer *timer)
{
	struct channel *channel = container_of(timer, struct channel, drain_timer);
	void (*drained)(struct agent *) = channel->drained;

	channel->drained = NULL;
	if (drained)
		drained(channel->agent);
}

void channel_drain(struct channel *channel, void (*done)(struct agent *agent))
{
	bool wait = channel->state == OPEN && wire_conn_wants_write(&channel->conn);

	channel->drained = done;
	loop_timer_set(channel->agent->loop, &channel->drain_timer,
	               clock_now_ns() + (wait ? DRAIN_MS * NS_PER_MS : 0), drain_expired);
}

/* --- requests --- */

static void request_end(struct request *request)
{
	loop_timer_cancel(request->channel->agent->loop, &request->timer);
	wire_message_finish(&request->message);
	request->id = 0;
}

static void error_send(struct channel *channel, json_int_t id, const char *code, const char *text)
{
	json_t *reply = wire_reply_error(id, code, "%s", text);

	if (message_send(channel, reply, NULL, 0) < 0)
		log_error("an error reply exceeds what a line may hold");
	json_decref(reply);
}

void request_reply(struct request *request, json_t *members, const void *blob, size_t size)
{
	json_t *reply = wire_reply_ok(request->id);
	int ret = -EMSGSIZE;

	if (reply && members)
		json_object_update(reply, members);
	if (size <= WIRE_BLOB_MAX)
		ret = message_send(request->channel, reply, blob, size);
	request->channel->useful = true;
	if (ret < 0)
		error_send(request->channel, request->id, PROTO_ERR_TOO_LARGE,
		           "the answer exceeds what a message may hold");
	json_decref(reply);
	json_decref(members);
	request_end(request);
}

void request_fail(struct request *request, const char *code, const char *fmt, ...)
{
	char raw[512], text[sizeof(raw) * 3];
	va_list args;

	va_start(args, fmt);
	vsnprintf(raw, sizeof(raw), fmt, args);
	va_end(args);
	/* A name from outside may be no UTF-8, or cut within a character. */
	text_make_utf8(raw, text, sizeof(text));
	error_send(request->channel, request->id, code, text);
	request_end(request);
}

void request_fail_errno(struct request *request, const struct error *err)
{
	const char *code = PROTO_ERR_FAILED;

	if (err->code == -ENOENT)
		code = PROTO_ERR_NOT_FOUND;
	else if (err->code == -EINVAL)
		code = PROTO_ERR_BAD_REQUEST;
	request_fail(request, code, "%s", err->msg);
}

static void request_expired(struct loop_timer *timer)
{
	struct request *request = container_of(timer, struct request, timer);

	if (request->cancel)
		request->cancel(request);
	request_fail(request, PROTO_ERR_TIMEOUT, "%s: %u ms have passed, waiting for %s",
	             request->verb->name, request->timeout_ms,
	             request->waiting_for ? request->waiting_for : "an answer");
}

bool request_text(struct request *request, const char *name, bool required, const char **out_text)
{
	json_t *value = json_object_get(request->message.object, name);

	if (!value && !required)
		return true;
	if (!json_is_string(value)) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "%s: \"%s\" must be a string",
		             request->verb->name, name);
		return false;
	}
	*out_text = json_string_value(value);
	return true;
}

bool request_flag(struct request *request, const char *name, bool *out_flag)
{
	json_t *value = json_object_get(request->message.object, name);

	if (!value)
		return true;
	if (!json_is_boolean(value)) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "%s: \"%s\" must be true or false",
		             request->verb->name, name);
		return false;
	}
	*out_flag = json_is_true(value);
	return true;
}

bool request_number(struct request *request, const char *name, bool required, json_int_t min,
                    json_int_t max, json_int_t *out_number)
{
	json_t *value = json_object_get(request->message.object, name);

	if (!value && !required)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "%s: \"%s\" must be an integer, %" JSON_INTEGER_FORMAT
		             " to %" JSON_INTEGER_FORMAT,
		             request->verb->name, name, min, max);
		return false;
	}
	*out_number = json_integer_value(value);
	return true;
}

/* A free slot; NULL when @id is taken (*out_taken) or there is none. */
static struct request *slot_find(struct channel *channel, json_int_t id, bool *out_taken)
{
	struct request *free_slot = NULL;

	*out_taken = false;
	for (size_t i = 0; i < PROTO_REQUESTS_MAX; i++) {
		struct request *slot = &channel->requests[i];

		if (slot->id == id) {
			*out_taken = true;
			return NULL;
		}
		if (!slot->id && !free_slot)
			free_slot = slot;
	}
	return free_slot;
}

static void request_begin(struct request *request)
{
	struct agent *agent = request->channel->agent;
	json_int_t timeout = request->verb->timeout_ms;

	if (!request_number(request, "timeout_ms", false, 1, PROTO_TIMEOUT_MAX_MS, &timeout))
		return;
	request->timeout_ms = (uint32_t)timeout;
	if (!request->verb->own_timeout)
		loop_timer_set(agent->loop, &request->timer,
		               request->started_ns + request->timeout_ms * NS_PER_MS,
		               request_expired);
	request->verb->start(agent, request);
}

/* Takes what @message holds, whatever comes of it. */
static void message_handle(struct channel *channel, struct wire_message *message)
{
	json_int_t id = json_integer_value(json_object_get(message->object, "id"));
	const char *name = json_string_value(json_object_get(message->object, "verb"));
	const struct verb *verb = name ? verb_find(name) : NULL;
	struct request *request;
	bool taken;

	if (id < 1 || id > ID_MAX) {
		log_warn_limited(&channel->limit, "a request without a usable id was dropped");
		wire_message_finish(message);
		return;
	}
	request = verb ? slot_find(channel, id, &taken) : NULL;
	if (!request) {
		if (!name)
			error_send(channel, id, PROTO_ERR_BAD_REQUEST, "\"verb\" must be a string");
		else if (!verb)
			error_send(channel, id, PROTO_ERR_UNKNOWN_VERB,
			           "the agent doesn't know that verb");
		else if (taken)
			error_send(channel, id, PROTO_ERR_BAD_REQUEST,
			           "a request with that id is under way");
		else
			error_send(channel, id, PROTO_ERR_BUSY, "too many requests are under way");
		wire_message_finish(message);
		return;
	}
	*request = (struct request){
		.agent = channel->agent,
		.channel = channel,
		.id = id,
		.verb = verb,
		.message = *message,
		.started_ns = clock_now_ns(),
	};
	request_begin(request);
}

/* --- the connection --- */

static void connection_open(struct channel *channel)
{
	struct loop *loop = channel->agent->loop;
	int ret;

	loop_watch_remove(loop, &channel->watch);
	channel->state = OPEN;
	channel->opened_ns = clock_now_ns();
	channel->useful = false;
	channel->conn = (struct wire_conn){ .fd = -1 };
	ret = wire_conn_init(&channel->conn, steal_fd(&channel->connecting_fd));
	if (ret == 0)
		ret = loop_watch_add(loop, &channel->watch, channel->conn.fd, EPOLLIN,
		                     connection_ready);
	if (ret < 0) {
		connection_lost(channel, strerror(-ret));
		return;
	}
	hello_send(channel);
	for (int stage = 0; stage < STAGES; stage++)
		stage_send(channel, (enum channel_stage)stage);
	for (int process = 0; process < PROCESSES; process++)
		death_send(channel, (enum channel_process)process);
}

static void connect_done(struct loop_watch *watch, uint32_t events)
{
	struct channel *channel = container_of(watch, struct channel, watch);
	int ret = host_connect_result(channel->connecting_fd);

	(void)events;
	if (ret < 0)
		connection_lost(channel, strerror(-ret));
	else
		connection_open(channel);
}

static void connect_try(struct loop_timer *timer)
{
	struct channel *channel = container_of(timer, struct channel, timer);
	uint64_t waited_ns = clock_now_ns() - channel->lost_ns;
	int ret = host_connect(&channel->agent->options, PROTO_PORT_AGENT, &channel->connecting_fd);

	if (ret == 0) {
		connection_open(channel);
		return;
	}
	if (ret == -EINPROGRESS) {
		channel->state = CONNECTING;
		ret = loop_watch_add(channel->agent->loop, &channel->watch, channel->connecting_fd,
		                     EPOLLOUT, connect_done);
		if (ret == 0)
			return;
	}
	if (!channel->complained && waited_ns > COMPLAIN_AFTER_MS * NS_PER_MS) {
		log_warn("no VMM listens on port %d since %u s (%s); still trying",
		         PROTO_PORT_AGENT, COMPLAIN_AFTER_MS / 1000, strerror(-ret));
		channel->complained = true;
	}
	connection_lost(channel, strerror(-ret));
}

static int messages_take(struct channel *channel, struct error *err)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	int ret;

	while ((ret = wire_conn_next(&channel->conn, &message, err)) > 0) {
		message_handle(channel, &message);
		message = (struct wire_message)WIRE_MESSAGE_INIT;
	}
	return ret;
}

static void connection_ready(struct loop_watch *watch, uint32_t events)
{
	struct channel *channel = container_of(watch, struct channel, watch);
	struct error err = { 0 };
	int ret = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		int got = wire_conn_read(&channel->conn, &err);

		/* What came before the end still counts: a last "shutdown", for one. */
		ret = messages_take(channel, &err);
		if (ret == 0 && got < 0)
			ret = got;
	}
	if (ret == 0 && (events & EPOLLOUT))
		ret = wire_conn_flush(&channel->conn);
	if (ret < 0) {
		connection_lost(channel, err.msg[0] ? err.msg : strerror(-ret));
		return;
	}
	loop_watch_change(channel->agent->loop, watch,
	                  wire_conn_wants_write(&channel->conn) ? EPOLLIN | EPOLLOUT : EPOLLIN);
	drain_check(channel);
}

int channel_create(struct agent *agent, struct channel **out_channel)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
	channel->agent = agent;
	channel->connecting_fd = -1;
	channel->lost_ns = clock_now_ns();
	channel->backoff_ms = BACKOFF_MIN_MS;
	channel->limit = (struct log_limit)LOG_LIMIT_INIT;
	loop_timer_set(agent->loop, &channel->timer, channel->lost_ns, connect_try);
	*out_channel = channel;
	return 0;
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	requests_cancel(channel);
	loop_timer_cancel(channel->agent->loop, &channel->timer);
	loop_timer_cancel(channel->agent->loop, &channel->drain_timer);
	loop_watch_remove(channel->agent->loop, &channel->watch);
	if (channel->state == OPEN)
		wire_conn_finish(&channel->conn);
	close_fd(&channel->connecting_fd);
	free(channel);
}
