/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_table.h - the connections of one vsock device: by their ports, in line to send, draining.
 *
 * I/O thread only, under the device's lock. Invariants:
 *  V1  (host_port, guest_port) names at most one connection; one that is draining has no name any
 *      more.
 *  V2  a connection is in the ready list exactly when its .ready is set.
 */
#ifndef CLOCHE_VMM_VIRTIO_VSOCK_TABLE_H
#define CLOCHE_VMM_VIRTIO_VSOCK_TABLE_H

#include "vmm/virtio/vsock_conn.h"

#define VSOCK_BUCKETS 1024

struct vsock_table {
	struct vsock_conn *buckets[VSOCK_BUCKETS];
	unsigned count;                             /* named and draining ones */
	struct vsock_conn *ready_head, *ready_tail; /* who may send next */
	struct vsock_conn *draining;
};

/* The connection of these ports, or NULL. */
struct vsock_conn *vsock_table_find(const struct vsock_table *table, uint32_t host_port,
                                    uint32_t guest_port);

/* Is there a connection with this host port, whatever its guest port? Walks all of them. */
bool vsock_table_has_host_port(const struct vsock_table *table, uint32_t host_port);

/* Some connection, draining or not, or NULL when there is none. */
struct vsock_conn *vsock_table_any(const struct vsock_table *table);

/* Puts @conn in under its ports, which nobody else has. It stays the caller's. */
void vsock_table_insert(struct vsock_table *table, struct vsock_conn *conn);

/* Takes it out, of the ready list too. */
void vsock_table_remove(struct vsock_table *table, struct vsock_conn *conn);

/* Makes it a draining one (VSOCK_DRAINING): its ports are free for another. */
void vsock_table_drain(struct vsock_table *table, struct vsock_conn *conn);

/* Puts it at the end of the line, if it has something for the guest and isn't in it yet. */
void vsock_table_make_ready(struct vsock_table *table, struct vsock_conn *conn);

/* Takes it out of the line; does nothing when it isn't in it. */
void vsock_table_unready(struct vsock_table *table, struct vsock_conn *conn);

#endif
