/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_tx.c - from the guest: each packet is worked off at once, as nothing in it can block.
 *
 * Completions are signalled late: a driver needs them only to free memory and to find room in its
 * ring, and an interrupt for packets to the guest, which mostly comes soon, makes it look at this
 * ring, too. So the interrupt is sent when a part of the ring is owed, or after a moment.
 *
 * The answer to a packet of no connection is remembered until there is a receive buffer. A guest
 * that asks for more of them than it takes loses answers; if TX waited instead, and the guest's own
 * receiving for its TX, as it may (§5.10.6.2), both would wait for ever.
 */
#include "lib/clock.h"
#include "vmm/virtio/vsock_device.h"

/*
 * With a quarter of the ring owed, the driver is told; or when the answer to what it sent has taken
 * too long to bring the news along: longer than a round trip on a slow and busy host.
 */
#define OWED_PART 4
#define OWED_NS (10 * NS_PER_MS)

void vsock_refuse(struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	if (vsock->reset_count == VSOCK_RESETS_MAX)
		return;
	unsigned at = (vsock->reset_first + vsock->reset_count++) % VSOCK_RESETS_MAX;
	vsock->resets[at] = (struct vsock_packet){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = vsock->guest_cid,
		.src_port = host_port,
		.dst_port = guest_port,
		.type = VSOCK_TYPE_STREAM,
		.op = VSOCK_OP_RST,
	};
}

static void queue_reset(struct vsock *vsock, const struct vsock_packet *p)
{
	if (p->op != VSOCK_OP_RST)
		vsock_refuse(vsock, p->dst_port, p->src_port);
}

void vsock_guest_connects(struct vsock *vsock, const struct vsock_packet *p)
{
	int fd = vsock_host_connect(vsock, p->dst_port);
	struct vsock_conn *conn =
		fd < 0 ? NULL : vsock_add(vsock, fd, VSOCK_CONNECTED, p->dst_port, p->src_port);

	if (!conn) {
		queue_reset(vsock, p);
		return;
	}
	conn->peer_alloc = p->buf_alloc;
	conn->peer_forwarded = p->fwd_cnt;
	conn->tell |= VSOCK_TELL_RESPONSE;
	vsock_table_make_ready(&vsock->table, conn);
}

/* An answer to our REQUEST. Nothing else makes sense before it. */
static void guest_answers(struct vsock *vsock, struct vsock_conn *conn,
                          const struct vsock_packet *p)
{
	if (p->op == VSOCK_OP_RST)
		vsock_drop(vsock, conn);
	else if (p->op != VSOCK_OP_RESPONSE || !vsock_host_accepted(conn))
		vsock_abort(vsock, conn);
	else
		vsock_table_make_ready(&vsock->table, conn);
}

static void guest_sends(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_packet *p,
                        const struct virtqueue_chain *chain)
{
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	int count = vsock_packet_data(chain->buffers, chain->readable, p->len, iov);

	if (vsock_conn_from_guest(conn, iov, count, p->len))
		vsock_abort(vsock, conn);
}

/*
 * A guest that has confirmed our end by a new REQUEST (its program is slow to close the old socket,
 * whose port is free already) gets a new connection.
 */
static void guest_reuses_port(struct vsock *vsock, struct vsock_conn *conn,
                              const struct vsock_packet *p)
{
	if (conn->host_closed != VSOCK_CLOSED || conn->tell) {
		vsock_abort(vsock, conn);
		return;
	}
	vsock_retire(vsock, conn);
	vsock_guest_connects(vsock, p);
}

