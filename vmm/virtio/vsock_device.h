/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_device.h - the inside of the vsock device: what its files share. vsock.c has the theory.
 *
 * All of it I/O thread only, under the device's lock, but for what says otherwise.
 */
#ifndef CLOCHE_VMM_VIRTIO_VSOCK_DEVICE_H
#define CLOCHE_VMM_VIRTIO_VSOCK_DEVICE_H

#include "lib/listener.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_packet.h"
#include "vmm/virtio/vsock_table.h"

#define VSOCK_RX 0
#define VSOCK_TX 1
#define VSOCK_EVENT 2
#define VSOCK_QUEUE_SIZE 256

/* Answers to packets of no connection that may wait for receive buffers. */
#define VSOCK_RESETS_MAX 256
/* Receive chains at hand in one turn, and their buffers together. */
#define VSOCK_STASH_CHAINS 32
#define VSOCK_STASH_BUFFERS (2 * VSOCK_QUEUE_SIZE)
/* Requests of the guest that may wait while the device is shut. */
#define VSOCK_HELD_MAX 64
/* Host ports of connections that the host begins: from here to 2^32 - 1. */
#define VSOCK_FIRST_HOST_PORT 0x40000000u

struct vsock_service {
	uint32_t port;
	void (*accept)(void *arg, int fd);
	void *arg;
};

/* A receive chain: @count of the stash's buffers from @first on, with @size bytes. */
struct vsock_chain {
	uint16_t head;
	unsigned first, count;
	uint64_t size;
};

/* Chains popped from RX, not pushed yet: [used, count). Empty between turns. */
struct vsock_stash {
	struct vsock_chain chains[VSOCK_STASH_CHAINS];
	unsigned used, count;
	struct virtqueue_buffer buffers[VSOCK_STASH_BUFFERS];
	unsigned buffers_used;
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
	struct vsock_service services[VSOCK_SERVICES_MAX];
	unsigned service_count;

	struct vsock_table table;
	unsigned large_buffers; /* connections with VSOCK_BUFFER_SIZE */
	uint32_t next_host_port;

	struct vsock_stash stash;
	struct vsock_packet resets[VSOCK_RESETS_MAX]; /* a ring */
	unsigned reset_first, reset_count;

	struct loop_timer tx_timer; /* until TX's completions are signalled */
	unsigned tx_unsignalled;

	/* vsock_clone.c */
	bool shut;
	bool reset_owed,
		reset_told; /* the driver's connections are gone: it is to hear, it has heard */
	unsigned events_waiting; /* in the event queue when it was told */
	struct vsock_packet held[VSOCK_HELD_MAX];
	unsigned held_count;
};

/* --- vsock.c: connections --- */

/* Takes @fd into the table. NULL when there is no room; @fd is closed then. */
struct vsock_conn *vsock_add(struct vsock *vsock, int fd, enum vsock_state state,
                             uint32_t host_port, uint32_t guest_port);

/* Forgets it without a word to the guest. */
void vsock_drop(struct vsock *vsock, struct vsock_conn *conn);

/* It is over for the guest: forgets it, once the host side has taken what is buffered. */
void vsock_retire(struct vsock *vsock, struct vsock_conn *conn);

/* Closes it; the guest is told. What was under way is lost. Frees it if the guest never knew it. */
void vsock_abort(struct vsock *vsock, struct vsock_conn *conn);

/* --- vsock_rx.c: towards the guest --- */

/* A turn of the ready list; comes back by itself when it ends with work and buffers left. */
void vsock_deliver(struct vsock *vsock);

/* --- vsock_tx.c: from the guest --- */

/* A turn of the TX queue; comes back by itself like vsock_deliver(). */
void vsock_transmit(struct vsock *vsock);

/* Signals what is owed to TX now. */
void vsock_signal_completions(struct vsock *vsock);

/* Answers a packet of no connection with RST, when there is a receive buffer. */
void vsock_refuse(struct vsock *vsock, uint32_t host_port, uint32_t guest_port);

/* A REQUEST of the guest's: connects it, or refuses it. */
void vsock_guest_connects(struct vsock *vsock, const struct vsock_packet *p);

/* --- vsock_clone.c: the device of a copied guest --- */

/*
 * True while nothing may be received or sent, as the driver doesn't know yet that its connections are
 * gone; tells it when there is a buffer for that.
 */
bool vsock_clone_waits(struct vsock *vsock);

/* May the guest connect to where this REQUEST goes? Not everywhere while the device is shut. */
bool vsock_clone_lets(const struct vsock *vsock, const struct vsock_packet *p);

/* Keeps a packet of no connection until the device is opened. False: it isn't to be kept, or too many are. */
bool vsock_clone_holds(struct vsock *vsock, const struct vsock_packet *p);

int vsock_clone_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err);
void vsock_clone_save(const struct virtio_device *dev, struct wire_writer *out);

/* Forgets all of that: the driver has reset the device. */
void vsock_clone_reset(struct vsock *vsock);

/* --- vsock_host.c: the unix sockets --- */

/* Listens on .path, if there is one. 0 or -errno. */
int vsock_host_listen(struct vsock *vsock, struct error *err);

/* Connects to what serves host port @port: a service, or PATH_<port>. The fd or -1. */
int vsock_host_connect(struct vsock *vsock, uint32_t port);

/* The guest has answered a host client's request: tells it. False: it is gone. */
bool vsock_host_accepted(struct vsock_conn *conn);

/* The callback of connections' watches; it takes the lock. */
void vsock_host_ready(struct loop_watch *watch, uint32_t events);

/* A deadline of @conn's: then it is aborted. */
void vsock_host_set_deadline(struct vsock_conn *conn, uint64_t after_ns);

#endif
