/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_target.h - how a file takes its place: all at once and on the storage, or not at all.
 *
 * Written without a name (O_TMPFILE), then linked as ".NAME.partial" and renamed to NAME. File systems
 * without nameless files have ".NAME.partial" from the start. Whoever writes it holds a lock on it
 * (flock), so one that isn't locked was left by a writer that died, and is removed.
 *
 * One thread at a time, but file_target_write(): any.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_FILE_TARGET_H
#define CLOCHE_VMM_SNAPSHOT_FILE_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "lib/error.h"

struct file_target {
	const char *path; /* borrowed */
	int folder;       /* owned */
	int fd;           /* owned: the file in the making */
	bool has_name;    /* ".NAME.partial" is it */
	char name[NAME_MAX + 1], partial[NAME_MAX + 1];
};

#define FILE_TARGET_INIT                                                                           \
	{                                                                                          \
		.folder = -1, .fd = -1                                                             \
	}

/*
 * Opens a new, empty file that is to become @path, mode 0600; @target is FILE_TARGET_INIT and then,
 * on failure too, file_target_finish()'s. 0; -EBUSY: another one to the path is being written;
 * -EINVAL: the path's end is no name, or something else than a regular file has it; -errno.
 */
int file_target_open(struct file_target *target, const char *path, struct error *err);

/* What is in the place now. False: nothing. */
bool file_target_examine(const struct file_target *target, struct stat *out_stat);

/* Writes all that @iov holds at @offset; @iov is used up. 0 or -errno. */
int file_target_write(const struct file_target *target, struct iovec *iov, unsigned count,
                      uint64_t offset, struct error *err);

/* Has the kernel begin to bring what is written to the storage, so that less is left for the end. */
void file_target_hasten(const struct file_target *target);

/* The file is complete: to the storage with it, and into its place. Blocks. 0 or -errno. */
int file_target_commit(struct file_target *target, struct error *err);

/* Closes; what wasn't committed vanishes. */
void file_target_finish(struct file_target *target);

#endif
