/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template_trailer.h - what stands behind the RAM in a resident template's file.
 *
 *	magic[8] | u32 version | u32 block size | id[16] | u64 RAM size | u32 bytes of bits | u32 0 |
 *	bits: the blocks that aren't zero | u64 XXH3-64 of all that
 *
 * all little-endian. A template isn't portable, and another version of it is built anew, but what is
 * read may come from anywhere and is not trusted. No state, any thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_TEMPLATE_TRAILER_H
#define CLOCHE_VMM_SNAPSHOT_TEMPLATE_TRAILER_H

#include "vmm/snapshot/blocks.h"

#define TEMPLATE_TRAILER_HEAD 48u
#define TEMPLATE_TRAILER_MAX (TEMPLATE_TRAILER_HEAD + GUEST_BLOCKS_MAX / 8 + 8)

/* Bytes of the trailer of @ram_size (at most GUEST_MEMORY_MAX) bytes of RAM. */
size_t template_trailer_size(uint64_t ram_size);

/* Writes it: template_trailer_size() bytes. 0 or -ENOMEM. */
int template_trailer_encode(const struct snapshot_id *id, uint64_t ram_size,
                            const struct block_set *blocks,
                            uint8_t out_bytes[TEMPLATE_TRAILER_MAX]);

/*
 * Reads @size bytes, which must be the trailer of @id's template with @ram_size bytes of RAM.
 * 0; -EBADMSG with @err (which names no file) when they are anything else.
 */
int template_trailer_decode(const uint8_t *bytes, size_t size, const struct snapshot_id *id,
                            uint64_t ram_size, struct block_set *out_blocks, struct error *err);

#endif
