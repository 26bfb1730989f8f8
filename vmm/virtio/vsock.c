/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock.c - the device: packets, the connection table, and who may send next.
 *
 * Theory of operation. The guest's packets come through the TX queue and are worked off at once:
 * nothing in them can block, as data goes to a non-blocking socket and then to the connection's
 * bounded buffer. Towards the guest, a connection that has something to tell or to send stands in
 * the ready list; the list is worked off, one packet a turn, while the RX queue has buffers, so
 * connections share it fairly. Resets for packets that belong to no connection wait in a small
 * ring of their own.
 *
 * Threads. A driver's reset arrives on a vCPU thread, but sockets belong to the I/O thread: the
 * reset only sets .reset_pending and kicks the I/O thread, which drops all connections before it
 * does anything else with the device.
 *
 * Invariants (V1 and V2 are vsock_table.h's):
 *  V3  at most VSOCK_CONNS_MAX connections, each with at most VSOCK_BUFFER_SIZE bytes.
 *  V4  a packet's length field never reaches beyond the descriptors it came in.
 */
#include "vmm/virtio/vsock.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/listener.h"
#include "lib/sock.h"
#include "vmm/virtio/vsock_conn.h"
#include "vmm/virtio/vsock_packet.h"
#include "vmm/virtio/vsock_table.h"

#define VSOCK_DEVICE_ID 19
#define QUEUE_RX 0
#define QUEUE_TX 1
#define QUEUE_EVENT 2

#define RESETS_MAX 64
#define HANDSHAKE_NS (5 * NS_PER_S)
#define CLOSING_NS (10 * NS_PER_S)
#define FIRST_HOST_PORT 0x40000000u

struct service {
	uint32_t port;
	void (*accept)(void *arg, int fd);
	void *arg;
};

struct vsock {
	struct virtio_device dev;
	uint64_t guest_cid;
	uint64_t config_cid; /* little-endian */
	char *path;          /* owned, may be NULL */
	int kick_fd;         /* owned: the driver has reset us */
	struct listener listener;
	struct loop_watch kick_watch;
	bool reset_pending;
	struct service services[VSOCK_SERVICES_MAX];
	unsigned service_count;
	struct vsock_table table;
	struct vsock_packet resets[RESETS_MAX];
	unsigned reset_count;
	uint32_t next_host_port;
};

static struct vsock *vsock_of(struct virtio_device *dev)
{
	return container_of(dev, struct vsock, dev);
}

/* --- ends of connections ---------------------------------------------------------------------- */

static void drop(struct vsock *vsock, struct vsock_conn *conn)
{
	vsock_table_remove(&vsock->table, conn);
	vsock_conn_destroy(conn);
}

static void drop_all(struct vsock *vsock)
{
	for (struct vsock_conn *conn; (conn = vsock_table_any(&vsock->table));)
		drop(vsock, conn);
	vsock->reset_count = 0;
}

/* The guest is told that the connection is over; what was under way is lost. */
static void abort_conn(struct vsock *vsock, struct vsock_conn *conn)
{
	if (conn->state == VSOCK_HANDSHAKE) { /* the guest never heard of it */
		drop(vsock, conn);
		return;
	}
	conn->tell = VSOCK_TELL_RESET;
	conn->hung_up = true;
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

/* --- towards the guest ----------------------------------------------------------------------- */

static struct vsock_packet packet_for(const struct vsock *vsock, struct vsock_conn *conn,
                                      enum vsock_op op)
{
	conn->forwarded_told = conn->forwarded;
	conn->tell &= ~VSOCK_TELL_CREDIT;
	return (struct vsock_packet){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = vsock->guest_cid,
		.src_port = conn->host_port,
		.dst_port = conn->guest_port,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = VSOCK_BUFFER_SIZE,
		.fwd_cnt = conn->forwarded,
	};
}

static void send_header(struct vsock *vsock, const struct virtqueue_chain *chain,
                        const struct vsock_packet *p)
{
	uint8_t header[VSOCK_HEADER_SIZE];

	vsock_packet_encode(p, header);
	virtqueue_write(chain, 0, header, sizeof(header));
	virtqueue_push(&vsock->dev.queues[QUEUE_RX], chain->head, VSOCK_HEADER_SIZE + p->len);
}

/* Sends one packet of @conn into @chain. False: it had nothing to say after all. */
static bool send_one(struct vsock *vsock, struct vsock_conn *conn,
                     const struct virtqueue_chain *chain)
{
	static const struct {
		unsigned tell;
		enum vsock_op op;
	} order[] = {
		{ VSOCK_TELL_RESET, VSOCK_OP_RST },
		{ VSOCK_TELL_REQUEST, VSOCK_OP_REQUEST },
		{ VSOCK_TELL_RESPONSE, VSOCK_OP_RESPONSE },
		{ VSOCK_TELL_SHUTDOWN, VSOCK_OP_SHUTDOWN },
		{ VSOCK_TELL_CREDIT, VSOCK_OP_CREDIT_UPDATE },
	};
	struct iovec iov[VIRTQUEUE_SIZE_MAX];

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(conn->tell & order[i].tell))
			continue;
		struct vsock_packet p = packet_for(vsock, conn, order[i].op);
		if (order[i].op == VSOCK_OP_SHUTDOWN)
			p.flags = conn->host_closed;
		conn->tell &= ~order[i].tell;
		send_header(vsock, chain, &p);
		return true;
	}
	int count = vsock_packet_data(chain->buffers + chain->readable, chain->writable,
	                              vsock_conn_credit(conn), iov);
	size_t got = count ? vsock_conn_to_guest(conn, iov, count) : 0;
	if (got == 0)
		return false;
	struct vsock_packet p = packet_for(vsock, conn, VSOCK_OP_RW);
	p.len = (uint32_t)got;
	send_header(vsock, chain, &p);
	return true;
}

