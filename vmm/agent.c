/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "vmm/agent_event.h"

/* A guest that was just restored from disk has much to read before it can answer. */
#define GREETING_TIMEOUT_MS 60000
/* Wakes this much later than the agent's own timeout, so that its better message comes first. */
#define GRACE_MS 2000

struct request {
	json_int_t id; /* 0: free */
	struct loop_timer timer;
	struct agent *agent;
	uint64_t timeout_ms;
	char verb[32];
	agent_done *done;
	void *arg;
};

struct agent {
	struct loop *loop;
	struct agent_handlers handlers;
	struct wire_conn conn;
	struct loop_watch watch;
	bool connected;
	bool greeting; /* the greeting isn't answered yet */
	json_t *hello; /* owned; NULL until it came */
	json_int_t next_id;
	struct request requests[PROTO_REQUESTS_MAX];
	struct log_limit complaints;
};

int agent_create(struct loop *loop, const struct agent_handlers *handlers, struct agent **out_agent)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->loop = loop;
	agent->handlers = *handlers;
	agent->conn.fd = -1;
	agent->complaints = (struct log_limit)LOG_LIMIT_INIT;
	*out_agent = agent;
	return 0;
}

const json_t *agent_hello(const struct agent *agent)
{
	return agent->hello;
}

/* Frees the slot before the callback runs, which may ask again. */
static void finish(struct request *request, json_t *reply, const void *blob, size_t size)
{
	agent_done *done = request->done;
	void *arg = request->arg;

	loop_timer_cancel(request->agent->loop, &request->timer);
	request->id = 0;
	done(arg, reply, blob, size);
}

static void refuse(agent_done *done, void *arg, const char *code, const char *message)
{
	json_t *reply = wire_reply_error(0, code, "%s", message);

	ASSERT(reply);
	done(arg, reply, NULL, 0);
	json_decref(reply);
}

static void finish_error(struct request *request, const char *code, const char *message)
{
	json_t *reply = wire_reply_error(0, code, "%s", message);

	ASSERT(reply);
	finish(request, reply, NULL, 0);
	json_decref(reply);
}

static void disconnect(struct agent *agent, const char *why)
{
	if (!agent->connected)
		return;
	agent->connected = agent->greeting = false;
	log_warn_limited(&agent->complaints, "agent: channel closed: %s", why);
	loop_watch_remove(agent->loop, &agent->watch);
	wire_conn_finish(&agent->conn);
	agent->conn.fd = -1;
	json_decref(agent->hello);
	agent->hello = NULL;
	for (unsigned i = 0; i < PROTO_REQUESTS_MAX; i++)
		if (agent->requests[i].id)
			finish_error(&agent->requests[i], PROTO_ERR_GONE,
			             "the agent closed its channel meanwhile");
	agent->handlers.lost(agent->handlers.arg);
}

static void rearm(struct agent *agent)
{
	if (agent->connected)
		loop_watch_change(agent->loop, &agent->watch,
		                  EPOLLIN | (wire_conn_wants_write(&agent->conn) ? EPOLLOUT : 0u));
}

static void on_timeout(struct loop_timer *timer)
{
	struct request *request = container_of(timer, struct request, timer);
	char message[128];

	snprintf(message, sizeof(message), "the agent did not answer '%s' within %llu ms",
	         request->verb, (unsigned long long)request->timeout_ms);
	finish_error(request, PROTO_ERR_TIMEOUT, message);
}

/* An open channel's. */
static void send_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                         uint64_t timeout_ms, agent_done *done, void *arg)
{
	struct request *slot = NULL;

	for (unsigned i = 0; i < PROTO_REQUESTS_MAX && !slot; i++)
		if (agent->requests[i].id == 0)
			slot = &agent->requests[i];
	if (!slot) {
		refuse(done, arg, PROTO_ERR_BUSY,
		       "too many requests are under way: wait for some to end");
		return;
	}

	const char *verb = json_string_value(json_object_get(request, "verb"));
	slot->id = ++agent->next_id;
	slot->agent = agent;
	slot->timeout_ms = timeout_ms;
	slot->done = done;
	slot->arg = arg;
	snprintf(slot->verb, sizeof(slot->verb), "%s", verb ? verb : "?");
	json_object_set_new(request, "id", json_integer(slot->id));
	int ret = wire_conn_send(&agent->conn, request, blob, blob_size, -1);
	if (ret == -EMSGSIZE) {
		finish_error(slot, PROTO_ERR_TOO_LARGE,
		             "the request exceeds a line of 64 KiB or a blob of 1 MiB");
		return;
	}
	if (ret) {
		disconnect(agent, "the guest does not read");
		return;
	}
	loop_timer_set(agent->loop, &slot->timer,
	               clock_now_ns() + (timeout_ms + GRACE_MS) * NS_PER_MS, on_timeout);
	rearm(agent);
}

