/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_conn.c - flow control and half-close of one stream.
 *
 * Back-pressure needs no queue beyond one bounded buffer: the guest may send at most .buffer_size
 * bytes more than the host side has taken (it knows that from fwd_cnt), and from the host's socket
 * only as much is read as the guest has room for.
 *
 * The watch is edge-triggered: an event says that something may be there, .readable remembers it
 * until the socket has said that it is empty, and a stream in full flow needs no epoll_ctl. Only
 * EPOLLOUT comes and goes, with the buffer: it would report every read of the host side.
 *
 * Each half ends by itself. The guest's end of sending is passed on when the buffer is empty, its end
 * of receiving at once. The host side's end of sending is seen when all before it was read; that it
 * doesn't receive any more shows only when something is written to it.
 *
 * Counters are 32 bits and wrap, as the standard has them (§5.10.6.3); differences stay right.
 */
#include "vmm/virtio/vsock_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define CONNECT_WORD "CONNECT "
#define IOV_MAX_RING 2
#define WATCHED (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* What is asked for in one read: a page at first, more while it all comes. */
#define APPETITE_MIN (4u << 10)
#define APPETITE_MAX (64u << 10)

struct vsock_conn *vsock_conn_create(struct loop *loop, void *owner, int fd, enum vsock_state state,
                                     uint32_t buffer_size,
                                     void (*ready)(struct loop_watch *, uint32_t))
{
	struct vsock_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || loop_watch_add(loop, &conn->watch, fd, WATCHED, ready)) {
		free(conn);
		close_fd(&fd);
		return NULL;
	}
	conn->loop = loop;
	conn->owner = owner;
	conn->fd = fd;
	conn->state = state;
	conn->buffer_size = buffer_size;
	conn->appetite = APPETITE_MIN;
	return conn;
}

static void close_socket(struct vsock_conn *conn)
{
	loop_watch_remove(conn->loop, &conn->watch);
	loop_timer_cancel(conn->loop, &conn->timer);
	close_fd(&conn->fd);
	free(conn->buffer);
	conn->buffer = NULL;
	conn->buffer_used = 0;
}

void vsock_conn_destroy(struct vsock_conn *conn)
{
	if (!conn)
		return;
	close_socket(conn);
	free(conn);
}

void vsock_conn_abort(struct vsock_conn *conn)
{
	close_socket(conn);
	conn->state = VSOCK_ABORTED;
	conn->tell = VSOCK_TELL_RESET;
}

/* --- guest -> host --------------------------------------------------------------------------- */

/*
 * "In good time" is at half of the buffer: the other half is what the guest can still send until the
 * news has reached it.
 */
static void note_forwarded(struct vsock_conn *conn, size_t bytes)
{
	conn->forwarded += (uint32_t)bytes;
	if (conn->forwarded - conn->forwarded_told >= conn->buffer_size / 2)
		conn->tell |= VSOCK_TELL_CREDIT;
}

/* Once all was handed over, the host side may learn that no more will come. */
static void pass_guest_close(struct vsock_conn *conn)
{
	if (conn->buffer_used == 0 && (conn->guest_closed & VSOCK_NO_SEND))
		shutdown(conn->fd, SHUT_WR);
}

static void host_gave_up(struct vsock_conn *conn, unsigned halves)
{
	if ((conn->host_closed | halves) == conn->host_closed)
		return;
	conn->host_closed |= halves;
	conn->tell |= VSOCK_TELL_SHUTDOWN;
}

static void buffer_put(struct vsock_conn *conn, const uint8_t *data, size_t size)
{
	uint32_t end = (conn->buffer_start + conn->buffer_used) % conn->buffer_size;
	size_t first = conn->buffer_size - end;

	if (first > size)
		first = size;
	memcpy(conn->buffer + end, data, first);
	memcpy(conn->buffer, data + first, size - first);
	conn->buffer_used += (uint32_t)size;
}

/* Bytes written; those that nobody wants any more count too: they need no room. */
static size_t write_now(struct vsock_conn *conn, const struct iovec *iov, int count, size_t size)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t sent = 0;

	if (!(conn->host_closed & VSOCK_NO_RECEIVE)) {
		do {
			sent = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		} while (sent < 0 && errno == EINTR);
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
			return 0;
	}
	if (sent < 0)
		host_gave_up(conn, VSOCK_NO_RECEIVE);
	size_t done = conn->host_closed & VSOCK_NO_RECEIVE ? size : (size_t)sent;
	note_forwarded(conn, done);
	return done;
}

