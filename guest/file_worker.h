/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_worker.h - what the forked half of the verb "file" does: one operation, as the user.
 */
#ifndef CLOCHE_GUEST_FILE_WORKER_H
#define CLOCHE_GUEST_FILE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_op { FILE_READ, FILE_WRITE, FILE_LIST, FILE_REMOVE, FILE_OPS };

/* A checked request; all pointers borrowed. */
struct file_task {
	unsigned int op;           /* enum file_op */
	const char *folder, *rest; /* see paths_split() */
	int64_t offset;
	size_t length; /* read: at most so many bytes */
	int mode;      /* write: -1 when not given */
	bool truncate;
	const uint8_t *data; /* write */
	size_t size;
};

/* Does @task, writes the reply as one wire.h message to @fd and exits. Blocks; never returns. */
void file_worker(const struct file_task *task, int fd) __attribute__((noreturn));

#endif
