/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sock.h - unix stream sockets by path, with the checks that every caller would forget.
 *
 * Any thread; no state. All fds are O_CLOEXEC and non-blocking where it says so.
 */
#ifndef CLOCHE_LIB_SOCK_H
#define CLOCHE_LIB_SOCK_H

#include <stdbool.h>

#include "lib/error.h"

/*
 * Listens on a new unix stream socket at @path, mode 0600, non-blocking. -ENAMETOOLONG when the
 * path exceeds sun_path, -EADDRINUSE when something exists there (it is never removed), -errno.
 */
int sock_listen_unix(const char *path, int *out_fd, struct error *err);

/* Connects to @path, blocking until accepted or refused; the fd is blocking. 0 or -errno. */
int sock_connect_unix(const char *path, int *out_fd, struct error *err);

/* The same without blocking: -EAGAIN when the server's backlog is full; the fd is non-blocking. */
int sock_connect_unix_now(const char *path, int *out_fd, struct error *err);

/* Whether @fd, which may be anything that somebody has handed over, is a connected stream socket. */
bool sock_is_connected_stream(int fd);

#endif