static void deadline_expired(struct loop_timer *timer);

/* After a packet: end the connection, or wait for the guest's answer, or stand in line again. */
static void after_send(struct vsock *vsock, struct vsock_conn *conn, bool was_reset)
{
	if (was_reset) {
		drop(vsock, conn);
		return;
	}
	if (conn->host_closed == VSOCK_CLOSED && !conn->timer.active)
		loop_timer_set(conn->loop, &conn->timer, clock_now_ns() + CLOSING_NS,
		               deadline_expired);
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

/* One turn of the ready list. 1: a packet went out; 0: nothing to send; -1: the queue is broken. */
static int deliver_one(struct vsock *vsock, struct error *err)
{
	struct virtqueue *rx = &vsock->dev.queues[QUEUE_RX];
	struct virtqueue_chain chain;

	if (!vsock->reset_count && !vsock->table.ready_head)
		return 0;
	int got = virtqueue_pop(rx, &chain, err);
	if (got <= 0)
		return got;
	/* With room for the header alone, data could never be sent and would be tried for ever. */
	if (chain.writable_size <= VSOCK_HEADER_SIZE) {
		error_set(err, -EPROTO,
		          "vsock: receive buffer of %llu bytes can't hold header and data",
		          (unsigned long long)chain.writable_size);
		return -1;
	}
	if (vsock->reset_count) {
		send_header(vsock, &chain, &vsock->resets[--vsock->reset_count]);
		return 1;
	}
	while (vsock->table.ready_head) {
		struct vsock_conn *conn = vsock->table.ready_head;
		bool reset = conn->tell & VSOCK_TELL_RESET;

		vsock_table_unready(&vsock->table, conn);
		bool sent = send_one(vsock, conn, &chain);
		after_send(vsock, conn, reset);
		if (sent)
			return 1;
	}
	virtqueue_unpop(rx, 1);
	return 0;
}

static void deliver(struct vsock *vsock)
{
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int sent = 0;

	if (vsock->dev.needs_reset || vsock->reset_pending)
		return;
	while (left > 0 && (sent = deliver_one(vsock, &err)) > 0)
		left--;
	if (sent < 0)
		virtio_device_fail(&vsock->dev, &err);
	if (left == 0)
		virtio_device_again(&vsock->dev, QUEUE_RX);
	if (left < VIRTIO_TURN_MAX)
		virtio_device_signal(&vsock->dev, QUEUE_RX);
}

/* Nobody answered the handshake, or the guest never confirmed the end. */
static void deadline_expired(struct loop_timer *timer)
{
	struct vsock_conn *conn = container_of(timer, struct vsock_conn, timer);
	struct vsock *vsock = conn->owner;

	pthread_mutex_lock(&vsock->dev.lock);
	abort_conn(vsock, conn);
	deliver(vsock);
	pthread_mutex_unlock(&vsock->dev.lock);
}

/* --- the host side of a connection ----------------------------------------------------------- */

static void finish_handshake(struct vsock *vsock, struct vsock_conn *conn)
{
	uint32_t port;
	int got = vsock_conn_read_connect(conn, &port);

	if (got == 0)
		return;
	if (got < 0 || vsock->dev.needs_reset || !vsock->dev.queues[QUEUE_RX].active) {
		drop(vsock, conn);
		return;
	}
	/* The key changes, so it is taken out of the table and put in again. */
	vsock_table_remove(&vsock->table, conn);
	conn->guest_port = port;
	vsock_table_insert(&vsock->table, conn);
	conn->state = VSOCK_REQUESTED;
	conn->tell |= VSOCK_TELL_REQUEST;
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

static void on_host_ready(struct loop_watch *watch, uint32_t events)
{
	struct vsock_conn *conn = container_of(watch, struct vsock_conn, watch);
	struct vsock *vsock = conn->owner;

	pthread_mutex_lock(&vsock->dev.lock);
	if (conn->state == VSOCK_HANDSHAKE) {
		uint32_t host_port = conn->host_port, before = conn->guest_port;

		finish_handshake(vsock, conn);
		/* It may be gone now, or have its port. */
		conn = vsock_table_find(&vsock->table, host_port, before);
		if (!conn || conn->state == VSOCK_HANDSHAKE) {
			deliver(vsock);
			goto out;
		}
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		conn->hung_up = true;
		conn->readable = conn->state == VSOCK_CONNECTED;
		if (conn->state == VSOCK_REQUESTED) {
			abort_conn(vsock, conn);
			deliver(vsock);
			goto out;
		}
	}
	if (events & EPOLLIN)
		conn->readable = true;
	if ((events & EPOLLOUT) && (vsock_conn_flush(conn) || vsock_conn_finished(conn)))
		abort_conn(vsock, conn);
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
	deliver(vsock);
out:
	pthread_mutex_unlock(&vsock->dev.lock);
}

/* Takes @fd into the table. NULL when there is no room; @fd is closed then. */
static struct vsock_conn *add_conn(struct vsock *vsock, int fd, enum vsock_state state,
                                   uint32_t host_port, uint32_t guest_port)
{
	if (vsock->table.count == VSOCK_CONNS_MAX) {
		log_warn_limited(&vsock->dev.complaints, "vsock: %d connections, no more are taken",
		                 VSOCK_CONNS_MAX);
		close_fd(&fd);
		return NULL;
	}
	struct vsock_conn *conn = vsock_conn_create(vsock->dev.loop, vsock, fd, state);
	if (!conn)
		return NULL;
	conn->host_port = host_port;
	conn->guest_port = guest_port;
	if (loop_watch_add(conn->loop, &conn->watch, fd, state == VSOCK_REQUESTED ? 0 : EPOLLIN,
	                   on_host_ready)) {
		vsock_conn_destroy(conn);
		return NULL;
	}
	vsock_table_insert(&vsock->table, conn);
	return conn;
}

static void accept_one(struct vsock *vsock, int fd)
{
	/* Guest port 0 is used by nobody: the key stays unique until CONNECT says the real one. */
	struct vsock_conn *conn = add_conn(vsock, fd, VSOCK_HANDSHAKE, vsock->next_host_port, 0);

	if (!conn)
		return;
	vsock->next_host_port++;
	if (vsock->next_host_port < FIRST_HOST_PORT)
		vsock->next_host_port = FIRST_HOST_PORT;
	loop_timer_set(conn->loop, &conn->timer, clock_now_ns() + HANDSHAKE_NS, deadline_expired);
}

static void on_accepted(struct listener *listener, int fd)
{
	struct vsock *vsock = container_of(listener, struct vsock, listener);

	pthread_mutex_lock(&vsock->dev.lock);
	accept_one(vsock, fd);
	pthread_mutex_unlock(&vsock->dev.lock);
}

/* --- from the guest -------------------------------------------------------------------------- */

static void queue_reset(struct vsock *vsock, const struct vsock_packet *p)
{
	/* A guest that asks for more resets than it takes loses answers. */
	if (p->op == VSOCK_OP_RST || vsock->reset_count == RESETS_MAX)
		return;
	vsock->resets[vsock->reset_count++] = (struct vsock_packet){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = vsock->guest_cid,
		.src_port = p->dst_port,
		.dst_port = p->src_port,
		.type = VSOCK_TYPE_STREAM,
		.op = VSOCK_OP_RST,
	};
}

/* Connects to PATH_<port>; the peer is local, so connect(2) answers at once or not at all. */
static int connect_host(const struct vsock *vsock, uint32_t port)
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

static int connect_service(const struct service *service)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -1;
	service->accept(service->arg, pair[1]);
	return pair[0];
}

static void guest_connects(struct vsock *vsock, const struct vsock_packet *p)
{
	int fd = -1;

	for (unsigned i = 0; i < vsock->service_count; i++)
		if (vsock->services[i].port == p->dst_port)
			fd = connect_service(&vsock->services[i]);
	if (fd < 0 && vsock->path)
		fd = connect_host(vsock, p->dst_port);
	struct vsock_conn *conn =
		fd < 0 ? NULL : add_conn(vsock, fd, VSOCK_CONNECTED, p->dst_port, p->src_port);
	if (!conn) {
		queue_reset(vsock, p);
		return;
	}
	conn->peer_alloc = p->buf_alloc;
	conn->peer_forwarded = p->fwd_cnt;
	conn->tell |= VSOCK_TELL_RESPONSE;
	vsock_table_make_ready(&vsock->table, conn);
}

static void guest_accepted(struct vsock *vsock, struct vsock_conn *conn)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);

	loop_timer_cancel(conn->loop, &conn->timer);
	conn->state = VSOCK_CONNECTED;
	if (send(conn->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length)
		abort_conn(vsock, conn);
}

