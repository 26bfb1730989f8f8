/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_file.h - the host's side of a disk: a raw file or block device, locked for its session.
 *
 * Every call but open and close blocks as long as the host's storage takes. One thread at a time.
 */
#ifndef CLOCHE_VMM_VIRTIO_BLK_FILE_H
#define CLOCHE_VMM_VIRTIO_BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/error.h"

struct blk_file {
	int fd; /* owned */
	bool read_only;
	uint64_t size; /* bytes when it was opened, a multiple of 512, > 0 */
};

/*
 * Opens and locks @path (borrowed for the call): against every other user when it may be written,
 * else against those that write; QEMU's locks are honoured and honour ours. 0, or -errno with what
 * to do about it: no such file, no file or block device, an odd size, in use.
 */
int blk_file_open(const char *path, bool read_only, struct blk_file *out_file, struct error *err);

/* Closes, which unlocks. Takes one with fd -1. */
void blk_file_close(struct blk_file *file);

/*
 * Reads and writes all of @iov (which is used up) at @offset. 0 or -errno; -EIO also where the file
 * ends before. @stable: on the storage when it returns. The range lies within the file's size.
 */
int blk_file_read(const struct blk_file *file, struct iovec *iov, unsigned count, uint64_t offset);
int blk_file_write(const struct blk_file *file, struct iovec *iov, unsigned count, uint64_t offset,
                   bool stable);

/* All writes that have returned are on the storage when this does. 0 or -errno. */
int blk_file_flush(const struct blk_file *file);

/* The contents of a range aren't needed any more. 0 also where the host can't make use of that. */
int blk_file_discard(const struct blk_file *file, uint64_t offset, uint64_t size);

/* Makes a range read as zeros; with @unmap it may cost its space back. 0 or -errno. */
int blk_file_zero(const struct blk_file *file, uint64_t offset, uint64_t size, bool unmap);

#endif