static void handle_connected(struct vsock *vsock, struct vsock_conn *conn,
                             const struct vsock_packet *p, const struct virtqueue_chain *chain)
{
	switch (p->op) {
	case VSOCK_OP_REQUEST:
		guest_reuses_port(vsock, conn, p);
		return;
	case VSOCK_OP_RST:
		vsock_retire(vsock, conn);
		return;
	case VSOCK_OP_SHUTDOWN:
		if (vsock_conn_guest_shutdown(conn, p->flags))
			conn->tell = VSOCK_TELL_RESET;
		break;
	case VSOCK_OP_RW:
		guest_sends(vsock, conn, p, chain);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		conn->tell |= VSOCK_TELL_CREDIT;
		break;
	default: /* RESPONSE, or no operation of the standard */
		vsock_abort(vsock, conn);
		return;
	}
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

static void handle_for_conn(struct vsock *vsock, struct vsock_conn *conn,
                            const struct vsock_packet *p, const struct virtqueue_chain *chain)
{
	if (conn->tell & VSOCK_TELL_RESET) { /* it will hear that it is over */
		if (p->op == VSOCK_OP_RST)
			vsock_retire(vsock, conn);
		return;
	}
	conn->peer_alloc = p->buf_alloc;
	conn->peer_forwarded = p->fwd_cnt;
	if (conn->state == VSOCK_REQUESTED)
		guest_answers(vsock, conn, p);
	else
		handle_connected(vsock, conn, p, chain);
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
	/* The guest doesn't know of it yet; its guest port isn't one. */
	bool hidden = conn && conn->state == VSOCK_HANDSHAKE;
	/* V4; and only streams are offered (§5.10.3). */
	if (p.type != VSOCK_TYPE_STREAM || p.len > chain->readable_size - VSOCK_HEADER_SIZE) {
		log_warn_limited(&vsock->dev.complaints,
		                 "vsock: packet of type %u, length %u refused", p.type, p.len);
		if (conn && !hidden)
			vsock_abort(vsock, conn);
		else
			queue_reset(vsock, &p);
		return;
	}
	if (conn && !hidden)
		handle_for_conn(vsock, conn, &p, chain);
	else if (!conn && vsock_clone_holds(vsock, &p))
		return;
	else if (!conn && p.op == VSOCK_OP_REQUEST && vsock_clone_lets(vsock, &p))
		vsock_guest_connects(vsock, &p);
	else
		queue_reset(vsock, &p);
}

void vsock_signal_completions(struct vsock *vsock)
{
	loop_timer_cancel(vsock->dev.loop, &vsock->tx_timer);
	vsock->tx_unsignalled = 0;
	virtio_device_signal(&vsock->dev, VSOCK_TX);
}

static void completions_due(struct loop_timer *timer)
{
	struct vsock *vsock = container_of(timer, struct vsock, tx_timer);

	pthread_mutex_lock(&vsock->dev.lock);
	vsock_signal_completions(vsock);
	pthread_mutex_unlock(&vsock->dev.lock);
}

static void owe_completions(struct vsock *vsock, unsigned count)
{
	vsock->tx_unsignalled += count;
	if (vsock->tx_unsignalled * OWED_PART >= vsock->dev.queues[VSOCK_TX].size)
		vsock_signal_completions(vsock);
	else if (vsock->tx_unsignalled && !vsock->tx_timer.active)
		loop_timer_set(vsock->dev.loop, &vsock->tx_timer, clock_now_ns() + OWED_NS,
		               completions_due);
}

void vsock_transmit(struct vsock *vsock)
{
	struct virtqueue *tx = &vsock->dev.queues[VSOCK_TX];
	struct virtqueue_chain chain;
	struct error err = { 0 };
	unsigned done = 0;
	int got = 0;

	while (done < VIRTIO_TURN_MAX && (got = virtqueue_pop(tx, &chain, &err)) > 0) {
		handle_packet(vsock, &chain);
		virtqueue_push(tx, chain.head, 0);
		done++;
	}
	owe_completions(vsock, done);
	if (got < 0)
		virtio_device_fail(&vsock->dev, &err);
	else if (done == VIRTIO_TURN_MAX)
		virtio_device_again(&vsock->dev, VSOCK_TX);
}
