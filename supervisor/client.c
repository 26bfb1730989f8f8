/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - see client.h. Single thread.
 *
 * The VMM answers a request that takes too long with an error of its own, which says what was
 * waited for; the grace gives that answer the time to arrive, and the VMM the time to give the
 * agent some of its own. Only a VMM that hangs lets it pass.
 */
#include "supervisor/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "lib/sock.h"
#include "supervisor/process.h"

#define GRACE_MS 1000u
#define AGENT_GRACE_MS 5000u
#define TICK_MS 100u
#define STATUS_TIMEOUT_MS 5000u

void client_close(struct client *client)
{
	wire_conn_finish(&client->conn);
	*client = (struct client)CLIENT_INIT;
}

static int session_is_dead(const struct session *session, struct failure *failure)
{
	char why[400];
	json_t *report;

	session_explain_end(session, why, sizeof(why), &report);
	failure_set(failure, STATUS_DEAD, CODE_DEAD, "session '%s' is dead: %s", session->name,
	            why);
	failure->report = report;
	return -1;
}

int client_open(struct client *client, const struct session *session, struct failure *failure)
{
	struct error err = { 0 };
	cleanup_fd int pidfd = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	char path[64];
	int fd;
	int rc;

	/* By way of the checked descriptor: no link is followed, and the path is always short. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/control.sock", session->folder_fd);
	rc = sock_connect_unix(path, &fd, &err);
	if (rc == -ENOENT || rc == -ECONNREFUSED) {
		if (session_open_vmm(session, &pidfd) < 0 && !session_is_starting(session))
			return session_is_dead(session, failure);
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
		                   "session '%s' is only just starting; try again in a moment",
		                   session->name);
	}
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot connect to %.200s/control.sock: %s", session->path,
		                   strerror(-rc));
	rc = wire_conn_init(&client->conn, fd);
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot use the control socket: %s", strerror(-rc));
	if (getsockopt(client->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot ask who holds the control socket: %s", strerror(errno));
	client->session = session;
	client->peer = peer.pid;
	return 0;
}

/* The connection broke or went silent during a call. */
static int call_failed(struct client *client, int rc, const char *verb, const struct error *err,
                       struct failure *failure)
{
	cleanup_fd int pidfd = -1;

	if (rc == -ETIMEDOUT)
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_TIMEOUT,
		                   "session '%s' does not answer (%s)", client->session->name,
		                   verb);
	if (rc == -ECONNRESET || rc == -EPIPE) {
		/* The socket closes a moment before the process is gone. */
		if (session_open_vmm(client->session, &pidfd) < 0 ||
		    process_wait_ended(pidfd, 2000))
			return session_is_dead(client->session, failure);
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "session '%s' closed the connection (%s)", client->session->name,
		                   verb);
	}
	return failure_set(failure, STATUS_FAILED, CODE_BROKEN, "%s: %s", verb, err->msg);
}

/* A reply that says no. The agent begins its messages with the verb, the VMM doesn't. */
static int refused(const json_t *reply, const char *verb, struct failure *failure)
{
	const json_t *error = json_object_get(reply, "error");
	const char *message = client_string(error, "message");
	size_t size = strlen(verb);
	bool says_verb = strncmp(message, verb, size) == 0 && message[size] == ':';
	const char *code;
	int status = failure_status_of_code(client_string(error, "code"), &code);

	return failure_set(failure, status, code, "%s%s%s", says_verb ? "" : verb,
	                   says_verb ? "" : ": ", *message ? message : "refused without a reason");
}

/* Sleeps until the socket or the interrupt is ready, or a tick is due. 0, -EINTR, -ETIMEDOUT. */
static int wait_round(struct client *client, bool can_send, uint64_t deadline_ns)
{
	struct pollfd fds[2] = {
		{ .fd = client->conn.fd, .events = POLLIN },
		{ .fd = client->interrupt_fd, .events = POLLIN }, /* -1 is passed over */
	};
	uint64_t now = clock_now_ns();
	uint64_t left_ms;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	left_ms = (deadline_ns - now - 1) / NS_PER_MS + 1;
	if (can_send && wire_conn_wants_write(&client->conn))
		fds[0].events |= POLLOUT;
	if (poll(fds, 2, (int)(left_ms < TICK_MS ? left_ms : TICK_MS)) < 0 && errno != EINTR)
		return -errno;
	if (fds[1].revents)
		return -EINTR;
	if (client->tick)
		client->tick(client->tick_arg);
	return 0;
}

/* Takes messages until the one with @id: 1; 0: it isn't there yet; -errno. */
static int take_reply(struct client *client, json_int_t id, struct wire_message *out_reply,
                      struct error *err)
{
	for (;;) {
		struct wire_message message = WIRE_MESSAGE_INIT;
		int rc = wire_conn_next(&client->conn, &message, err);

		if (rc <= 0)
			return rc;
		if (json_integer_value(json_object_get(message.object, "id")) == id) {
			*out_reply = message;
			return 1;
		}
		wire_message_finish(&message);
	}
}

