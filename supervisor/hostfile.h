/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostfile.h - a file on the host that appears whole or not at all.
 *
 * It is written without a name (or, where a file system can't, under a temporary one) and put in
 * its place at the end. Something that is no regular file, such as /dev/null or a FIFO, is written
 * to directly; a symbolic link is followed, and its target replaced. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_HOSTFILE_H
#define CLOCHE_SUPERVISOR_HOSTFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/failure.h"

struct hostfile {
	int fd;          /* owned: write here, in order */
	int folder_fd;   /* owned; -1 when written directly */
	char *path;      /* owned: the final one */
	char *temporary; /* owned: name in the folder, NULL while the file has none */
};

#define HOSTFILE_INIT                                                                              \
	{                                                                                          \
		.fd = -1, .folder_fd = -1                                                          \
	}

/* Begins the file that is to become @path. -1: STATUS_FAILED naming it. */
int hostfile_begin(const char *path, struct hostfile *out_file, struct failure *failure);

/* Gives it @mode (all bits as they are) and puts it in its place. */
int hostfile_commit(struct hostfile *file, mode_t mode, struct failure *failure);

/* Forgets what was not committed; takes a committed one, and an initialised one. */
void hostfile_finish(struct hostfile *file);
#define cleanup_hostfile __attribute__((cleanup(hostfile_finish)))

/* The mode of a file that nobody chose one for: 0666 without the umask. */
mode_t hostfile_default_mode(void);

#endif
