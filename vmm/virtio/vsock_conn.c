/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_conn.c - flow control and half-close of one stream.
 *
 * Back-pressure needs no queue beyond one bounded buffer: the guest may send at most
 * VSOCK_BUFFER_SIZE bytes more than the host side has taken (it knows that from fwd_cnt), and
 * from the host's socket only as much is read as the guest has room for.
 *
 * Counters are 32 bits and wrap, as the standard has them (§5.10.6.3); differences stay right.
 */
#include "vmm/virtio/vsock_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define CONNECT_WORD "CONNECT "
#define IOV_MAX_RING 2

struct vsock_conn *vsock_conn_create(struct loop *loop, void *owner, int fd, enum vsock_state state)
{
	struct vsock_conn *conn = calloc(1, sizeof(*conn));

	if (!conn) {
		close_fd(&fd);
		return NULL;
	}
	conn->loop = loop;
	conn->owner = owner;
	conn->fd = fd;
	conn->state = state;
	return conn;
}

void vsock_conn_destroy(struct vsock_conn *conn)
{
	loop_watch_remove(conn->loop, &conn->watch);
	loop_timer_cancel(conn->loop, &conn->timer);
	close_fd(&conn->fd);
	free(conn->buffer);
	free(conn);
}

static void note_forwarded(struct vsock_conn *conn, size_t bytes)
{
	conn->forwarded += (uint32_t)bytes;
	if (conn->forwarded - conn->forwarded_told >= VSOCK_BUFFER_SIZE / 2)
		conn->tell |= VSOCK_TELL_CREDIT;
}

/* Once all was handed over, the host side may learn that no more will come. */
static void pass_guest_close(struct vsock_conn *conn)
{
	if (conn->buffer_used == 0 && (conn->guest_closed & VSOCK_NO_SEND))
		shutdown(conn->fd, SHUT_WR);
}

static void buffer_put(struct vsock_conn *conn, const uint8_t *data, size_t size)
{
	uint32_t end = (conn->buffer_start + conn->buffer_used) % VSOCK_BUFFER_SIZE;
	size_t first = VSOCK_BUFFER_SIZE - end;

	if (first > size)
		first = size;
	memcpy(conn->buffer + end, data, first);
	memcpy(conn->buffer, data + first, size - first);
	conn->buffer_used += (uint32_t)size;
}

static int write_now(int fd, const struct iovec *iov, int count, size_t *out_written)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t sent;

	*out_written = 0;
	do {
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -EPIPE;
	*out_written = (size_t)sent;
	return 0;
}

