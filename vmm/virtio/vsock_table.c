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

bool vsock_table_has_host_port(const struct vsock_table *table, uint32_t host_port)
{
	for (unsigned i = 0; table->count > 0 && i < VSOCK_BUCKETS; i++)
		for (struct vsock_conn *conn = table->buckets[i]; conn; conn = conn->hash_next)
			if (conn->host_port == host_port)
				return true;
	return false;
}

struct vsock_conn *vsock_table_any(const struct vsock_table *table)
{
	if (table->draining)
		return table->draining;
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

static void drain_unlink(struct vsock_table *table, struct vsock_conn *conn)
{
	if (conn->drain_previous)
		conn->drain_previous->drain_next = conn->drain_next;
	else
		table->draining = conn->drain_next;
	if (conn->drain_next)
		conn->drain_next->drain_previous = conn->drain_previous;
}

static void bucket_unlink(struct vsock_table *table, struct vsock_conn *conn)
{
	struct vsock_conn **at = &table->buckets[bucket_of(conn->host_port, conn->guest_port)];

	while (*at != conn)
		at = &(*at)->hash_next;
	*at = conn->hash_next;
}

void vsock_table_remove(struct vsock_table *table, struct vsock_conn *conn)
{
	if (conn->state == VSOCK_DRAINING)
		drain_unlink(table, conn);
	else
		bucket_unlink(table, conn);
	vsock_table_unready(table, conn);
	table->count--;
}

void vsock_table_drain(struct vsock_table *table, struct vsock_conn *conn)
{
	bucket_unlink(table, conn);
	vsock_table_unready(table, conn);
	conn->state = VSOCK_DRAINING;
	conn->drain_previous = NULL;
	conn->drain_next = table->draining;
	if (conn->drain_next)
		conn->drain_next->drain_previous = conn;
	table->draining = conn;
}

void vsock_table_make_ready(struct vsock_table *table, struct vsock_conn *conn)
{
	if (conn->ready || !vsock_conn_has_work(conn))
		return;
	conn->ready = true;
	conn->ready_next = NULL;
	conn->ready_previous = table->ready_tail;
	if (table->ready_tail)
		table->ready_tail->ready_next = conn;
	else
		table->ready_head = conn;
	table->ready_tail = conn;
}

void vsock_table_unready(struct vsock_table *table, struct vsock_conn *conn)
{
	if (!conn->ready)
		return;
	if (conn->ready_previous)
		conn->ready_previous->ready_next = conn->ready_next;
	else
		table->ready_head = conn->ready_next;
	if (conn->ready_next)
		conn->ready_next->ready_previous = conn->ready_previous;
	else
		table->ready_tail = conn->ready_previous;
	conn->ready = false;
}
