/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_address.c - see view_address.h. No state.
 */
#include "supervisor/view_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "supervisor/parse.h"

#define BACKLOG 16

static int bad_address(const char *what, const char *text, struct failure *failure)
{
	return failure_set(failure, STATUS_USAGE, CODE_USAGE,
	                   "%s: '%.64s' is no address; write 127.0.0.1:6080 or [::1]:6080", what,
	                   text);
}

/* Splits @text at its last colon, and takes brackets off. False when it has no such form. */
static bool split(const char *text, char *host, size_t size, bool *out_v6, const char **out_port)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool v6 = text[0] == '[';

	if (v6) {
		if (length < 3 || text[length - 1] != ']')
			return false;
		text++;
		length -= 2;
	}
	if (length == 0 || length >= size)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	*out_v6 = v6;
	*out_port = colon + 1;
	return true;
}

int view_address_parse(const char *what, const char *text, struct view_address *out_address,
                       struct failure *failure)
{
	struct view_address found = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&found.storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&found.storage;
	char host[INET6_ADDRSTRLEN];
	const char *port_text;
	uint64_t port;
	bool v6;

	if (!split(text, host, sizeof(host), &v6, &port_text) ||
	    inet_pton(v6 ? AF_INET6 : AF_INET, host,
	              v6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr) != 1)
		return bad_address(what, text, failure);
	if (parse_number(what, port_text, 0, UINT16_MAX, &port, failure) < 0)
		return -1;
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		found.size = sizeof(*in6);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		found.size = sizeof(*in);
	}
	*out_address = found;
	return 0;
}

bool view_address_is_loopback(const struct view_address *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

	if (address->storage.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	return ntohl(in->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

unsigned view_address_port(const struct view_address *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

	return ntohs(address->storage.ss_family == AF_INET6 ? in6->sin6_port : in->sin_port);
}

void view_address_write(const struct view_address *address, char out[VIEW_AUTHORITY_MAX])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
	bool v6 = address->storage.ss_family == AF_INET6;
	char host[INET6_ADDRSTRLEN] = "";

	inet_ntop(address->storage.ss_family,
	          v6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host,
	          sizeof(host));
	snprintf(out, VIEW_AUTHORITY_MAX, v6 ? "[%s]:%u" : "%s:%u", host,
	         view_address_port(address));
}

int view_address_listen(struct view_address *address, int *out_fd, struct failure *failure)
{
	cleanup_fd int fd =
		socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct view_address bound = *address;
	char authority[VIEW_AUTHORITY_MAX];
	int on = 1;

	view_address_write(address, authority);
	/* Reuse: connections of a server that has just ended don't keep its port from the next. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address->storage, address->size) < 0 ||
	    listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound.storage, &bound.size) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot listen on %s: %s",
		                   authority, strerror(errno));
	*address = bound;
	*out_fd = steal_fd(&fd);
	return 0;
}
