/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent.h - the VMM's end of the channel to the guest's agent (lib/proto.h).
 *
 * I/O thread only. The guest is hostile: there is one channel at a time, what comes over it is
 * bounded by lib/wire, answers count only for requests that are open, and every request ends, by
 * its timeout if need be.
 */
#ifndef CLOCHE_VMM_AGENT_H
#define CLOCHE_VMM_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"
#include "lib/wire.h"

struct agent; /* opaque */

struct agent_handlers {
	void *arg;
	/* An event of the agent ("hello", "ready", "died"), as agent_event.h leaves it; borrowed. */
	void (*event)(void *arg, const char *name, const json_t *event);
	/* The channel is gone. */
	void (*lost)(void *arg);
	/*
	 * What a new channel's agent is asked before anything else: owned by the callee's caller, NULL for
	 * nothing. Until it has answered, agent_request() is refused. May be NULL.
	 */
	json_t *(*greeting)(void *arg);
	/* It has said ok to that. */
	void (*acknowledged)(void *arg);
};

/*
 * A request's end. @reply has "ok" and, when that is false, "error"; its "id" is the agent's and
 * means nothing to others. @blob comes with it. Both are borrowed.
 */
typedef void agent_done(void *arg, json_t *reply, const void *blob, size_t blob_size);

/* 0 or -errno; *out_agent is owned by the caller. */
int agent_create(struct loop *loop, const struct agent_handlers *handlers,
                 struct agent **out_agent);

/* Closes the channel; open requests end with PROTO_ERR_GONE. Takes NULL. */
void agent_destroy(struct agent *agent);

/* A guest connection to PROTO_PORT_AGENT (vsock service, @arg is the agent). Owns @fd. */
void agent_accept(void *arg, int fd);

/*
 * Sends @request (borrowed; an object with "verb"; its "id" is overwritten) with an optional blob.
 * @done is called exactly once, later or at once, with the reply or an error reply: not_ready
 * without an agent, busy beyond PROTO_REQUESTS_MAX, timeout after @timeout_ms, gone.
 */
void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg);

/* What "hello" said, as agent_event.h leaves it, or NULL before it; borrowed. */
const json_t *agent_hello(const struct agent *agent);

#endif
