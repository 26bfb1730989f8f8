/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_request.h - what a browser's request must be before it is answered, and the tokens.
 *
 * Pure functions over text that a stranger wrote: any page in the user's browser can make requests
 * to a port of this host. Such a page doesn't know a token; the checks of Host and Origin keep it
 * from using one that leaked, under a name of its own that it makes resolve to this host (DNS
 * rebinding) or from a page of its own.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_REQUEST_H
#define CLOCHE_SUPERVISOR_VIEW_REQUEST_H

#include <stdbool.h>

#include "lib/error.h"

#define VIEW_TOKEN_BYTES 16
#define VIEW_TOKEN_CHARS (2 * VIEW_TOKEN_BYTES)

/* A token as it stands in a URL, in lower-case hexadecimal. */
struct view_token {
	char text[VIEW_TOKEN_CHARS + 1];
};

/* Draws 128 bits from the kernel. 0 or -errno. */
int view_token_draw(struct view_token *out_token);

/*
 * True when the first VIEW_TOKEN_CHARS characters of @text, which are there, are the token. Takes as
 * long whatever the difference is.
 */
bool view_token_matches(const struct view_token *token, const char *text);

/* Where a path "/TOKEN/rest" has its token, or NULL when it can't have one. */
const char *view_request_token(const char *path);

/*
 * True when the header Host names this host by a number, or as localhost: names can be made to
 * resolve to anything, numbers can't. Unless @remote, the number is a loopback address. Any port: it
 * may be another one at the near end of an ssh -L line.
 */
bool view_request_host_ok(const char *host, bool remote);

/* True when the header Origin is our own page's, as the request's (checked) Host has it. */
bool view_request_origin_ok(const char *origin, const char *host);

#endif
