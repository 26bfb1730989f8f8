/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host.h - how a port of the host is reached: vsock, or in tests a unix socket in its place.
 * The agent's thread; nothing blocks.
 */
#ifndef CLOCHE_GUEST_HOST_H
#define CLOCHE_GUEST_HOST_H

#include <stdint.h>

#include "guest/options.h"

/*
 * Begins a connection to @port of the host: AF_VSOCK CID 2, or the unix socket PATH_PORT (the name
 * that the VMM gives such a port on the host's side). The fd is non-blocking and owned by the
 * caller. 0: connected; -EINPROGRESS: when it is writable host_connect_result() knows more; both
 * set *out_fd. Any other -errno: no fd.
 */
int host_connect(const struct options *options, uint32_t port, int *out_fd);

/* 0 when the connection that began on @fd has been made, else the -errno it failed with. */
int host_connect_result(int fd);

#endif
