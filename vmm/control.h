/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - control.sock: who may ask what of a running VM (lib/proto.h, "Control verbs").
 *
 * I/O thread only. A client is whoever may open the socket (mode 0600); what it sends is bounded by
 * lib/wire all the same, and a client that doesn't read is closed, not waited for.
 */
#ifndef CLOCHE_VMM_CONTROL_H
#define CLOCHE_VMM_CONTROL_H

#include <jansson.h>

#include "lib/error.h"

#define CONTROL_CLIENTS_MAX 32

struct control;
struct vm;

/*
 * Listens on @path, which must not exist; NULL: no socket, all calls below do nothing.
 * 0 or -errno; *out_control is owned by the caller.
 */
int control_create(struct vm *vm, const char *path, struct control **out_control,
                   struct error *err);

/* Closes all clients and removes the socket. Takes NULL. */
void control_destroy(struct control *control);

/* A stage was reached or lost: clients that wait for one are looked at again. Takes NULL. */
void control_notify(struct control *control);

/* The balloon has fresh statistics: clients that wait for them get them. Takes NULL. */
void control_notify_stats(struct control *control);

/* Remembers that a process of the guest has died ("died" event), for status. Takes NULL. */
void control_note_death(struct control *control, const json_t *event);

/* Sends @event (stolen; NULL: nothing) to all clients that have subscribed. Takes NULL. */
void control_publish(struct control *control, json_t *event);

/*
 * Tells them of @request, which is to act on the guest, without what was typed unless they asked for it.
 * @by: "agent" or "viewer". Takes NULL.
 */
void control_publish_action(struct control *control, const json_t *request, const char *by);

#endif
