/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * touch.h - the order in which a restored guest first touched its RAM: what to load first.
 *
 *	magic[8] | u32 version | u32 chunk size | id[16] | u64 chunks of RAM | u32 count |
 *	count times u32 chunk | u64 XXH3-64 of all that
 *
 * all little-endian, each chunk at most once. It is a hint: a session without it, or with one that
 * isn't good, is slower, not wrong. What is read is not trusted. No state, any thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_TOUCH_H
#define CLOCHE_VMM_SNAPSHOT_TOUCH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/wire_fields.h"
#include "vmm/snapshot/file.h"

struct touch_order {
	uint32_t *chunks; /* owned; NULL when there are none */
	size_t count;
};

void touch_order_finish(struct touch_order *order);

/* Puts the file's bytes into @out, which the caller finishes; out->failed without memory. */
void touch_encode(const struct snapshot_id *id, uint64_t chunk_count,
                  const struct touch_order *order, struct wire_writer *out);

/*
 * Reads an order for the snapshot @id with @chunk_count chunks. 0, *out_order is the caller's to
 * finish; -EBADMSG with @err (which names no file): it is none, or for another; -ENOMEM.
 */
int touch_decode(const uint8_t *bytes, size_t size, const struct snapshot_id *id,
                 uint64_t chunk_count, struct touch_order *out_order, struct error *err);

/* The same from and to files. Reading: also -EINVAL: no regular file; -errno. Blocks. */
int touch_read(const char *path, const struct snapshot_id *id, uint64_t chunk_count,
               struct touch_order *out_order, struct error *err);

/* Takes the place of what is at @path, whole or not at all. 0, -ENOMEM, -errno. Blocks. */
int touch_write(const char *path, const struct snapshot_id *id, uint64_t chunk_count,
                const struct touch_order *order, struct error *err);

#endif