int vsock_conn_from_guest(struct vsock_conn *conn, const struct iovec *iov, int count, size_t size)
{
	size_t written = 0;

	if (size > conn->buffer_size - conn->buffer_used || (conn->guest_closed & VSOCK_NO_SEND))
		return -EPROTO;
	if (conn->buffer_used == 0 && size > 0)
		written = write_now(conn, iov, count, size);
	if (written == size)
		return 0;
	if (!conn->buffer) {
		conn->buffer = malloc(conn->buffer_size);
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

void vsock_conn_flush(struct vsock_conn *conn)
{
	while (conn->buffer_used > 0) {
		size_t first = conn->buffer_size - conn->buffer_start;
		if (first > conn->buffer_used)
			first = conn->buffer_used;
		struct iovec iov[IOV_MAX_RING] = {
			{ .iov_base = conn->buffer + conn->buffer_start, .iov_len = first },
			{ .iov_base = conn->buffer, .iov_len = conn->buffer_used - first },
		};
		size_t written = write_now(conn, iov, IOV_MAX_RING, conn->buffer_used);

		if (written == 0)
			break;
		conn->buffer_start = (conn->buffer_start + (uint32_t)written) % conn->buffer_size;
		conn->buffer_used -= (uint32_t)written;
	}
	pass_guest_close(conn);
}

/* --- host -> guest --------------------------------------------------------------------------- */

uint32_t vsock_conn_credit(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->sent - conn->peer_forwarded;

	/* A peer that takes back what it promised, or claims bytes never sent, has no credit. */
	return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

static void host_ended(struct vsock_conn *conn)
{
	conn->readable = false;
	host_gave_up(conn, conn->hung_up ? VSOCK_CLOSED : VSOCK_NO_SEND);
}

/*
 * An end that has nothing before it which the guest could still take is told at once: without credit
 * nothing is read, and the end would never be found.
 */
static void look_for_end(struct vsock_conn *conn)
{
	int waiting = 0;

	if (!conn->ending || conn->state != VSOCK_CONNECTED)
		return;
	if ((conn->guest_closed & VSOCK_NO_RECEIVE) ||
	    (vsock_conn_credit(conn) == 0 && ioctl(conn->fd, FIONREAD, &waiting) == 0 &&
	     waiting == 0))
		host_ended(conn);
}

static void set_appetite(struct vsock_conn *conn, size_t size)
{
	if (size < APPETITE_MIN)
		size = APPETITE_MIN;
	conn->appetite = size < APPETITE_MAX ? (uint32_t)size : APPETITE_MAX;
}

size_t vsock_conn_to_guest(struct vsock_conn *conn, const struct iovec *iov, int count, size_t size)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t got;

	do {
		got = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		conn->sent += (uint32_t)got;
		if ((size_t)got == size) {
			/* What the guest's credit cut short says nothing about the socket. */
			if (size >= conn->appetite)
				set_appetite(conn, 2 * size);
			return size;
		}
		/*
		 * A short read has emptied the socket, and what comes later is a new edge, unless it
		 * was cut short by file descriptors (dropped: nobody asked for them).
		 */
		set_appetite(conn, (size_t)got);
		conn->readable = conn->ending || conn->unsure || (msg.msg_flags & MSG_CTRUNC);
		return (size_t)got;
	}
	if (got < 0 && errno == EAGAIN) {
		conn->readable = conn->unsure = false;
		return 0;
	}
	if (got < 0)
		conn->hung_up = true;
	host_ended(conn);
	return 0;
}

bool vsock_conn_has_work(const struct vsock_conn *conn)
{
	if (conn->state == VSOCK_DRAINING)
		return false;
	return conn->tell ||
	       (conn->state == VSOCK_CONNECTED && conn->readable &&
	        !(conn->guest_closed & VSOCK_NO_RECEIVE) && vsock_conn_credit(conn) > 0);
}

/* --- ends and events ------------------------------------------------------------------------- */

bool vsock_conn_guest_shutdown(struct vsock_conn *conn, unsigned flags)
{
	unsigned news = flags & VSOCK_CLOSED & ~conn->guest_closed;

	conn->guest_closed |= news;
	if (news & VSOCK_NO_RECEIVE) {
		shutdown(conn->fd, SHUT_RD);
		look_for_end(conn);
	}
	if (news & VSOCK_NO_SEND)
		pass_guest_close(conn);
	return conn->guest_closed == VSOCK_CLOSED;
}

void vsock_conn_host_event(struct vsock_conn *conn, uint32_t events)
{
	/* What the guest has closed itself reports as an end, too. */
	if ((events & EPOLLRDHUP) && !(conn->guest_closed & VSOCK_NO_RECEIVE))
		conn->ending = true;
	if (events & (EPOLLHUP | EPOLLERR))
		conn->ending = conn->hung_up = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->readable = true;
	look_for_end(conn);
	if (conn->buffer_used > 0 && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
		vsock_conn_flush(conn);
}

void vsock_conn_rearm(struct vsock_conn *conn)
{
	if (conn->watch.active)
		loop_watch_change(conn->loop, &conn->watch,
		                  WATCHED | (conn->buffer_used ? EPOLLOUT : 0u));
}

/* --- the CONNECT line ------------------------------------------------------------------------ */

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
	/* Until it is empty: what is left behind has had its edge. */
	while (conn->line_used < sizeof(conn->line)) {
		char *at = conn->line + conn->line_used;
		size_t room = sizeof(conn->line) - conn->line_used;
		ssize_t got = recv(conn->fd, at, room, MSG_PEEK | MSG_DONTWAIT);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 && errno == EAGAIN ? 0 : -EPROTO;
		char *newline = memchr(at, '\n', (size_t)got);
		size_t take = newline ? (size_t)(newline - at) + 1 : (size_t)got;
		if (recv(conn->fd, at, take, MSG_DONTWAIT) != (ssize_t)take)
			return -EPROTO;
		conn->line_used += (uint32_t)take;
		if (newline) {
			*newline = '\0';
			return parse_connect(conn->line, newline, out_port);
		}
	}
	return -EPROTO;
}
