/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * touch_record.h - records in which order chunks are first touched, and writes it down once.
 *
 * One thread notes, another may look and end it; each call is short but the end, which writes a file.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_TOUCH_RECORD_H
#define CLOCHE_VMM_SNAPSHOT_TOUCH_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/snapshot/touch.h"

struct touch_record; /* opaque */

/* Records into @path (borrowed for the call) for @file (borrowed). 0 or -ENOMEM. */
int touch_record_create(const char *path, const struct snapshot_file *file,
                        struct touch_record **out_record);

/* @chunk was touched, at @now_ns. After the end: nothing. Any thread. */
void touch_record_note(struct touch_record *record, uint32_t chunk, uint64_t now_ns);

/* When the last chunk was noted, or the record created. Any thread. */
uint64_t touch_record_last_ns(const struct touch_record *record);

/*
 * Ends it and writes the order: what was noted, and behind it what @before has besides. Warns when
 * it can't be written. Once; blocks.
 */
void touch_record_end(struct touch_record *record, const struct touch_order *before);

/* Takes NULL; forgets a record that wasn't ended. */
void touch_record_destroy(struct touch_record *record);

#endif
