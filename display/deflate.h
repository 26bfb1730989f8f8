/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deflate.h - bytes to a zlib stream (RFC 1950) at the speed of a live screen. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_DEFLATE_H
#define CLOCHE_DISPLAY_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that deflate_pack() works in, beside data and result. */
extern const size_t deflate_work_size;

/* The most bytes that deflate_pack() makes of @size. */
size_t deflate_bound(size_t size);

/*
 * Packs the @size bytes at @data, less than 4 GiB, into @out, which has room for
 * deflate_bound(@size). @work: deflate_work_size zero bytes, aligned as malloc() aligns them. Bytes
 * of the stream. The same data gives the same stream on any processor with the same instructions.
 */
size_t deflate_pack(const void *data, size_t size, void *work, void *out);

#endif