static void guest_sends(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_packet *p,
                        const struct virtqueue_chain *chain)
{
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	int count = vsock_packet_data(chain->buffers, chain->readable, p->len, iov);

	if (vsock_conn_from_guest(conn, iov, count, p->len))
		abort_conn(vsock, conn);
}

static void handle_for_conn(struct vsock *vsock, struct vsock_conn *conn,
                            const struct vsock_packet *p, const struct virtqueue_chain *chain)
{
	bool connected = conn->state == VSOCK_CONNECTED;

	conn->peer_alloc = p->buf_alloc;
	conn->peer_forwarded = p->fwd_cnt;
	switch (p->op) {
	case VSOCK_OP_RESPONSE:
		if (conn->state == VSOCK_REQUESTED)
			guest_accepted(vsock, conn);
		else
			abort_conn(vsock, conn);
		break;
	case VSOCK_OP_RST:
		drop(vsock, conn);
		return;
	case VSOCK_OP_SHUTDOWN:
		if (vsock_conn_guest_shutdown(conn, p->flags))
			abort_conn(vsock, conn);
		break;
	case VSOCK_OP_RW:
		if (connected)
			guest_sends(vsock, conn, p, chain);
		else
			abort_conn(vsock, conn);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		conn->tell |= VSOCK_TELL_CREDIT;
		break;
	default: /* REQUEST for a stream that exists, or no operation of the standard */
		abort_conn(vsock, conn);
		break;
	}
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

static void handle_packet(struct vsock *vsock, const struct virtqueue_chain *chain)
{
	uint8_t header[VSOCK_HEADER_SIZE];
	struct vsock_packet p;

	if (virtqueue_read(chain, 0, header, sizeof(header)) != sizeof(header)) {
		log_warn_limited(&vsock->dev.complaints,
		                 "vsock: packet without a whole header dropped");
		return;
	}
	vsock_packet_decode(header, &p);
	if (p.src_cid != vsock->guest_cid || p.dst_cid != VSOCK_HOST_CID) {
		log_warn_limited(&vsock->dev.complaints,
		                 "vsock: packet from CID %llu to %llu dropped",
		                 (unsigned long long)p.src_cid, (unsigned long long)p.dst_cid);
		return;
	}
	struct vsock_conn *conn = vsock_table_find(&vsock->table, p.dst_port, p.src_port);
	/* V4; and only streams are offered (§5.10.3). */
	if (p.type != VSOCK_TYPE_STREAM || p.len > chain->readable_size - VSOCK_HEADER_SIZE) {
		log_warn_limited(&vsock->dev.complaints,
		                 "vsock: packet of type %u, length %u refused", p.type, p.len);
		if (conn)
			abort_conn(vsock, conn);
		else
			queue_reset(vsock, &p);
		return;
	}
	if (conn && conn->state != VSOCK_HANDSHAKE && !(conn->tell & VSOCK_TELL_RESET))
		handle_for_conn(vsock, conn, &p, chain);
	else if (!conn && p.op == VSOCK_OP_REQUEST)
		guest_connects(vsock, &p);
	else if (!conn)
		queue_reset(vsock, &p);
}

static void transmit(struct vsock *vsock)
{
	struct virtqueue *tx = &vsock->dev.queues[QUEUE_TX];
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned left = VIRTIO_TURN_MAX;
	int got = 0;

	for (; left > 0 && (got = virtqueue_pop(tx, &chain, &err)) > 0; left--) {
		handle_packet(vsock, &chain);
		virtqueue_push(tx, chain.head, 0);
	}
	if (got < 0)
		virtio_device_fail(&vsock->dev, &err);
	if (left == 0)
		virtio_device_again(&vsock->dev, QUEUE_TX);
	virtio_device_signal(&vsock->dev, QUEUE_TX);
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
	if (queue == QUEUE_TX)
		transmit(vsock);
	deliver(vsock);
}

static void vsock_reset(struct virtio_device *dev)
{
	struct vsock *vsock = vsock_of(dev);
	uint64_t one = 1;

	vsock->reset_pending = true;
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
	.queue_size = 256,
	.config_size = sizeof(uint64_t),
	.config_read = vsock_config_read,
	.notified = vsock_notified,
	.reset = vsock_reset,
	.destroy = vsock_destroy,
};

static int open_host_side(struct vsock *vsock, const char *path, struct error *err)
{
	struct loop *loop = vsock->dev.loop;
	cleanup_fd int fd = -1;

	vsock->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vsock->kick_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	int ret = loop_watch_add(loop, &vsock->kick_watch, vsock->kick_fd, EPOLLIN, on_kick);
	if (ret || !path)
		return ret;

	vsock->path = strdup(path);
	if (!vsock->path)
		return error_set(err, -ENOMEM, "no memory for vsock");
	ret = sock_listen_unix(path, &fd, err);
	if (ret)
		return ret;
	ret = listener_start(&vsock->listener, loop, fd, on_accepted);
	if (ret)
		return error_set(err, ret, "cannot watch %s: %s", path, strerror(-ret));
	steal_fd(&fd);
	return 0;
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
	vsock->next_host_port = FIRST_HOST_PORT;
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
		(struct service){ .port = port, .accept = accept, .arg = arg };
	return 0;
}
