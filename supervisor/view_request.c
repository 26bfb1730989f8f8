/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_request.c - see view_request.h. No state.
 */
#include "supervisor/view_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define PORT_DIGITS_MAX 5u

int view_token_draw(struct view_token *out_token)
{
	unsigned char bytes[VIEW_TOKEN_BYTES];
	struct view_token token;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return errno ? -errno : -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token.text + 2 * i, 3, "%02x", bytes[i]);
	*out_token = token;
	return 0;
}

bool view_token_matches(const struct view_token *token, const char *text)
{
	volatile unsigned char difference = 0;

	for (size_t i = 0; i < VIEW_TOKEN_CHARS; i++)
		difference = difference | (unsigned char)(token->text[i] ^ text[i]);
	return difference == 0;
}

const char *view_request_token(const char *path)
{
	if (path[0] != '/' || strlen(path) < VIEW_TOKEN_CHARS + 2 ||
	    path[VIEW_TOKEN_CHARS + 1] != '/')
		return NULL;
	return path + 1;
}

/* ":PORT" or nothing. */
static bool is_port(const char *text)
{
	size_t digits;

	if (!*text)
		return true;
	if (*text != ':')
		return false;
	digits = strspn(text + 1, "0123456789");
	return digits > 0 && digits <= PORT_DIGITS_MAX && !text[1 + digits];
}

/* "ADDRESS" of @family as a number; a loopback one unless @remote. */
static bool is_address(int family, const char *text, size_t size, bool remote)
{
	char number[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;

	if (size >= sizeof(number))
		return false;
	memcpy(number, text, size);
	number[size] = '\0';
	if (family == AF_INET6)
		return inet_pton(AF_INET6, number, &v6) == 1 &&
		       (remote || IN6_IS_ADDR_LOOPBACK(&v6));
	return inet_pton(AF_INET, number, &v4) == 1 &&
	       (remote || ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET);
}

bool view_request_host_ok(const char *host, bool remote)
{
	static const char local[] = "localhost";
	size_t size;

	if (host[0] == '[') {
		size = strcspn(host, "]");
		return host[size] && is_port(host + size + 1) &&
		       is_address(AF_INET6, host + 1, size - 1, remote);
	}
	size = strcspn(host, ":");
	if (!is_port(host + size))
		return false;
	if (size == sizeof(local) - 1 && strncasecmp(host, local, size) == 0)
		return true;
	return is_address(AF_INET, host, size, remote);
}

bool view_request_origin_ok(const char *origin, const char *host)
{
	static const char scheme[] = "http://";

	return strncmp(origin, scheme, sizeof(scheme) - 1) == 0 &&
	       strcasecmp(origin + sizeof(scheme) - 1, host) == 0;
}
