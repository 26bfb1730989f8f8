/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_conn.h - one vsock stream: its unix socket, its buffer, its credit.
 *
 * Knows nothing of queues and packets: the device feeds it what the guest sent and asks what it has
 * for the guest. I/O thread only, under the device's lock.
 */
#ifndef CLOCHE_VMM_VIRTIO_VSOCK_CONN_H
#define CLOCHE_VMM_VIRTIO_VSOCK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/loop.h"

/*
 * Bytes that the guest may send ahead of what the host side has taken (our buf_alloc): what a
 * connection's buffer holds at most. The device decides which of the two a connection gets.
 */
#define VSOCK_BUFFER_SIZE (256u << 10)
#define VSOCK_BUFFER_SMALL (32u << 10)

enum vsock_state {
	VSOCK_HANDSHAKE, /* host client connected; its CONNECT line is awaited */
	VSOCK_REQUESTED, /* REQUEST is on its way to the guest */
	VSOCK_CONNECTED,
	VSOCK_ABORTED,  /* its socket is closed; the guest is still to be told */
	VSOCK_DRAINING, /* over for the guest; the host side still takes what is buffered */
};

/* The host client's first line, LF included. */
#define VSOCK_CONNECT_LINE_MAX 32

/* What the guest is still to be told; several may be pending. */
#define VSOCK_TELL_REQUEST 0x01u
#define VSOCK_TELL_RESPONSE 0x02u
#define VSOCK_TELL_CREDIT 0x04u
#define VSOCK_TELL_SHUTDOWN 0x08u
#define VSOCK_TELL_RESET 0x10u /* and then it is over for the guest */

/* Which ends are closed; the values are those of the SHUTDOWN packet's flags (§5.10.6.5). */
#define VSOCK_NO_RECEIVE 1u
#define VSOCK_NO_SEND 2u
#define VSOCK_CLOSED (VSOCK_NO_RECEIVE | VSOCK_NO_SEND)

struct vsock_conn {
	struct vsock_conn *hash_next;                   /* the table's */
	struct vsock_conn *ready_next, *ready_previous; /* the table's */
	struct vsock_conn *drain_next, *drain_previous; /* the table's */
	bool ready;                                     /* in the table's ready list */
	void *owner;                                    /* borrowed: the device */
	struct loop *loop;                              /* borrowed */
	struct loop_watch watch;
	struct loop_timer timer; /* handshake and closing deadlines */
	int fd;                  /* owned; -1 once it is aborted */
	uint32_t host_port, guest_port;
	enum vsock_state state;
	unsigned tell;
	char line[VSOCK_CONNECT_LINE_MAX]; /* what came of the CONNECT line */
	uint32_t line_used;

	/* guest -> host */
	uint32_t buffer_size; /* our buf_alloc */
	uint8_t *buffer;      /* owned ring of .buffer_size; NULL until needed */
	uint32_t buffer_start, buffer_used;
	uint32_t forwarded;      /* fwd_cnt: bytes the host side has taken */
	uint32_t forwarded_told; /* as the guest knows it */

	/* host -> guest */
	uint32_t peer_alloc, peer_forwarded, sent; /* the guest's credit */
	uint32_t appetite;                         /* bytes to ask the socket for in one go */
	bool readable;                             /* the socket may have more */
	bool ending;                               /* its end is in sight: read until it comes */
	bool unsure;  /* edges went by unseen: read until the socket says that it is empty */
	bool hung_up; /* the host side is gone altogether */
	unsigned host_closed;  /* VSOCK_NO_*: what the host side gave up */
	unsigned guest_closed; /* VSOCK_NO_*: what the guest gave up */
};

/*
 * Takes @fd (made non-blocking by the caller) and watches it; @ready is the watch's callback. NULL
 * without memory or watch; then @fd is closed.
 */
struct vsock_conn *vsock_conn_create(struct loop *loop, void *owner, int fd, enum vsock_state state,
                                     uint32_t buffer_size,
                                     void (*ready)(struct loop_watch *, uint32_t));

/* Closes the fd and frees it; takes NULL. */
void vsock_conn_destroy(struct vsock_conn *conn);

/* Closes the socket and drops what was under way; RESET is all that is still to be told. */
void vsock_conn_abort(struct vsock_conn *conn);

/*
 * Takes @size bytes that the guest sent, from @iov. 0, also when the host side takes nothing any
 * more: they are dropped then and VSOCK_TELL_SHUTDOWN is pending. -EPROTO when there is no room, so
 * the guest had no credit, or after its own end; -ENOMEM.
 */
int vsock_conn_from_guest(struct vsock_conn *conn, const struct iovec *iov, int count, size_t size);

/* Writes out what is buffered, until the socket is full; what nobody takes any more is dropped. */
void vsock_conn_flush(struct vsock_conn *conn);

/*
 * Reads for the guest into @iov, which has room for @size bytes, no more than its credit. > 0:
 * bytes; 0: nothing now (no data, or the end: then VSOCK_TELL_SHUTDOWN is pending).
 */
size_t vsock_conn_to_guest(struct vsock_conn *conn, const struct iovec *iov, int count,
                           size_t size);

/* Bytes that the guest can still take. */
uint32_t vsock_conn_credit(const struct vsock_conn *conn);

/* Something can be told or sent to the guest now. */
bool vsock_conn_has_work(const struct vsock_conn *conn);

/* The guest gave up @flags (VSOCK_NO_*). True: it has no use for the connection any more. */
bool vsock_conn_guest_shutdown(struct vsock_conn *conn, unsigned flags);

/* What the watch of a connected socket said (EPOLL*): reads and ends become work, writes are done. */
void vsock_conn_host_event(struct vsock_conn *conn, uint32_t events);

/* Sets the watch to what the state asks for; call after every change. */
void vsock_conn_rearm(struct vsock_conn *conn);

/*
 * Reads the host client's "CONNECT <port>\n" without taking a byte more. 1: *out_port is set;
 * 0: more is to come; -EPROTO: something else came, or the end.
 */
int vsock_conn_read_connect(struct vsock_conn *conn, uint32_t *out_port);

#endif
