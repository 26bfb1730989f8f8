/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock.c - the device: its life, and that of its connections.
 *
 * Theory of operation. The guest's packets come through the TX queue and are worked off at once
 * (vsock_tx.c): nothing in them can block, as data goes to a non-blocking socket and what that
 * doesn't take to the connection's bounded buffer. Towards the guest, a connection that has something
 * to tell or to send stands in the ready list, which is worked off while the RX queue has buffers
 * (vsock_rx.c). The sockets' events and the way to and from them are vsock_host.c's. A host side that
 * doesn't read fills its own buffer, then its guest program's credit is used up; a guest that doesn't
 * read gives no credit, then its host side's socket is full: either stops that one connection.
 *
 *	host client --accept--> HANDSHAKE --"CONNECT"--> REQUESTED --RESPONSE--> CONNECTED
 *	guest's REQUEST --vsock_host_connect--> CONNECTED
 *	any but HANDSHAKE --broken rule, deadline--> ABORTED --RST is sent--> gone
 *	CONNECTED --both halves closed by the guest, or its RST--> DRAINING while there is something
 *	buffered for the host side --all taken, or nobody to take it--> gone
 *
 * Threads. A driver's reset arrives on a vCPU thread, but sockets belong to the I/O thread: the
 * reset only sets .reset_pending and kicks the I/O thread, which drops all connections before it
 * does anything else with the device.
 *
 * Invariants (V1 and V2 are vsock_table.h's):
 *  V3  at most VSOCK_CONNS_MAX connections, draining ones included; VSOCK_LARGE_MAX of them buffer
 *      at most VSOCK_BUFFER_SIZE each, the others VSOCK_BUFFER_SMALL: VSOCK_BUFFERED_MAX in all.
 *  V4  a packet's length field never reaches beyond the descriptors it came in.
 *  V5  between turns no RX chain is out of the ring (the stash is empty).
 */
#include "vmm/virtio/vsock.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/virtio/vsock_device.h"

#define VSOCK_DEVICE_ID 19

_Static_assert(VSOCK_LARGE_MAX *VSOCK_BUFFER_SIZE +
                               (VSOCK_CONNS_MAX - VSOCK_LARGE_MAX) * VSOCK_BUFFER_SMALL ==
                       VSOCK_BUFFERED_MAX,
               "vsock.h says how much is buffered at most");

static struct vsock *vsock_of(struct virtio_device *dev)
{
	return container_of(dev, struct vsock, dev);
}

/* --- connections ----------------------------------------------------------------------------- */

struct vsock_conn *vsock_add(struct vsock *vsock, int fd, enum vsock_state state,
                             uint32_t host_port, uint32_t guest_port)
{
	uint32_t size =
		vsock->large_buffers < VSOCK_LARGE_MAX ? VSOCK_BUFFER_SIZE : VSOCK_BUFFER_SMALL;

	if (vsock->table.count == VSOCK_CONNS_MAX) {
		log_warn_limited(&vsock->dev.complaints, "vsock: %d connections, no more are taken",
		                 VSOCK_CONNS_MAX);
		close_fd(&fd);
		return NULL;
	}
	struct vsock_conn *conn =
		vsock_conn_create(vsock->dev.loop, vsock, fd, state, size, vsock_host_ready);
	if (!conn)
		return NULL;
	conn->host_port = host_port;
	conn->guest_port = guest_port;
	vsock->large_buffers += size == VSOCK_BUFFER_SIZE;
	vsock_table_insert(&vsock->table, conn);
	return conn;
}

void vsock_drop(struct vsock *vsock, struct vsock_conn *conn)
{
	vsock_table_remove(&vsock->table, conn);
	vsock->large_buffers -= conn->buffer_size == VSOCK_BUFFER_SIZE;
	vsock_conn_destroy(conn);
}

void vsock_retire(struct vsock *vsock, struct vsock_conn *conn)
{
	if (conn->buffer_used == 0) {
		vsock_drop(vsock, conn);
		return;
	}
	loop_timer_cancel(conn->loop, &conn->timer);
	vsock_conn_guest_shutdown(conn, VSOCK_CLOSED); /* a RST says no less */
	vsock_table_drain(&vsock->table, conn);
	vsock_conn_rearm(conn);
}

void vsock_abort(struct vsock *vsock, struct vsock_conn *conn)
{
	if (conn->state == VSOCK_HANDSHAKE) {
		vsock_drop(vsock, conn);
		return;
	}
	vsock_conn_abort(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

static void drop_all(struct vsock *vsock)
{
	for (struct vsock_conn *conn; (conn = vsock_table_any(&vsock->table));)
		vsock_drop(vsock, conn);
	loop_timer_cancel(vsock->dev.loop, &vsock->tx_timer);
	vsock->tx_unsignalled = 0;
	vsock->reset_count = 0;
}

/* --- the device ------------------------------------------------------------------------------ */

static void finish_reset(struct vsock *vsock)
{
	if (!vsock->reset_pending)
		return;
	drop_all(vsock);
	vsock->reset_pending = false;
}

static void vsock_notified(struct virtio_device *dev, unsigned queue)
{
	struct vsock *vsock = vsock_of(dev);

	finish_reset(vsock);
	bool waited = vsock->reset_owed || vsock->reset_told;
	if (vsock_clone_waits(vsock))
		return;
	/* What the guest said of TX meanwhile was not looked at. */
	if (queue == VSOCK_TX || waited)
		vsock_transmit(vsock);
	vsock_deliver(vsock);
}

static void vsock_reset(struct virtio_device *dev)
{
	struct vsock *vsock = vsock_of(dev);
	uint64_t one = 1;

	vsock->reset_pending = true;
	vsock_clone_reset(vsock);
	if (write(vsock->kick_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

static void on_kick(struct loop_watch *watch, uint32_t events)
{
	struct vsock *vsock = container_of(watch, struct vsock, kick_watch);
	uint64_t drained;

	(void)events;
	pthread_mutex_lock(&vsock->dev.lock);
	if (read(vsock->kick_fd, &drained, sizeof(drained)) > 0)
		finish_reset(vsock);
	pthread_mutex_unlock(&vsock->dev.lock);
}

static void vsock_quiesce(struct virtio_device *dev)
{
	vsock_signal_completions(vsock_of(dev));
}

static void vsock_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	memcpy(out, (uint8_t *)&vsock_of(dev)->config_cid + offset, size);
}

static void vsock_destroy(struct virtio_device *dev)
{
	struct vsock *vsock = vsock_of(dev);

	drop_all(vsock);
	loop_watch_remove(dev->loop, &vsock->kick_watch);
	if (vsock->listener.fd >= 0)
		unlink(vsock->path);
	listener_stop(&vsock->listener);
	close_fd(&vsock->kick_fd);
	free(vsock->path);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.device_id = VSOCK_DEVICE_ID,
	.queue_count = 3,
	.queue_size = VSOCK_QUEUE_SIZE,
	.config_size = sizeof(uint64_t),
	.config_read = vsock_config_read,
	.notified = vsock_notified,
	.reset = vsock_reset,
	.quiesce = vsock_quiesce,
	.save = vsock_clone_save,
	.restore = vsock_clone_restore,
	.destroy = vsock_destroy,
};

static int open_host_side(struct vsock *vsock, const char *path, struct error *err)
{
	vsock->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vsock->kick_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	int ret = loop_watch_add(vsock->dev.loop, &vsock->kick_watch, vsock->kick_fd, EPOLLIN,
	                         on_kick);
	if (ret)
		return error_set(err, ret, "cannot watch an eventfd: %s", strerror(-ret));
	vsock->path = path ? strdup(path) : NULL;
	if (path && !vsock->path)
		return error_set(err, -ENOMEM, "no memory for vsock");
	return vsock_host_listen(vsock, err);
}

int virtio_vsock_create(const struct virtio_place *place, uint64_t guest_cid, const char *path,
                        struct virtio_device **out_dev, struct error *err)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));

	if (!vsock)
		return error_set(err, -ENOMEM, "no memory for vsock");
	int ret = virtio_device_init(&vsock->dev, &vsock_ops, place, err);
	if (ret) {
		free(vsock);
		return ret;
	}
	vsock->guest_cid = guest_cid;
	vsock->config_cid = htole64(guest_cid);
	vsock->listener = (struct listener)LISTENER_INIT;
	vsock->kick_fd = -1;
	vsock->next_host_port = VSOCK_FIRST_HOST_PORT;
	ret = open_host_side(vsock, path, err);
	if (ret) {
		vsock_destroy(&vsock->dev);
		virtio_device_finish(&vsock->dev);
		free(vsock);
		return ret;
	}
	*out_dev = &vsock->dev;
	return 0;
}

int virtio_vsock_serve(struct virtio_device *dev, uint32_t port, void (*accept)(void *arg, int fd),
                       void *arg)
{
	struct vsock *vsock = vsock_of(dev);

	if (vsock->service_count == VSOCK_SERVICES_MAX)
		return -ENOSPC;
	vsock->services[vsock->service_count++] =
		(struct vsock_service){ .port = port, .accept = accept, .arg = arg };
	return 0;
}
