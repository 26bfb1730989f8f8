/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_rx.c - towards the guest: who sends next, and how bytes get from a socket into the guest's
 * receive buffers.
 *
 * Linux gives buffers of a page. One read a page would be a system call a page, so chains are popped
 * ahead into the stash, as many as the connection's appetite asks for; one recvmsg() fills their data
 * parts, and the headers follow when it is known how far it came. What is left over serves the next
 * connection; the rest goes back to the ring at the end of the turn.
 *
 * Fairness is by bytes: a visit sends at most what a connection's appetite allows (64 KiB), then it
 * stands at the end of the line. What it is to tell goes first, a packet a visit.
 *
 * The guest is interrupted at the end of each visit, if it wants that: with event indices it says so
 * only when it has taken all before.
 */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "vmm/virtio/vsock_device.h"

#define CLOSING_NS (10 * NS_PER_S)
#define IOV_COUNT VIRTQUEUE_SIZE_MAX

/* --- the stash ------------------------------------------------------------------------------- */

static int stash_pop(struct vsock *vsock, struct error *err)
{
	struct vsock_stash *stash = &vsock->stash;
	struct virtqueue_chain chain;
	int got = virtqueue_pop(&vsock->dev.queues[VSOCK_RX], &chain, err);

	if (got <= 0)
		return got;
	/* With room for the header alone, data could never be sent and would be tried for ever. */
	if (chain.writable_size <= VSOCK_HEADER_SIZE)
		return error_set(err, -EPROTO,
		                 "vsock: receive buffer of %llu bytes can't hold header and data",
		                 (unsigned long long)chain.writable_size);
	stash->chains[stash->count++] = (struct vsock_chain){
		.head = chain.head,
		.first = stash->buffers_used,
		.count = chain.writable,
		.size = chain.writable_size,
	};
	memcpy(stash->buffers + stash->buffers_used, chain.buffers + chain.readable,
	       chain.writable * sizeof(chain.buffers[0]));
	stash->buffers_used += chain.writable;
	return 1;
}

static bool stash_has_room(const struct vsock_stash *stash)
{
	return stash->count < VSOCK_STASH_CHAINS &&
	       stash->buffers_used + VSOCK_QUEUE_SIZE <= VSOCK_STASH_BUFFERS;
}

/*
 * Sees to it that there is a chain at hand, and that those at hand take @data bytes if the ring and
 * the stash do. 1; 0: the ring is empty, and the guest will tell of more; -EPROTO.
 */
static int stash_fill(struct vsock *vsock, uint32_t data, struct error *err)
{
	struct vsock_stash *stash = &vsock->stash;
	uint64_t room = 0;
	int got;

	if (stash->used == stash->count) {
		stash->used = stash->count = stash->buffers_used = 0;
		got = stash_pop(vsock, err);
		if (got <= 0)
			return got;
	}
	for (unsigned i = stash->used; i < stash->count; i++)
		room += stash->chains[i].size - VSOCK_HEADER_SIZE;
	while (room < data && stash_has_room(stash) &&
	       virtqueue_waiting(&vsock->dev.queues[VSOCK_RX]) > 0) {
		got = stash_pop(vsock, err);
		if (got < 0)
			return got;
		room += stash->chains[stash->count - 1].size - VSOCK_HEADER_SIZE;
	}
	return 1;
}

static void stash_return(struct vsock *vsock)
{
	struct vsock_stash *stash = &vsock->stash;

	virtqueue_unpop(&vsock->dev.queues[VSOCK_RX], stash->count - stash->used);
	stash->used = stash->count = stash->buffers_used = 0;
}

/* --- packets --------------------------------------------------------------------------------- */

/* Sends @p in the first chain of the stash, whose data part has its @p->len bytes already. */
static void send_packet(struct vsock *vsock, const struct vsock_packet *p)
{
	const struct vsock_chain *chain = &vsock->stash.chains[vsock->stash.used++];

	vsock_packet_put(vsock->stash.buffers + chain->first, chain->count, p);
	virtqueue_push(&vsock->dev.queues[VSOCK_RX], chain->head, VSOCK_HEADER_SIZE + p->len);
}

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
		.buf_alloc = conn->buffer_size,
		.fwd_cnt = conn->forwarded,
	};
}

/* Sends the most urgent of what the guest is to be told. */
static void send_tell(struct vsock *vsock, struct vsock_conn *conn)
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
	size_t i = 0;

	while (!(conn->tell & order[i].tell))
		i++;
	struct vsock_packet p = packet_for(vsock, conn, order[i].op);
	if (order[i].op == VSOCK_OP_SHUTDOWN)
		p.flags = conn->host_closed;
	conn->tell &= ~order[i].tell;
	send_packet(vsock, &p);
}

