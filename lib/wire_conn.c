/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_conn.c - a wire connection: parser, send queue, non-blocking stream; see wire.h. One thread.
 *
 * Which message owns a file descriptor? A message with an fd is sent by sendmsg(2) of its own, the
 * fd on its first byte. Linux ends a recvmsg(2) behind the data that an fd came with, but may put
 * older bytes, the end of the message before, in front of them. So the *last* byte of such a read
 * belongs to the fd's message: it is the first message that reaches to received_fd_end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/wire.h"

#define READ_STEP ((size_t)16 << 10)

/* An encoded message in the send queue. */
struct wire_chunk {
	struct wire_chunk *next; /* owned */
	uint8_t *data;           /* owned */
	size_t size, sent;
	int fd; /* owned; -1 when none goes along or it has gone */
};

static void chunk_destroy(struct wire_chunk *chunk)
{
	free(chunk->data);
	close_fd(&chunk->fd);
	free(chunk);
}

int wire_conn_init(struct wire_conn *conn, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	*conn = (struct wire_conn){ .fd = fd, .received_fd = -1 };
	wire_parser_init(&conn->parser);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		int rc = -errno;

		close_fd(&conn->fd);
		return rc;
	}
	return 0;
}

static void drop_queue(struct wire_conn *conn)
{
	while (conn->head) {
		struct wire_chunk *chunk = conn->head;

		conn->head = chunk->next;
		chunk_destroy(chunk);
	}
	conn->tail = NULL;
	conn->queued = 0;
}

void wire_conn_finish(struct wire_conn *conn)
{
	/* One that was only zeroed has received_fd 0 and no bytes that could have brought it. */
	if (conn->received > 0)
		close_fd(&conn->received_fd);
	conn->received_fd = -1;
	conn->received = 0;
	drop_queue(conn);
	wire_parser_finish(&conn->parser);
	close_fd(&conn->fd);
}

/*
 * Takes the fds out of a received message's control data: keeps one, closes the rest. Room for one
 * int is, by alignment, room for two, so a peer can deliver a second: that is a breach.
 */
static int take_fds(struct wire_conn *conn, struct msghdr *msg, bool *out_got, struct error *err)
{
	bool breach = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (conn->received_fd >= 0) {
				close(fd);
				breach = true;
				continue;
			}
			conn->received_fd = fd;
			*out_got = true;
		}
	}
	if (breach)
		return error_set(err, -EPROTO, "more than one file descriptor with a message");
	return 0;
}

/* One recvmsg(2). > 0: bytes taken; 0: nothing there; -ECONNRESET at the end; other -errno. */
static ssize_t read_step(struct wire_conn *conn, size_t room, bool *out_got_fd, struct error *err)
{
	uint8_t data[READ_STEP];
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = data, .iov_len = room < READ_STEP ? room : READ_STEP };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int rc;

	do {
		n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return error_set(err, -errno, "cannot read: %s", strerror(errno));
	if (n == 0) {
		conn->eof = true;
		return error_set(err, -ECONNRESET, "the peer has closed%s",
		                 conn->parser.used > conn->parser.start || conn->parser.object
		                         ? " in the middle of a message"
		                         : "");
	}
	conn->received += (uint64_t)n;
	rc = take_fds(conn, &msg, out_got_fd, err);
	if (rc < 0) {
		conn->parser.failed = rc;
		return rc;
	}
	if (*out_got_fd)
		conn->received_fd_end = conn->received;
	rc = wire_parser_push(&conn->parser, data, (size_t)n, err);
	return rc < 0 ? rc : n;
}

int wire_conn_read(struct wire_conn *conn, struct error *err)
{
	size_t total = 0;
	bool got_fd = false;

	if (conn->eof)
		return error_set(err, -ECONNRESET, "the peer has closed");
	while (total < WIRE_READ_MAX && !got_fd) {
		ssize_t n = read_step(conn, WIRE_READ_MAX - total, &got_fd, err);

		/* The end comes again at the next call, after the messages before it are taken. */
		if (n == 0 || (n == -ECONNRESET && total > 0))
			break;
		if (n < 0)
			return (int)n;
		total += (size_t)n;
	}
	return (int)total;
}

int wire_conn_next(struct wire_conn *conn, struct wire_message *out_message, struct error *err)
{
	int rc = wire_parser_next(&conn->parser, out_message, err);

	if (rc == 1 && conn->received_fd >= 0 && conn->parser.consumed >= conn->received_fd_end)
		out_message->fd = steal_fd(&conn->received_fd);
	return rc;
}

/* Sends some of @chunk. > 0: bytes taken; 0: the socket is full; -errno. */
static ssize_t send_step(struct wire_conn *conn, struct wire_chunk *chunk)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = {
		.iov_base = chunk->data + chunk->sent,
		.iov_len = chunk->size - chunk->sent,
	};
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (chunk->fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &chunk->fd, sizeof(int));
	}
	do {
		n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	if (n > 0)
		close_fd(&chunk->fd);
	return n;
}

