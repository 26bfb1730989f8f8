/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_host.c - the host side: who connects from here, what a guest's connection leads to, and what
 * the sockets say meanwhile.
 *
 * A host client's connection is in the table from the moment it is accepted, under a host port of its
 * own and guest port 0, which no program has; the guest hears of it when its CONNECT line is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/sock.h"
#include "vmm/virtio/vsock_device.h"

#define HANDSHAKE_NS (5 * NS_PER_S)

/* --- deadlines ------------------------------------------------------------------------------- */

/* Nobody answered the handshake, or the guest never confirmed the end. */
static void deadline_expired(struct loop_timer *timer)
{
	struct vsock_conn *conn = container_of(timer, struct vsock_conn, timer);
	struct vsock *vsock = conn->owner;

	pthread_mutex_lock(&vsock->dev.lock);
	vsock_abort(vsock, conn);
	vsock_deliver(vsock);
	pthread_mutex_unlock(&vsock->dev.lock);
}

void vsock_host_set_deadline(struct vsock_conn *conn, uint64_t after_ns)
{
	loop_timer_set(conn->loop, &conn->timer, clock_now_ns() + after_ns, deadline_expired);
}

/* --- host -> guest --------------------------------------------------------------------------- */

static void finish_handshake(struct vsock *vsock, struct vsock_conn *conn)
{
	uint32_t port;
	int got = vsock_conn_read_connect(conn, &port);

	if (got == 0)
		return;
	if (got < 0 || vsock->dev.needs_reset || !vsock->dev.queues[VSOCK_RX].active ||
	    vsock_table_find(&vsock->table, conn->host_port, port)) {
		vsock_drop(vsock, conn);
		return;
	}
	/* The key changes, so it is taken out of the table and put in again. */
	vsock_table_remove(&vsock->table, conn);
	conn->guest_port = port;
	vsock_table_insert(&vsock->table, conn);
	conn->state = VSOCK_REQUESTED;
	conn->tell = VSOCK_TELL_REQUEST;
	vsock_table_make_ready(&vsock->table, conn);
}

bool vsock_host_accepted(struct vsock_conn *conn)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);

	loop_timer_cancel(conn->loop, &conn->timer);
	conn->state = VSOCK_CONNECTED;
	conn->readable = conn->unsure = true; /* what came early has had its edges */
	return send(conn->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length;
}

/* A host port that no living connection has: after 2^30 of them the numbers come again. */
static uint32_t take_host_port(struct vsock *vsock)
{
	uint32_t port;

	/* There are more ports than connections: it ends. */
	do {
		port = vsock->next_host_port;
		vsock->next_host_port = port == UINT32_MAX ? VSOCK_FIRST_HOST_PORT : port + 1;
	} while (vsock_table_has_host_port(&vsock->table, port));
	return port;
}

static void on_accepted(struct listener *listener, int fd)
{
	struct vsock *vsock = container_of(listener, struct vsock, listener);

	pthread_mutex_lock(&vsock->dev.lock);
	struct vsock_conn *conn = vsock_add(vsock, fd, VSOCK_HANDSHAKE, take_host_port(vsock), 0);
	if (conn)
		vsock_host_set_deadline(conn, HANDSHAKE_NS);
	pthread_mutex_unlock(&vsock->dev.lock);
}

int vsock_host_listen(struct vsock *vsock, struct error *err)
{
	cleanup_fd int fd = -1;

	if (!vsock->path)
		return 0;
	int ret = sock_listen_unix(vsock->path, &fd, err);
	if (ret)
		return ret;
	ret = listener_start(&vsock->listener, vsock->dev.loop, fd, on_accepted);
	if (ret) {
		unlink(vsock->path);
		return error_set(err, ret, "cannot watch %s: %s", vsock->path, strerror(-ret));
	}
	steal_fd(&fd);
	return 0;
}

/* --- guest -> host --------------------------------------------------------------------------- */

/* The peer is local, so connect(2) answers at once or not at all. */
static int connect_path(const struct vsock *vsock, uint32_t port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length =
		snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", vsock->path, port);

	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -1;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return steal_fd(&fd);
}

static int connect_service(const struct vsock_service *service)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -1;
	service->accept(service->arg, pair[1]);
	return pair[0];
}

int vsock_host_connect(struct vsock *vsock, uint32_t port)
{
	for (unsigned i = 0; i < vsock->service_count; i++)
		if (vsock->services[i].port == port)
			return connect_service(&vsock->services[i]);
	return vsock->path ? connect_path(vsock, port) : -1;
}

/* --- events ---------------------------------------------------------------------------------- */

static void handle_event(struct vsock *vsock, struct vsock_conn *conn, uint32_t events)
{
	switch (conn->state) {
	case VSOCK_HANDSHAKE:
		finish_handshake(vsock, conn);
		return;
	case VSOCK_REQUESTED:
		if (events & (EPOLLHUP | EPOLLERR))
			vsock_abort(vsock, conn);
		else
			vsock_conn_host_event(conn, events);
		return;
	case VSOCK_CONNECTED:
		vsock_conn_host_event(conn, events);
		vsock_conn_rearm(conn);
		vsock_table_make_ready(&vsock->table, conn);
		return;
	case VSOCK_DRAINING:
		vsock_conn_flush(conn);
		if (conn->buffer_used == 0)
			vsock_drop(vsock, conn);
		return;
	case VSOCK_ABORTED: /* has no socket */
		return;
	}
}

void vsock_host_ready(struct loop_watch *watch, uint32_t events)
{
	struct vsock_conn *conn = container_of(watch, struct vsock_conn, watch);
	struct vsock *vsock = conn->owner;

	pthread_mutex_lock(&vsock->dev.lock);
	handle_event(vsock, conn, events);
	vsock_deliver(vsock);
	pthread_mutex_unlock(&vsock->dev.lock);
}