/* The data parts of the chains at hand, at most @limit bytes. The number of entries; their bytes. */
static int gather(const struct vsock_stash *stash, uint32_t limit, struct iovec *out_iov,
                  size_t *out_size)
{
	unsigned used = 0;
	size_t size = 0;

	for (unsigned i = stash->used; i < stash->count && size < limit; i++) {
		const struct vsock_chain *chain = &stash->chains[i];

		if (used + chain->count > IOV_COUNT)
			break;
		unsigned n =
			(unsigned)vsock_packet_data(stash->buffers + chain->first, chain->count,
		                                    (uint32_t)(limit - size), out_iov + used);
		for (unsigned end = used + n; used < end; used++)
			size += out_iov[used].iov_len;
	}
	*out_size = size;
	return (int)used;
}

/* One read of the socket, as many packets as it takes. Their number. */
static unsigned send_data(struct vsock *vsock, struct vsock_conn *conn, uint32_t limit)
{
	struct iovec iov[IOV_COUNT];
	unsigned packets = 0;
	size_t size;
	int count = gather(&vsock->stash, limit, iov, &size);
	size_t got = vsock_conn_to_guest(conn, iov, count, size);

	for (; got > 0; packets++) {
		uint64_t room = vsock->stash.chains[vsock->stash.used].size - VSOCK_HEADER_SIZE;
		struct vsock_packet p = packet_for(vsock, conn, VSOCK_OP_RW);

		p.len = got < room ? (uint32_t)got : (uint32_t)room;
		got -= p.len;
		send_packet(vsock, &p);
	}
	return packets;
}

/* --- turns ----------------------------------------------------------------------------------- */

/* After a visit: over, or a wait for the guest's answer, or in line again. */
static void after_visit(struct vsock *vsock, struct vsock_conn *conn, bool reset)
{
	if (reset) {
		vsock_retire(vsock, conn);
		return;
	}
	if (conn->host_closed == VSOCK_CLOSED && !conn->timer.active)
		vsock_host_set_deadline(conn, CLOSING_NS);
	vsock_conn_rearm(conn);
	vsock_table_make_ready(&vsock->table, conn);
}

/* Visits the first in line. 1; 0: the ring is empty; -EPROTO. *out_packets: how many went out. */
static int visit(struct vsock *vsock, unsigned *out_packets, struct error *err)
{
	struct vsock_conn *conn = vsock->table.ready_head;
	bool tells = conn->tell, resets = conn->tell & VSOCK_TELL_RESET;
	uint32_t limit = vsock_conn_credit(conn);

	/* While it stood in line the guest took its credit back; to read nothing looks like an end. */
	if (!vsock_conn_has_work(conn)) {
		vsock_table_unready(&vsock->table, conn);
		return 1;
	}
	if (limit > conn->appetite)
		limit = conn->appetite;
	int got = stash_fill(vsock, tells ? 0 : limit, err);
	if (got <= 0)
		return got;
	vsock_table_unready(&vsock->table, conn);
	*out_packets = tells ? 1 : send_data(vsock, conn, limit);
	if (tells)
		send_tell(vsock, conn);
	after_visit(vsock, conn, resets);
	return 1;
}

/* Sends one of the answers to packets of no connection; as visit(). */
static int send_reset(struct vsock *vsock, unsigned *out_packets, struct error *err)
{
	int got = stash_fill(vsock, 0, err);

	if (got <= 0)
		return got;
	send_packet(vsock, &vsock->resets[vsock->reset_first]);
	vsock->reset_first = (vsock->reset_first + 1) % VSOCK_RESETS_MAX;
	vsock->reset_count--;
	*out_packets = 1;
	return 1;
}

void vsock_deliver(struct vsock *vsock)
{
	struct error err = { 0 };
	unsigned sent = 0;
	int got = 1;

	if (vsock->dev.needs_reset || vsock->reset_pending || vsock_clone_waits(vsock))
		return;
	while (got > 0 && sent < VIRTIO_TURN_MAX &&
	       (vsock->reset_count || vsock->table.ready_head)) {
		unsigned packets = 0;

		got = vsock->reset_count ? send_reset(vsock, &packets, &err)
		                         : visit(vsock, &packets, &err);
		sent += packets;
		if (packets)
			virtio_device_signal(&vsock->dev, VSOCK_RX);
	}
	stash_return(vsock);
	if (got < 0)
		virtio_device_fail(&vsock->dev, &err);
	else if (got > 0 && (vsock->reset_count || vsock->table.ready_head))
		virtio_device_again(&vsock->dev, VSOCK_RX);
}
