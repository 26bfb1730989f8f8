/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template.h - resident templates: a snapshot's RAM as a raw file, for all sessions to map.
 *
 * FOLDER/ID.mem is the RAM, sparse, and behind it template_trailer.h. It is made once, by whoever
 * first needs it, with mode 0400, and never changes: guest_memory_map_file() maps it privately, and
 * what no session writes to is the same host memory for all of them. FOLDER belongs to this user
 * alone, and is best on a tmpfs. Any thread that may block; no state.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_TEMPLATE_H
#define CLOCHE_VMM_SNAPSHOT_TEMPLATE_H

#include "vmm/snapshot/blocks.h"

/*
 * Opens the template of @file: *out_fd is the caller's, *out_blocks says what to map of it.
 * 0; -ENOENT: there is none; -EBADMSG: what is there isn't what this cloche made of that snapshot
 * (no regular file, of another user, writable, of the wrong size, damaged trailer); -EPERM: @folder
 * isn't this user's alone; -errno. Doesn't read the RAM: a few system calls.
 */
int template_open(const char *folder, const struct snapshot_file *file, int *out_fd,
                  struct block_set *out_blocks, struct error *err);

/*
 * Makes the template unless a good one is there, in the place of one that isn't. One process builds
 * at a time in @folder; others wait for it, a minute at most (-EBUSY), and then use what it made.
 * 0; -errno: the snapshot's chunk that can't be read, no room. On failure there is no template, and
 * nothing else is left; a builder that is killed leaves nothing either, or, where the file system has
 * no O_TMPFILE, ".ID.partial", which the next one takes away.
 */
int template_build(const char *folder, const struct snapshot_file *file, struct error *err);

#endif
