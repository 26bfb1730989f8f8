/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keymap.h - which key of the X keyboard gives a keysym; spare keys are remapped for the rest.
 * The input worker's process; every call that asks the server blocks for its answer.
 */
#ifndef CLOCHE_GUEST_KEYMAP_H
#define CLOCHE_GUEST_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xcb/xcb.h>

struct keymap; /* opaque */

/* A key, and whether Shift must be down for the keysym wanted. */
struct stroke {
	uint8_t keycode;
	bool shift;
};

/* Reads the server's mapping. 0, -ENOMEM, or -EIO when the server is gone. */
int keymap_create(xcb_connection_t *conn, struct keymap **out_keymap);
void keymap_destroy(struct keymap *keymap);

/* Reads the mapping again: another client has changed it. 0 or as above. */
int keymap_reload(struct keymap *keymap);

/* Finds @keysym in the mapping as it is. */
bool keymap_find(const struct keymap *keymap, uint32_t keysym, struct stroke *out_stroke);

/*
 * Plans a batch: keymap_plan_begin(), then keymap_plan() for each keysym until it says -ENOSPC,
 * then keymap_commit(), then typing. Within a batch no key changes its meaning twice.
 *
 * keymap_plan(): 0, the keysym will be there after the commit; -ENOSPC, the batch is full.
 * keymap_plan_overwrites(): some key used in earlier batches will get a new meaning, so that
 * clients must have handled all earlier events before the commit.
 * keymap_commit(): true when the mapping was changed: clients must have noticed before typing.
 */
void keymap_plan_begin(struct keymap *keymap);
int keymap_plan(struct keymap *keymap, uint32_t keysym);
bool keymap_plan_overwrites(const struct keymap *keymap);
bool keymap_commit(struct keymap *keymap);

#endif
