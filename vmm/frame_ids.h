/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_ids.h - names for screens that clients have seen, so that they can ask later what has changed since.
 *
 * Any thread. A name is "%08x-%llu": a prefix that each VMM draws anew, a clone too, so that nobody's names
 * mean something to another; and a number. The hashes of the last FRAME_IDS_KEPT are kept, eight bytes a tile.
 */
#ifndef CLOCHE_VMM_FRAME_IDS_H
#define CLOCHE_VMM_FRAME_IDS_H

#include <stdint.h>

#include "display/grid.h"

#define FRAME_IDS_KEPT 64
#define FRAME_ID_SIZE 32 /* bytes of a name, NUL included */

struct frame_ids; /* opaque */

/* 0 or -errno; *out_ids is owned by the caller. */
int frame_ids_create(struct frame_ids **out_ids);

/* Takes NULL. */
void frame_ids_destroy(struct frame_ids *ids);

/* Names the screen with these tiles; one that is as the last that was named keeps its name. 0 or -ENOMEM. */
int frame_ids_give(struct frame_ids *ids, const struct grid *grid, const uint64_t *hashes,
                   char out_id[static FRAME_ID_SIZE]);

/*
 * What @id (any string) names. 0 with the tiles' hashes, which the caller frees; -ENOENT: nothing, or it has been
 * forgotten; -ENOMEM.
 */
int frame_ids_find(struct frame_ids *ids, const char *id, struct grid *out_grid,
                   uint64_t **out_hashes);

#endif