int vsock_conn_from_guest(struct vsock_conn *conn, const struct iovec *iov, int count, size_t size)
{
	size_t written = 0;

	if (size > VSOCK_BUFFER_SIZE - conn->buffer_used || (conn->guest_closed & VSOCK_NO_SEND))
		return -EPROTO;
	if (conn->buffer_used == 0) {
		int ret = write_now(conn->fd, iov, count, &written);
		if (ret)
			return ret;
		note_forwarded(conn, written);
	}
	if (written == size)
		return 0;
	if (!conn->buffer) {
		conn->buffer = malloc(VSOCK_BUFFER_SIZE);
		if (!conn->buffer)
			return -ENOMEM;
	}
	for (int i = 0; i < count; i++) {
		size_t skip = written < iov[i].iov_len ? written : iov[i].iov_len;

		written -= skip;
		buffer_put(conn, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
	}
	return 0;
}

int vsock_conn_flush(struct vsock_conn *conn)
{
	while (conn->buffer_used > 0) {
		size_t first = VSOCK_BUFFER_SIZE - conn->buffer_start, written;
		if (first > conn->buffer_used)
			first = conn->buffer_used;
		struct iovec iov[IOV_MAX_RING] = {
			{ .iov_base = conn->buffer + conn->buffer_start, .iov_len = first },
			{ .iov_base = conn->buffer, .iov_len = conn->buffer_used - first },
		};
		int ret = write_now(conn->fd, iov, IOV_MAX_RING, &written);

		if (ret)
			return ret;
		if (written == 0)
			break;
		conn->buffer_start = (conn->buffer_start + (uint32_t)written) % VSOCK_BUFFER_SIZE;
		conn->buffer_used -= (uint32_t)written;
		note_forwarded(conn, written);
	}
	pass_guest_close(conn);
	return 0;
}

uint32_t vsock_conn_credit(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->sent - conn->peer_forwarded;

	/* A peer that takes back what it promised, or claims bytes never sent, has no credit. */
	return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

static void host_ended(struct vsock_conn *conn)
{
	unsigned closed = conn->hung_up ? VSOCK_CLOSED : VSOCK_NO_SEND;

	conn->readable = false;
	if ((conn->host_closed | closed) == conn->host_closed)
		return;
	conn->host_closed |= closed;
	conn->tell |= VSOCK_TELL_SHUTDOWN;
}

size_t vsock_conn_to_guest(struct vsock_conn *conn, const struct iovec *iov, int count)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t got;

	do {
		got = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		conn->sent += (uint32_t)got;
		return (size_t)got;
	}
	if (got < 0 && errno == EAGAIN) {
		conn->readable = false;
		return 0;
	}
	if (got < 0)
		conn->hung_up = true;
	host_ended(conn);
	return 0;
}

bool vsock_conn_has_work(const struct vsock_conn *conn)
{
	return conn->tell ||
	       (conn->state == VSOCK_CONNECTED && conn->readable &&
	        !(conn->guest_closed & VSOCK_NO_RECEIVE) && vsock_conn_credit(conn) > 0);
}

bool vsock_conn_guest_shutdown(struct vsock_conn *conn, unsigned flags)
{
	conn->guest_closed |= flags & VSOCK_CLOSED;
	pass_guest_close(conn);
	return vsock_conn_finished(conn);
}

bool vsock_conn_finished(const struct vsock_conn *conn)
{
	return conn->guest_closed == VSOCK_CLOSED && conn->buffer_used == 0;
}

void vsock_conn_rearm(struct vsock_conn *conn)
{
	bool reads = conn->state == VSOCK_HANDSHAKE ||
	             (conn->state == VSOCK_CONNECTED && !conn->readable && !conn->host_closed &&
	              !(conn->guest_closed & VSOCK_NO_RECEIVE));

	if (conn->hung_up)
		loop_watch_remove(conn->loop, &conn->watch);
	else if (conn->watch.active)
		loop_watch_change(conn->loop, &conn->watch,
		                  (reads ? EPOLLIN : 0u) | (conn->buffer_used ? EPOLLOUT : 0u));
}

/* @line is "CONNECT <port>" without its LF, at @end. */
static int parse_connect(const char *line, const char *end, uint32_t *out_port)
{
	size_t word = strlen(CONNECT_WORD);
	char *parsed;

	if (strncmp(line, CONNECT_WORD, word) != 0 || line[word] < '0' || line[word] > '9')
		return -EPROTO;
	unsigned long long port = strtoull(line + word, &parsed, 10);
	if (parsed != end || port > UINT32_MAX)
		return -EPROTO;
	*out_port = (uint32_t)port;
	return 1;
}

int vsock_conn_read_connect(struct vsock_conn *conn, uint32_t *out_port)
{
	char *at = conn->line + conn->line_used;
	size_t room = sizeof(conn->line) - conn->line_used;
	ssize_t got = recv(conn->fd, at, room, MSG_PEEK | MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPROTO;
	if (got == 0)
		return -EPROTO;
	/* All that belongs to the line is taken, or the socket would stay readable meanwhile. */
	char *newline = memchr(at, '\n', (size_t)got);
	size_t take = newline ? (size_t)(newline - at) + 1 : (size_t)got;
	if (recv(conn->fd, at, take, MSG_DONTWAIT) != (ssize_t)take)
		return -EPROTO;
	conn->line_used += (uint32_t)take;
	if (!newline)
		return conn->line_used < sizeof(conn->line) ? 0 : -EPROTO;
	*newline = '\0';
	return parse_connect(conn->line, newline, out_port);
}
