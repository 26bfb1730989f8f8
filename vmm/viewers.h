/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viewers.h - people who look at the guest's screen through VNC, and the one of them who may type.
 *
 * Whoever may open vnc.sock (mode 0600) may look. Keyboard and pointer are one viewer's at a time: it is
 * given a lease by the session's owner (verb "control"), and has it until it is released, taken by another, or
 * the viewer leaves. While there is a holder, the agents of others are refused.
 *
 * I/O thread only, but for what is said of vnc.h's callbacks inside.
 */
#ifndef CLOCHE_VMM_VIEWERS_H
#define CLOCHE_VMM_VIEWERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

#define VIEWERS_MAX 16

struct viewers; /* opaque */
struct vm;

/*
 * Viewers may connect to @path, which must not exist; NULL: there is no socket, viewers_add() brings them.
 * 0 or -errno; *out_viewers is owned by the caller.
 */
int viewers_create(struct vm *vm, const char *path, struct viewers **out_viewers,
                   struct error *err);

/* Sends all away and removes the socket. Requests to the agent have ended. Takes NULL. */
void viewers_destroy(struct viewers *viewers);

/*
 * A viewer on the connected stream socket @fd, which is taken, on failure too; @may_control: it can be
 * given the lease. 0 with its number, which is never used again; -EAGAIN: there is no screen yet; -EBUSY:
 * there are VIEWERS_MAX; what vnc.h says.
 */
int viewers_add(struct viewers *viewers, int fd, bool may_control, uint64_t *out_number,
                struct error *err);

/*
 * Gives the lease to viewer @number; 0: to the only one, else to the newest that can have it. Who had it
 * loses it. 0 with the number; -ENOENT: there is none (with that number); -EPERM: it may only look.
 */
int viewers_take(struct viewers *viewers, uint64_t number, uint64_t *out_number, struct error *err);

/* Nobody has the lease any more. */
void viewers_release(struct viewers *viewers);

/* Whether a person holds keyboard and pointer. Takes NULL. */
bool viewers_are_in_control(const struct viewers *viewers);

/* {"viewers":[{…}],"holder":N?}, owned by the caller (proto.h, "control"). */
json_t *viewers_describe(const struct viewers *viewers);

/* Around a fork(2), whose child has none of the viewers but all of the library: see vnc.h. Both take NULL. */
void viewers_hold(struct viewers *viewers);
void viewers_go_on(struct viewers *viewers);

#endif