int wire_conn_flush(struct wire_conn *conn)
{
	while (conn->head) {
		struct wire_chunk *chunk = conn->head;
		ssize_t n = send_step(conn, chunk);

		if (n <= 0)
			return (int)n;
		chunk->sent += (size_t)n;
		conn->queued -= (size_t)n;
		if (chunk->sent < chunk->size)
			continue;
		conn->head = chunk->next;
		if (!conn->head)
			conn->tail = NULL;
		chunk_destroy(chunk);
	}
	return 0;
}

bool wire_conn_wants_write(const struct wire_conn *conn)
{
	return conn->head != NULL;
}

int wire_conn_send(struct wire_conn *conn, json_t *object, const void *blob, size_t blob_size,
                   int fd)
{
	cleanup_free uint8_t *data = NULL;
	cleanup_fd int sent_fd = -1;
	struct wire_chunk *chunk;
	size_t size;
	int rc = wire_encode(object, blob, blob_size, &data, &size);

	if (rc < 0)
		return rc;
	rc = wire_conn_flush(conn);
	if (rc < 0)
		return rc;
	if (size > WIRE_QUEUE_MAX - conn->queued)
		return -ENOBUFS;
	if (fd >= 0) {
		sent_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (sent_fd < 0)
			return -errno;
	}
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	*chunk = (struct wire_chunk){
		.data = steal_pointer(&data),
		.size = size,
		.fd = steal_fd(&sent_fd),
	};
	if (conn->tail)
		conn->tail->next = chunk;
	else
		conn->head = chunk;
	conn->tail = chunk;
	conn->queued += size;
	return wire_conn_flush(conn);
}

/* Waits until the socket can be read (or written, if something is queued). 0 or -errno. */
static int wait_ready(struct wire_conn *conn, uint64_t deadline_ns, struct error *err)
{
	struct pollfd pfd = {
		.fd = conn->fd,
		.events = (short)(wire_conn_wants_write(conn) ? POLLIN | POLLOUT : POLLIN),
	};
	uint64_t now = clock_now_ns();
	uint64_t ms;

	if (now >= deadline_ns)
		return error_set(err, -ETIMEDOUT, "no answer in time");
	ms = (deadline_ns - now - 1) / NS_PER_MS + 1;
	if (poll(&pfd, 1, ms > INT_MAX ? INT_MAX : (int)ms) < 0 && errno != EINTR)
		return error_set(err, -errno, "cannot wait for an answer: %s", strerror(errno));
	return 0;
}

static bool is_reply_to(const struct wire_message *message, json_int_t id)
{
	const json_t *its = json_object_get(message->object, "id");

	return json_is_integer(its) && json_integer_value(its) == id &&
	       !json_object_get(message->object, "event");
}

/* Takes messages until the reply to @id (1), the need for more bytes (0), or an error. */
static int drain_until(struct wire_conn *conn, json_int_t id,
                       void (*other)(const struct wire_message *, void *), void *other_arg,
                       struct wire_message *out_reply, struct error *err)
{
	for (;;) {
		struct wire_message message = WIRE_MESSAGE_INIT;
		int rc = wire_conn_next(conn, &message, err);

		if (rc <= 0)
			return rc;
		if (is_reply_to(&message, id)) {
			*out_reply = message;
			return 1;
		}
		if (other)
			other(&message, other_arg);
		wire_message_finish(&message);
	}
}

int wire_conn_call(struct wire_conn *conn, json_t *object, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, void (*other)(const struct wire_message *, void *),
                   void *other_arg, struct wire_message *out_reply, struct error *err)
{
	uint64_t now = clock_now_ns();
	uint64_t deadline_ns = timeout_ms < (UINT64_MAX - now) / NS_PER_MS
	                               ? now + timeout_ms * NS_PER_MS
	                               : UINT64_MAX;
	json_int_t id = json_integer_value(json_object_get(object, "id"));
	int rc = wire_conn_send(conn, object, blob, blob_size, -1);

	ASSERT(id > 0);
	for (;;) {
		/* A peer that refuses may answer and close before it has read all of the question:
		 * then the answer is still there to be read. */
		if (rc == -EPIPE)
			drop_queue(conn);
		else if (rc < 0)
			return error_set(err, rc, "cannot send the request: %s", strerror(-rc));
		rc = drain_until(conn, id, other, other_arg, out_reply, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		rc = wait_ready(conn, deadline_ns, err);
		if (rc < 0)
			return rc;
		rc = wire_conn_read(conn, err);
		if (rc < 0)
			return rc;
		rc = wire_conn_flush(conn);
	}
}