/* What goes along with a request; all borrowed. */
struct cargo {
	const void *blob;
	size_t blob_size;
	int fd; /* -1: none */
};

/* Sends and waits. 0 or -errno. */
static int exchange(struct client *client, json_t *request, const struct cargo *cargo,
                    uint64_t wait_ms, struct wire_message *out_reply, struct error *err)
{
	uint64_t deadline_ns = clock_now_ns() + wait_ms * NS_PER_MS;
	int sent = wire_conn_send(&client->conn, request, cargo->blob, cargo->blob_size, cargo->fd);
	int rc;

	if (sent < 0 && sent != -EPIPE)
		return error_set(err, sent, "%s",
		                 sent == -EMSGSIZE ? "the request is too long" : strerror(-sent));
	for (;;) {
		/* A peer that has closed may have answered before: what it said is still read. */
		rc = take_reply(client, client->last_id, out_reply, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		rc = wait_round(client, sent == 0, deadline_ns);
		if (rc < 0)
			return error_set(err, rc, "%s", strerror(-rc));
		rc = wire_conn_read(&client->conn, err);
		if (rc < 0)
			return rc;
		if (sent == 0)
			sent = wire_conn_flush(&client->conn);
	}
}

static int call(struct client *client, json_t *request, const struct cargo *cargo,
                uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure)
{
	json_auto_t *owned = request;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	const json_t *inner = json_object_get(request, "request");
	const char *verb = client_string(inner ? inner : request, "verb");
	struct error err = { 0 };
	int rc;

	client->last_id++;
	if (!request || json_object_set_new(request, "id", json_integer(client->last_id)) < 0 ||
	    json_object_set_new(request, "timeout_ms", json_integer((json_int_t)timeout_ms)) < 0)
		return failure_set_nomem(failure);
	rc = exchange(client, owned, cargo, timeout_ms + (inner ? AGENT_GRACE_MS : GRACE_MS),
	              &reply, &err);
	if (rc == -EINTR)
		return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
	if (rc < 0)
		return call_failed(client, rc, verb, &err, failure);
	if (!json_is_true(json_object_get(reply.object, "ok")))
		return refused(reply.object, verb, failure);
	*out_reply = reply;
	reply = (struct wire_message)WIRE_MESSAGE_INIT;
	return 0;
}

int client_call(struct client *client, json_t *request, const void *blob, size_t blob_size,
                uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure)
{
	const struct cargo cargo = { blob, blob_size, -1 };

	return call(client, request, &cargo, timeout_ms, out_reply, failure);
}

int client_call_with_fd(struct client *client, json_t *request, int fd, uint64_t timeout_ms,
                        struct wire_message *out_reply, struct failure *failure)
{
	const struct cargo cargo = { .fd = fd };

	return call(client, request, &cargo, timeout_ms, out_reply, failure);
}

int client_call_agent(struct client *client, json_t *request, const void *blob, size_t blob_size,
                      uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure)
{
	json_t *outer;

	if (!request ||
	    json_object_set_new(request, "timeout_ms", json_integer((json_int_t)timeout_ms)) < 0) {
		json_decref(request);
		return failure_set_nomem(failure);
	}
	outer = json_pack("{s:s,s:o}", "verb", "agent", "request", request);
	return client_call(client, outer, blob, blob_size, timeout_ms, out_reply, failure);
}

int client_get_status(struct client *client, uint64_t timeout_ms, json_t **out_status,
                      struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (client_call(client, json_pack("{s:s}", "verb", "status"), NULL, 0, timeout_ms, &reply,
	                failure) < 0)
		return -1;
	*out_status = json_incref(reply.object);
	return 0;
}

int client_get_screen(struct client *client, uint32_t *out_width, uint32_t *out_height,
                      struct failure *failure)
{
	json_auto_t *status = NULL;
	const json_t *display;
	json_int_t width;
	json_int_t height;

	if (client_get_status(client, STATUS_TIMEOUT_MS, &status, failure) < 0)
		return -1;
	display = json_object_get(status, "display");
	width = client_integer(display, "width", 1, PROTO_DISPLAY_SIDE_MAX, 0);
	height = client_integer(display, "height", 1, PROTO_DISPLAY_SIDE_MAX, 0);
	if (width == 0 || height == 0)
		return failure_set(failure, STATUS_TIMEOUT, PROTO_ERR_NOT_READY,
		                   "session '%s' has no screen yet; cloche wait %s --for display",
		                   client->session->name, client->session->name);
	*out_width = (uint32_t)width;
	*out_height = (uint32_t)height;
	return 0;
}

json_int_t client_integer(const json_t *object, const char *key, json_int_t min, json_int_t max,
                          json_int_t fallback)
{
	const json_t *member = json_object_get(object, key);
	json_int_t value = json_integer_value(member);

	return json_is_integer(member) && value >= min && value <= max ? value : fallback;
}

const char *client_string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}
