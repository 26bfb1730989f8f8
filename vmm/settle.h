/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.h - clients that wait until the screen stands still. I/O thread; each is a listener of the scan.
 */
#ifndef CLOCHE_VMM_SETTLE_H
#define CLOCHE_VMM_SETTLE_H

#include <jansson.h>
#include <stdint.h>

#include "display/rectangle.h"

struct settling; /* opaque: all who wait */
struct vm;

#define SETTLE_MAX 16 /* at once */

struct settle_wish {
	uint64_t quiet_ms, timeout_ms;
	struct rectangle area; /* what must stand still; .width 0: all of the screen */
};

/* The end of a wait: a reply without a usable id, owned by the callee. */
typedef void settle_done(void *arg, json_t *reply);

/* 0 or -errno; *out_settling is owned by the caller. */
int settling_create(struct vm *vm, struct settling **out_settling);

/* Whoever still waits is told that the session ends. Takes NULL. */
void settling_destroy(struct settling *settling);

/* @done is called exactly once, later or at once. Works while the guest is paused. */
void settle(struct settling *settling, const struct settle_wish *wish, settle_done *done,
            void *arg);

#endif
