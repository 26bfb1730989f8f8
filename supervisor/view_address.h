/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_address.h - an address to serve at: parsed, judged, listened on, written into a URL.
 *
 * Numeric only, so that nothing is looked up. Any thread; no state.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_ADDRESS_H
#define CLOCHE_SUPERVISOR_VIEW_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "supervisor/failure.h"

#define VIEW_AUTHORITY_MAX 64 /* "[…]:65535" with its terminator */

struct view_address {
	struct sockaddr_storage storage; /* AF_INET or AF_INET6 */
	socklen_t size;
};

/*
 * "127.0.0.1:6080", "[::1]:6080"; port 0: the kernel chooses. 0, or -1 with a STATUS_USAGE failure
 * that begins with @what.
 */
int view_address_parse(const char *what, const char *text, struct view_address *out_address,
                       struct failure *failure);

/* True when only this host reaches it. */
bool view_address_is_loopback(const struct view_address *address);

/* What an URL has between its slashes and its path: "127.0.0.1:6080". */
void view_address_write(const struct view_address *address, char out[VIEW_AUTHORITY_MAX]);

/* Its port. */
unsigned view_address_port(const struct view_address *address);

/*
 * Listens there: *out_fd, non-blocking, is owned by the caller, and @address gets the port that it
 * became. -1: STATUS_FAILED.
 */
int view_address_listen(struct view_address *address, int *out_fd, struct failure *failure);

#endif
