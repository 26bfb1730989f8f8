/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_client.h - what control.c (clients, requests in, replies out) and control_verbs.c (what
 * the requests do) know of each other. Nobody else includes it.
 */
#ifndef CLOCHE_VMM_CONTROL_CLIENT_H
#define CLOCHE_VMM_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "lib/listener.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/wire.h"
#include "vmm/control.h"

struct pending; /* control_verbs.c */

struct client {
	struct control *control;
	uint64_t number; /* 0: free slot; never used twice */
	struct wire_conn conn;
	struct loop_watch watch;
	unsigned pending;
	bool subscribed, with_text; /* to events; to those of actions with what was typed */
};

struct control {
	struct vm *vm;
	char *path; /* owned */
	struct listener listener;
	uint64_t next_number;
	struct client clients[CONTROL_CLIENTS_MAX];
	struct pending *waiting; /* owned: "wait" */
	struct pending *asking;  /* owned: "balloon", for statistics */
	json_t *deaths;          /* owned array */
	struct log_limit complaints, alerts;
};

/* NULL: it has gone. Valid until the loop runs on. */
struct client *control_find_client(struct control *control, uint64_t number);

/*
 * Sends @reply, which is owned here, with a copy of @blob and of @fd (-1: none). A client that can't
 * take it is closed; for NULL or one that was closed it is dropped.
 */
void control_answer(struct client *client, json_t *reply, const void *blob, size_t blob_size,
                    int fd);

/* Answers with an error: @code is one of proto.h's. */
void control_refuse(struct client *client, json_int_t id, const char *code, const char *message);

/* Does what @verb asks for, and answers now or later. False: there is no such verb. */
bool control_run_verb(struct client *client, const char *verb, json_int_t id,
                      const struct wire_message *message);

/*
 * A request whose answer comes later: control_complete() ends it, once, whether its client is still
 * there or not. NULL: it was refused, as too much is under way.
 */
struct pending *control_pend(struct client *client, json_int_t id);
void control_complete(struct pending *pending, json_t *reply, const void *blob, size_t blob_size,
                      int fd);
json_int_t control_pending_id(const struct pending *pending);

/* control_copies.c: the verbs that copy the VM. */
void control_verb_fork(struct client *client, json_int_t id, const struct wire_message *message);
void control_verb_snapshot(struct client *client, json_int_t id,
                           const struct wire_message *message);

/* control_watch.c: the verbs of those who watch. */
void control_verb_frames(struct client *client, json_int_t id, const struct wire_message *message);
void control_verb_subscribe(struct client *client, json_int_t id,
                            const struct wire_message *message);
void control_verb_alert(struct client *client, json_int_t id, const struct wire_message *message);
/* control_screen.c: the verbs about what is on the screen. */
void control_verb_screenshot(struct client *client, json_int_t id,
                             const struct wire_message *message);
void control_verb_settle(struct client *client, json_int_t id, const struct wire_message *message);
void control_verb_compare(struct client *client, json_int_t id, const struct wire_message *message);
/* control_viewers.c: viewers, and which of them has keyboard and pointer. */
void control_verb_viewer(struct client *client, json_int_t id, const struct wire_message *message);
void control_verb_control(struct client *client, json_int_t id, const struct wire_message *message);

/* Whether a person's control forbids the agent's @request, which is then refused. */
bool control_is_taken(struct client *client, json_int_t id, const json_t *request);

/* The session ends: whoever still waits is answered. */
void control_end_waits(struct control *control);

#endif
