/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h - a known picture is waited for on a session's screen (cmd_watch.c). Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_WATCH_H
#define CLOCHE_SUPERVISOR_WATCH_H

#include "display/find.h"
#include "supervisor/client.h"
#include "supervisor/command.h"

/* Reads "picture.png" or "picture.png:mask.png"; *out_template is the caller's to destroy. */
int watch_load(const char *files, struct find_template **out_template, struct failure *failure);

struct watch_options {
	struct find_template *template; /* borrowed */
	const char *name;
	bool freeze, once;
};

/*
 * Watches until it is interrupted, the session ends, or with .once the picture was seen. Each time it comes
 * to stand on the screen, or somewhere else, the VMM is told, and a line is printed. 0: *out_seen says how
 * often; -1.
 */
int watch_run(const struct invocation *inv, struct client *client,
              const struct watch_options *options, int signal_fd, uint64_t *out_seen,
              struct failure *failure);

#endif
