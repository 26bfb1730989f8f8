/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/vsock_table.h"

#include <stddef.h>

static unsigned bucket_of(uint32_t host_port, uint32_t guest_port)
{
	return (host_port * 31u + guest_port) % VSOCK_BUCKETS;
}

struct vsock_conn *vsock_table_find(const struct vsock_table *table, uint32_t host_port,
                                    uint32_t guest_port)
{
	struct vsock_conn *conn = table->buckets[bucket_of(host_port, guest_port)];

	while (conn && (conn->host_port != host_port || conn->guest_port != guest_port))
		conn = conn->hash_next;
	return conn;
}

struct vsock_conn *vsock_table_any(const struct vsock_table *table)
{
	for (unsigned i = 0; table->count > 0 && i < VSOCK_BUCKETS; i++)
		if (table->buckets[i])
			return table->buckets[i];
	return NULL;
}

void vsock_table_insert(struct vsock_table *table, struct vsock_conn *conn)
{
	struct vsock_conn **bucket = &table->buckets[bucket_of(conn->host_port, conn->guest_port)];

	conn->hash_next = *bucket;
	*bucket = conn;
	table->count++;
}

void vsock_table_remove(struct vsock_table *table, struct vsock_conn *conn)
{
	struct vsock_conn **at = &table->buckets[bucket_of(conn->host_port, conn->guest_port)];

	while (*at != conn)
		at = &(*at)->hash_next;
	*at = conn->hash_next;
	table->count--;
	vsock_table_unready(table, conn);
}

void vsock_table_make_ready(struct vsock_table *table, struct vsock_conn *conn)
{
	if (conn->ready || !vsock_conn_has_work(conn))
		return;
	conn->ready = true;
	conn->ready_next = NULL;
	if (table->ready_tail)
		table->ready_tail->ready_next = conn;
	else
		table->ready_head = conn;
	table->ready_tail = conn;
}

void vsock_table_unready(struct vsock_table *table, struct vsock_conn *conn)
{
	struct vsock_conn *previous = NULL;

	if (!conn->ready)
		return;
	for (struct vsock_conn *c = table->ready_head; c != conn; c = c->ready_next)
		previous = c;
	if (previous)
		previous->ready_next = conn->ready_next;
	else
		table->ready_head = conn->ready_next;
	if (table->ready_tail == conn)
		table->ready_tail = previous;
	conn->ready = false;
}
