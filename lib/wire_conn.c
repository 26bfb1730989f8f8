/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_conn.c - a wire connection: parser, send queue, non-blocking stream; see wire.h. One thread.
 *
 * Which message owns a file descriptor? A message with an fd is sent by sendmsg(2) of its own, the
 * fd on its first byte. Linux ends a recvmsg(2) behind the data that an fd came with, but may put
 * older bytes, the end of the message before, in front of them. So the *last* byte of such a read
 * belongs to the fd's message: it is the first message that reaches to the arrival's end. The
 * message before may have an fd too, hence two arrivals at most, if messages are taken after reads.
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
#define ARRIVALS_MAX (sizeof(((struct wire_conn *)NULL)->arrivals) / sizeof(struct wire_arrival))

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

	*conn = (struct wire_conn){ .fd = fd };
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
	while (conn->arrival_count > 0)
		close_fd(&conn->arrivals[--conn->arrival_count].fd);
	drop_queue(conn);
	wire_parser_finish(&conn->parser);
	close_fd(&conn->fd);
}

/*
 * Takes the fds out of a received message's control data: keeps one, closes the rest. Room for one
 * int is, by alignment, room for two, so a peer can deliver a second: that is a breach. So is one
 * more than there can be if messages are taken after each read.
 */
static int take_fds(struct wire_conn *conn, struct msghdr *msg, int *out_fd)
{
	bool breach = msg->msg_flags & MSG_CTRUNC;
	cleanup_fd int taken = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			breach |= taken >= 0;
			close_fd(&taken);
			memcpy(&taken, CMSG_DATA(c) + at, sizeof(int));
		}
	}
	if (breach || (taken >= 0 && conn->arrival_count == ARRIVALS_MAX))
		return -EPROTO;
	*out_fd = steal_fd(&taken);
	return 0;
}

/* One recvmsg(2). > 0: bytes taken; 0: nothing there; -ECONNRESET: the end; other -errno. */
static ssize_t read_step(struct wire_conn *conn, size_t room, int *out_fd, struct error *err)
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
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		conn->eof = true;
		return -ECONNRESET;
	}
	if (n < 0)
		return error_set(err, -errno, "cannot read: %s", strerror(errno));
	rc = take_fds(conn, &msg, out_fd);
	if (rc < 0) {
		conn->parser.failed = rc;
		return error_set(err, rc, "more file descriptors than can be taken");
	}
	conn->received += (uint64_t)n;
	if (*out_fd >= 0) {
		conn->arrivals[conn->arrival_count].fd = *out_fd;
		conn->arrivals[conn->arrival_count++].end = conn->received;
	}
	rc = wire_parser_push(&conn->parser, data, (size_t)n, err);
	return rc < 0 ? rc : n;
}

int wire_conn_read(struct wire_conn *conn, struct error *err)
{
	size_t total = 0;
	int fd = -1;

	while (total < WIRE_READ_MAX && fd < 0 && !conn->eof) {
		ssize_t n = read_step(conn, WIRE_READ_MAX - total, &fd, err);

		if (n == 0 || n == -ECONNRESET)
			break;
		if (n < 0)
			return (int)n;
		total += (size_t)n;
	}
	/* The end is told at the call after, when the messages before it have been taken. */
	if (total == 0 && conn->eof)
		return error_set(err, -ECONNRESET, "the peer has closed%s",
		                 conn->parser.used > conn->parser.start || conn->parser.object
		                         ? " in the middle of a message"
		                         : "");
	return (int)total;
}

/* Gives @message the fd that came with it. */
static int hand_over_fd(struct wire_conn *conn, struct wire_message *message)
{
	if (conn->arrival_count == 0 || conn->parser.consumed < conn->arrivals[0].end)
		return 0;
	message->fd = conn->arrivals[0].fd;
	conn->arrivals[0] = conn->arrivals[1];
	conn->arrival_count--;
	if (conn->arrival_count > 0 && conn->parser.consumed >= conn->arrivals[0].end)
		return -EPROTO;
	return 0;
}

int wire_conn_next(struct wire_conn *conn, struct wire_message *out_message, struct error *err)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	int rc = wire_parser_next(&conn->parser, &message, err);

	if (rc <= 0)
		return rc;
	rc = hand_over_fd(conn, &message);
	if (rc < 0) {
		conn->parser.failed = rc;
		wire_message_finish(&message);
		return error_set(err, rc, "more than one file descriptor with a message");
	}
	*out_message = message;
	return 1;
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
