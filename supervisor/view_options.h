/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_options.h - the command line of `cloche view`, read by cloche and again by cloche-view, which
 * it becomes. Single thread; no state.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_OPTIONS_H
#define CLOCHE_SUPERVISOR_VIEW_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/command.h"
#include "supervisor/view_address.h"

#define VIEW_VIEWERS_MAX 16u

struct view_options {
	const char *name; /* borrowed from argv */
	struct view_address address;
	uint64_t viewers; /* URLs that only show, at least 1 */
	bool control;     /* one URL more, that may ask for control */
	bool vnc;         /* no server: where an ordinary viewer connects */
	bool allow_remote;
};

#define VIEW_COMMAND_ARGUMENTS "NAME [option…]"
#define VIEW_COMMAND_SUMMARY "Shows the screen live, in your browser"
#define VIEW_COMMAND_DETAILS                                                                       \
	"Prints the page's address and serves it until Ctrl-C, or the session's end. Each\n"       \
	"address is one viewer's: opened once more, it moves there.\n"

/*
 * Parses inv->argv. 0: *out_options is set; 1: --help was asked for and has been printed; -1:
 * STATUS_USAGE.
 */
int view_options_parse(struct invocation *inv, struct view_options *out_options,
                       struct failure *failure);

#endif