static void on_greeted(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	struct agent *agent = arg;
	const json_t *why = json_object_get(json_object_get(reply, "error"), "message");

	(void)blob;
	(void)blob_size;
	if (!agent->connected)
		return;
	agent->greeting = false;
	if (json_is_true(json_object_get(reply, "ok"))) {
		agent->handlers.acknowledged(agent->handlers.arg);
		return;
	}
	/* It connects again, and is asked again. */
	log_warn_limited(&agent->complaints, "agent: it did not acknowledge that it is a copy: %s",
	                 json_is_string(why) ? json_string_value(why) : "no reason");
	disconnect(agent, "it did not acknowledge");
}

static void greet(struct agent *agent)
{
	json_t *greeting =
		agent->handlers.greeting ? agent->handlers.greeting(agent->handlers.arg) : NULL;

	if (!greeting)
		return;
	agent->greeting = true;
	send_request(agent, greeting, NULL, 0, GREETING_TIMEOUT_MS, on_greeted, agent);
	json_decref(greeting);
}

static void handle_event(struct agent *agent, const json_t *said)
{
	json_t *event = agent_event_reduce(said);
	const char *name = json_string_value(json_object_get(event, "event"));

	if (!event) /* of a later version, or nonsense */
		return;
	if (strcmp(name, "hello") == 0) {
		json_int_t version = json_integer_value(json_object_get(event, "protocol"));

		if (version != PROTO_VERSION) {
			json_decref(event);
			disconnect(agent,
			           "it speaks another protocol version: rebuild the initramfs");
			return;
		}
		json_decref(agent->hello);
		agent->hello = json_incref(event);
		greet(agent);
	}
	/* One that could not be greeted is lost already. */
	if (agent->connected)
		agent->handlers.event(agent->handlers.arg, name, event);
	json_decref(event);
}

static void handle_message(struct agent *agent, struct wire_message *message)
{
	json_int_t id = json_integer_value(json_object_get(message->object, "id"));

	if (json_is_string(json_object_get(message->object, "event"))) {
		handle_event(agent, message->object);
		return;
	}
	for (unsigned i = 0; i < PROTO_REQUESTS_MAX; i++)
		if (id > 0 && agent->requests[i].id == id) {
			finish(&agent->requests[i], message->object, message->blob,
			       message->blob_size);
			return;
		}
	/* An answer that came after its timeout, or that nobody asked for. */
	log_warn_limited(&agent->complaints, "agent: a reply to no open request was dropped");
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
	struct agent *agent = container_of(watch, struct agent, watch);
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };
	int got = 0;

	if ((events & EPOLLOUT) && wire_conn_flush(&agent->conn)) {
		disconnect(agent, "write failed");
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		int ret = wire_conn_read(&agent->conn, &err);

		while (agent->connected &&
		       (got = wire_conn_next(&agent->conn, &message, &err)) > 0) {
			handle_message(agent, &message);
			wire_message_finish(&message);
		}
		if (ret < 0 || got < 0)
			disconnect(agent, err.msg[0] ? err.msg : "the guest closed it");
	}
	rearm(agent);
}

void agent_accept(void *arg, int fd)
{
	struct agent *agent = arg;
	cleanup_fd int owned = fd;

	/* Any process of the guest can connect here: whoever is first is the agent. */
	if (agent->connected) {
		log_warn_limited(&agent->complaints, "agent: a second channel was refused");
		return;
	}
	if (wire_conn_init(&agent->conn, steal_fd(&owned))) {
		agent->conn.fd = -1;
		return;
	}
	if (loop_watch_add(agent->loop, &agent->watch, agent->conn.fd, EPOLLIN, on_ready)) {
		wire_conn_finish(&agent->conn);
		agent->conn.fd = -1;
		return;
	}
	agent->connected = true;
}

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	if (!agent->connected || !agent->hello) {
		refuse(done, arg, PROTO_ERR_NOT_READY, "the guest's agent isn't connected (yet)");
		return;
	}
	if (agent->greeting) {
		refuse(done, arg, PROTO_ERR_NOT_READY,
		       "the guest has not acknowledged yet that it is a copy");
		return;
	}
	send_request(agent, request, blob, blob_size, timeout_ms, done, arg);
}

void agent_destroy(struct agent *agent)
{
	if (!agent)
		return;
	if (agent->connected) {
		/* First: who is told the end of a request may ask again, and is refused then. */
		agent->connected = false;
		loop_watch_remove(agent->loop, &agent->watch);
		wire_conn_finish(&agent->conn);
		for (unsigned i = 0; i < PROTO_REQUESTS_MAX; i++)
			if (agent->requests[i].id)
				finish_error(&agent->requests[i], PROTO_ERR_GONE,
				             "the session ends");
	}
	json_decref(agent->hello);
	free(agent);
}
