/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - a session's control socket, asked from the command line (lib/proto.h, control verbs).
 *
 * One request at a time; every one has a deadline. A failure comes with the exit status that fits
 * it: the session is dead, not ready, or said no. Single thread; calls block.
 */
#ifndef CLOCHE_SUPERVISOR_CLIENT_H
#define CLOCHE_SUPERVISOR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/wire.h"
#include "supervisor/session.h"

struct client {
	const struct session *session; /* borrowed */
	struct wire_conn conn;
	json_int_t last_id;
	pid_t peer; /* the VMM's, by SO_PEERCRED */
	/* For who has more to watch than the socket; -1 and NULL for everybody else. */
	int interrupt_fd;     /* borrowed: a call fails with CODE_INTERRUPTED once it can be read */
	void (*tick)(void *); /* called several times a second while a call waits */
	void *tick_arg;       /* borrowed */
};

#define CLIENT_INIT                                                                                \
	{                                                                                          \
		.conn = { .fd = -1 }, .interrupt_fd = -1                                           \
	}

/* Takes a client that was only initialised, too. */
void client_close(struct client *client);
#define cleanup_client __attribute__((cleanup(client_close)))
#define cleanup_message __attribute__((cleanup(wire_message_finish)))

/*
 * Connects to @session, which must outlive the client; fills conn and peer, leaves the rest of an
 * initialised *@client alone. -1: STATUS_DEAD with the reason, or STATUS_TIMEOUT while it starts.
 */
int client_open(struct client *client, const struct session *session, struct failure *failure);

/*
 * Asks @request (stolen; without id) with its blob and waits for a reply that says ok: the answer
 * is expected within @timeout_ms, and is waited for a little longer than that. *out_reply is owned
 * by the caller. "timeout_ms" is added to the request. -1: no such reply.
 */
int client_call(struct client *client, json_t *request, const void *blob, size_t blob_size,
                uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure);

/* The same without a blob; @fd (borrowed) goes along. */
int client_call_with_fd(struct client *client, json_t *request, int fd, uint64_t timeout_ms,
                        struct wire_message *out_reply, struct failure *failure);

/* client_call() for a request to the guest's agent. */
int client_call_agent(struct client *client, json_t *request, const void *blob, size_t blob_size,
                      uint64_t timeout_ms, struct wire_message *out_reply, struct failure *failure);

/* Asks for the status; *out_status is owned by the caller. */
int client_get_status(struct client *client, uint64_t timeout_ms, json_t **out_status,
                      struct failure *failure);

/* The status's display geometry. -1: STATUS_TIMEOUT, there is none yet. */
int client_get_screen(struct client *client, uint32_t *out_width, uint32_t *out_height,
                      struct failure *failure);

/* Member @key of @object if it is an integer in @min..@max, else @fallback. */
json_int_t client_integer(const json_t *object, const char *key, json_int_t min, json_int_t max,
                          json_int_t fallback);

/* Member @key of @object if it is a string, else "". Borrowed from @object. */
const char *client_string(const json_t *object, const char *key);

#endif
