/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watching.c - see watching.h. Single thread.
 */
#include "supervisor/watching.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"

#define CALL_TIMEOUT_MS 10000u
#define TICK_MS 1000u

static int subscribe(struct watching *watching, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	return client_call(watching->client,
	                   json_pack("{s:s,s:b}", "verb", "subscribe", "text", watching->with_text),
	                   NULL, 0, CALL_TIMEOUT_MS, &reply, failure);
}

int watching_begin(struct watching *watching, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	cleanup_fd int theirs = -1;
	int fds[2];

	watching->fd = -1;
	if (watching->events && subscribe(watching, failure) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot make a socket: %s",
		                   strerror(errno));
	watching->fd = fds[0];
	theirs = fds[1];
	return client_call_with_fd(watching->client,
	                           json_pack("{s:s,s:b}", "verb", "frames", "fast", watching->fast),
	                           theirs, CALL_TIMEOUT_MS, &reply, failure);
}

void watching_finish(struct watching *watching)
{
	close_fd(&watching->fd);
	frames_finish(&watching->frames);
}

/* 0: go on; 1: the session has ended; 2: stop; -1. */
static int read_frames(struct watching *watching, struct failure *failure)
{
	static uint8_t bytes[FRAMES_READ_MAX];
	struct error err = { 0 };
	ssize_t n = recv(watching->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return 1;
	int ret = frames_push(&watching->frames, bytes, (size_t)n, watching->frame, watching->arg,
	                      &err);
	if (ret == -ECANCELED)
		return 2;
	return ret ? failure_set_error(failure, STATUS_FAILED, CODE_BROKEN, "frames", &err) : 0;
}

static int read_events(struct watching *watching, struct failure *failure)
{
	struct wire_conn *conn = &watching->client->conn;
	struct error err = { 0 };
	int ret = wire_conn_read(conn, &err);

	for (;;) {
		cleanup_message struct wire_message message = WIRE_MESSAGE_INIT;
		int got = wire_conn_next(conn, &message, &err);

		if (got < 0)
			return failure_set_error(failure, STATUS_FAILED, CODE_BROKEN, "control",
			                         &err);
		if (got == 0)
			return ret < 0 ? 1 : 0;
		if (watching->event && json_object_get(message.object, "event") &&
		    watching->event(message.object, watching->arg) < 0)
			return 2;
	}
}

/* Until the deadline, or a second. */
static int poll_ms(const struct watching *watching, uint64_t now)
{
	uint64_t left = TICK_MS;

	if (watching->deadline_ns && watching->deadline_ns < now + TICK_MS * NS_PER_MS)
		left = watching->deadline_ns > now ? (watching->deadline_ns - now) / NS_PER_MS + 1
		                                   : 0;
	return (int)left;
}

int watching_run(struct watching *watching, struct failure *failure)
{
	uint64_t ticked = clock_now_ns();

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = watching->signal_fd, .events = POLLIN },
			{ .fd = watching->client->conn.fd, .events = POLLIN },
			{ .fd = watching->fd, .events = POLLIN },
		};
		uint64_t now = clock_now_ns();
		int ret = 0;

		if (watching->deadline_ns && now >= watching->deadline_ns)
			return WATCHING_EXPIRED;
		if (watching->tick && now - ticked >= TICK_MS * NS_PER_MS) {
			ticked = now;
			watching->tick(watching->arg);
		}
		if (poll(fds, 3, poll_ms(watching, now)) < 0 && errno != EINTR)
			return failure_set(failure, STATUS_FAILED, CODE_HOST, "poll: %s",
			                   strerror(errno));
		if (fds[0].revents)
			return WATCHING_INTERRUPTED;
		/* Actions first: what one did is seen after it. */
		if (fds[1].revents)
			ret = read_events(watching, failure);
		if (fds[2].revents && ret != 2 && ret >= 0) {
			int more = read_frames(watching, failure);
			ret = more ? more : ret;
			/* The last frames are still in the socket of a session that has ended. */
			ret = ret == 1 && more == 0 ? 0 : ret;
		}
		if (ret < 0)
			return -1;
		if (ret > 0)
			return ret == 1 ? WATCHING_OVER : WATCHING_STOPPED;
	}
}
