/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel.h - the connection to the VMM: requests come in, replies and events go out.
 * The agent's thread. Protocol: lib/proto.h, "agent".
 *
 * A request lives from its arrival to exactly one of: request_reply(), request_fail(), its timeout,
 * or the loss of the connection. The last two call request->cancel first. After any of them the
 * struct belongs to somebody else: a verb forgets it.
 */
#ifndef CLOCHE_GUEST_CHANNEL_H
#define CLOCHE_GUEST_CHANNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/wire.h"

struct agent;
struct channel; /* opaque */
struct request;

/* A verb of the protocol; the table of them is verbs.c. */
struct verb {
	const char *name;
	/* Replies at once, or keeps @request and sets its job and cancel. */
	void (*start)(struct agent *agent, struct request *request);
	uint32_t timeout_ms; /* the default */
	bool own_timeout;    /* the verb enforces request->timeout_ms itself */
};

/* The verb of that name, or NULL. */
const struct verb *verb_find(const char *name);

struct request {
	struct agent *agent;     /* borrowed */
	struct channel *channel; /* borrowed */
	json_int_t id;           /* 0: the slot is free */
	const struct verb *verb;
	struct wire_message message; /* what was asked */
	uint64_t started_ns;
	uint32_t timeout_ms;
	struct loop_timer timer;
	const char *waiting_for;                 /* for the timeout's message; a literal */
	void *job;                               /* the verb's own state */
	void (*cancel)(struct request *request); /* stops the work and frees the job; may be NULL */
};

/* Creates the channel and begins to connect, again and again until it works. 0 or -errno. */
int channel_create(struct agent *agent, struct channel **out_channel);

/* Cancels all requests and closes the connection; takes NULL. */
void channel_destroy(struct channel *channel);

enum channel_stage { STAGE_AGENT, STAGE_DISPLAY, STAGE_BROWSER, STAGES };
enum channel_process { PROCESS_XVFB, PROCESS_BROWSER, PROCESSES };

/* A stage was reached, now; said on this connection and on every later one. */
void channel_stage_reached(struct channel *channel, enum channel_stage stage);

/* A process that isn't restarted has ended; said on this connection and on every later one. */
void channel_process_died(struct channel *channel, enum channel_process process, int wait_status);

/* Calls @done (once, from the loop) when all that was queued is sent, or after 500 ms. */
void channel_drain(struct channel *channel, void (*done)(struct agent *agent));

/* Success; @members (owned, an object or NULL) and the blob (borrowed) go into the reply. */
void request_reply(struct request *request, json_t *members, const void *blob, size_t size);

/* Failure with a PROTO_ERR_ code. */
void request_fail(struct request *request, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Failure "bad_request" unless @code of @err says more: -ENOENT, -EACCES/-EPERM, else "failed". */
void request_fail_errno(struct request *request, const struct error *err);

/*
 * Members of a request. false: the reply "bad_request" that names the member has been sent and the
 * request is gone. An absent optional member leaves *out untouched.
 */
bool request_text(struct request *request, const char *name, bool required, const char **out_text);
bool request_flag(struct request *request, const char *name, bool *out_flag);
bool request_number(struct request *request, const char *name, bool required, json_int_t min,
                    json_int_t max, json_int_t *out_number);

#endif
