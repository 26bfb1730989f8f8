/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_clone.c - the device of a guest that was copied: restored from a snapshot, or forked.
 *
 * No connection outlives the copy: the host's ends belong to the original. So the driver is told of a
 * transport reset (virtio 1.2 §5.10.6.7), upon which it resets its sockets, and nothing is received or
 * sent before it has done so, as connections of before and after could have the same ports:
 *
 *	restore --> reset_owed --a buffer in the event queue--> reset_told --the driver adds a buffer--> free
 *
 * Linux returns the buffer to the queue when it has handled the event.
 *
 * Beyond that the device is shut until the guest's agent has acknowledged that it is a copy: requests
 * to anything but services of the VMM are held, and the host's clients wait to be accepted.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/virtio/vsock_device.h"

#define EVENT_TRANSPORT_RESET 0u /* §5.10.6.7 */

static struct vsock *vsock_of(struct virtio_device *dev)
{
	return container_of(dev, struct vsock, dev);
}

/* --- the transport reset ------------------------------------------------------------------------- */

static void tell_reset(struct vsock *vsock)
{
	struct virtqueue *events = &vsock->dev.queues[VSOCK_EVENT];
	const uint32_t event = htole32(EVENT_TRANSPORT_RESET);
	struct virtqueue_chain chain;
	struct error err = { 0 };
	int got = virtqueue_pop(events, &chain, &err);

	if (got < 0)
		virtio_device_fail(&vsock->dev, &err);
	if (got <= 0)
		return;
	size_t written = virtqueue_write(&chain, 0, &event, sizeof(event));
	virtqueue_push(events, chain.head, (uint32_t)written);
	vsock->reset_owed = false;
	vsock->reset_told = true;
	vsock->events_waiting = virtqueue_await_more(events);
	virtio_device_signal(&vsock->dev, VSOCK_EVENT);
}

bool vsock_clone_waits(struct vsock *vsock)
{
	if (vsock->reset_owed)
		tell_reset(vsock);
	if (vsock->reset_told &&
	    virtqueue_waiting(&vsock->dev.queues[VSOCK_EVENT]) != vsock->events_waiting)
		vsock->reset_told = false;
	return vsock->reset_owed || vsock->reset_told;
}

void vsock_clone_reset(struct vsock *vsock)
{
	vsock->reset_owed = vsock->reset_told = false;
	vsock->held_count = 0;
}

/* --- state --------------------------------------------------------------------------------------- */

static void put_ports(struct wire_writer *out, uint32_t host_port, uint32_t guest_port)
{
	wire_put_u32(out, host_port);
	wire_put_u32(out, guest_port);
}

/* The guest has asked for it and doesn't know yet what became of that. */
static bool is_unanswered(const struct vsock_conn *conn)
{
	return conn->tell & (VSOCK_TELL_RESPONSE | VSOCK_TELL_RESET);
}

/*
 * Linux resets its connected sockets, but not those that still wait for an answer to their request:
 * the copy refuses these. They are the requests that are held, the connections whose answer isn't sent
 * yet, and the refusals that aren't.
 */
void vsock_clone_save(const struct virtio_device *dev, struct wire_writer *out)
{
	const struct vsock *vsock = container_of(dev, struct vsock, dev);
	uint32_t count = vsock->held_count + vsock->reset_count;

	for (const struct vsock_conn *c = vsock->table.ready_head; c; c = c->ready_next)
		count += is_unanswered(c);
	wire_put_u64(out, vsock->guest_cid);
	wire_put_u32(out, count);
	for (unsigned i = 0; i < vsock->held_count; i++)
		put_ports(out, vsock->held[i].dst_port, vsock->held[i].src_port);
	for (unsigned i = 0; i < vsock->reset_count; i++) {
		const struct vsock_packet *p =
			&vsock->resets[(vsock->reset_first + i) % VSOCK_RESETS_MAX];

		put_ports(out, p->src_port, p->dst_port);
	}
	for (const struct vsock_conn *c = vsock->table.ready_head; c; c = c->ready_next)
		if (is_unanswered(c))
			put_ports(out, c->host_port, c->guest_port);
}

int vsock_clone_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	struct vsock *vsock = vsock_of(dev);
	uint64_t cid = wire_get_u64(in);
	uint32_t count = wire_get_u32(in), port = 0;

	for (uint32_t i = 0; i < count && !in->failed; i++) {
		uint32_t host_port = wire_get_u32(in);

		vsock_refuse(vsock, host_port, wire_get_u32(in));
	}
	if (cid != vsock->guest_cid)
		return error_set(err, -EINVAL, "vsock: its state is that of CID %llu",
		                 (unsigned long long)cid);
	/* Copies of one guest don't use the same ports. */
	if (getrandom(&port, sizeof(port), 0) != sizeof(port))
		return error_set(err, -errno, "getrandom: %s", strerror(errno));
	vsock->next_host_port = port | VSOCK_FIRST_HOST_PORT;
	vsock->reset_owed = (dev->status & VIRTIO_STATUS_DRIVER_OK) && !dev->needs_reset &&
	                    dev->queues[VSOCK_EVENT].active;
	return 0;
}

/* --- shut and open ------------------------------------------------------------------------------- */

static bool is_service(const struct vsock *vsock, uint32_t port)
{
	for (unsigned i = 0; i < vsock->service_count; i++)
		if (vsock->services[i].port == port)
			return true;
	return false;
}

bool vsock_clone_lets(const struct vsock *vsock, const struct vsock_packet *p)
{
	return !vsock->shut || is_service(vsock, p->dst_port);
}

static void forget_held(struct vsock *vsock, const struct vsock_packet *p)
{
	for (unsigned i = 0; i < vsock->held_count; i++)
		if (vsock->held[i].src_port == p->src_port &&
		    vsock->held[i].dst_port == p->dst_port) {
			vsock->held[i] = vsock->held[--vsock->held_count];
			return;
		}
}

bool vsock_clone_holds(struct vsock *vsock, const struct vsock_packet *p)
{
	if (vsock_clone_lets(vsock, p))
		return false;
	/* A second request, or the guest's change of mind, takes the place of the first. */
	forget_held(vsock, p);
	if (p->op != VSOCK_OP_REQUEST)
		return p->op == VSOCK_OP_RST;
	if (vsock->held_count == VSOCK_HELD_MAX)
		return false;
	vsock->held[vsock->held_count++] = *p;
	return true;
}

void virtio_vsock_shut(struct virtio_device *dev)
{
	struct vsock *vsock = vsock_of(dev);

	pthread_mutex_lock(&dev->lock);
	vsock->shut = true;
	listener_pause(&vsock->listener);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_vsock_open(struct virtio_device *dev)
{
	struct vsock *vsock = vsock_of(dev);

	pthread_mutex_lock(&dev->lock);
	vsock->shut = false;
	for (unsigned i = 0; i < vsock->held_count; i++)
		vsock_guest_connects(vsock, &vsock->held[i]);
	vsock->held_count = 0;
	listener_resume(&vsock->listener);
	vsock_deliver(vsock);
	pthread_mutex_unlock(&dev->lock);
}
