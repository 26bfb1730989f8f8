/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - what the agent is told: by the kernel command line and, outside a guest, by its own
 * arguments. Pure parsing; main thread, before anything runs.
 */
#ifndef CLOCHE_GUEST_OPTIONS_H
#define CLOCHE_GUEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

#define OPTIONS_URL_MAX 2048

struct options {
	char channel[108];          /* "vsock", or a unix socket's path without its _PORT */
	uint32_t width, height;     /* of the screen */
	bool root;                  /* exec may run as root */
	char page[OPTIONS_URL_MAX]; /* the first page */
	char home[256];             /* the user's home */
	char run[256];              /* the agent's own folder, on a tmpfs */
	char browser[256];          /* the browser's program */
	uint32_t display;           /* X display number */
	bool no_browser;            /* don't start one */
};

/* The defaults: a guest's. */
void options_init(struct options *options);

/*
 * Reads cloche.size=WxH, cloche.root=1 and cloche.page=URL out of a kernel command line; all else
 * in it is somebody else's. 0, or -EINVAL for the first bad value, which keeps its default; the
 * rest is read all the same.
 */
int options_parse_kernel(struct options *options, const char *line, struct error *err);

/*
 * Reads the agent's own arguments: --channel vsock|unix:PATH, --size, --root, --page, --home,
 * --run, --browser, --display, --no-browser. 0 or -EINVAL.
 */
int options_parse_arguments(struct options *options, int argc, char **argv, struct error *err);

/* "1280x800" within the protocol's limits. 0 or -EINVAL. */
int options_parse_size(const char *text, uint32_t *out_width, uint32_t *out_height,
                       struct error *err);

/*
 * True for a URL that a session may be sent to: http:, https:, data: and about:blank. Not
 * file:, chrome:, javascript: and the like, nor anything with white space before the scheme or
 * control characters anywhere, which browsers strip.
 */
bool options_url_allowed(const char *url);

#endif
