/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_options.c - see view_options.h. No state, single thread.
 */
#include "supervisor/view_options.h"

#include "supervisor/options.h"

#define LISTEN_DEFAULT "127.0.0.1:0"

/* The address, and that nobody but this host reaches it unless that was asked for. */
static int take_address(const char *text, struct view_options *found, struct failure *failure)
{
	if (view_address_parse("--listen", text, &found->address, failure) < 0)
		return -1;
	if (found->allow_remote || view_address_is_loopback(&found->address))
		return 0;
	return failure_set(failure, STATUS_USAGE, CODE_USAGE,
	                   "--listen: others could reach %.64s, and all that they see travels in "
	                   "the clear: use an ssh -L line, or add --allow-remote",
	                   text);
}

int view_options_parse(struct invocation *inv, struct view_options *out_options,
                       struct failure *failure)
{
	struct view_options found = { .viewers = 1 };
	const char *listen = LISTEN_DEFAULT;
	const struct option options[] = {
		{ "listen", 0, OPTION_STRING, &listen, "ADDRESS:PORT",
		  "where to serve (default 127.0.0.1, any free port)", 0, 0 },
		{ "viewers", 0, OPTION_NUMBER, &found.viewers, "N",
		  "how many viewers that only look (default 1)", 1, VIEW_VIEWERS_MAX },
		{ "control", 0, OPTION_FLAG, &found.control, NULL,
		  "one more viewer, who may take control", 0, 0 },
		{ "allow-remote", 0, OPTION_FLAG, &found.allow_remote, NULL,
		  "with --listen: an address that others reach", 0, 0 },
		{ "vnc", 0, OPTION_FLAG, &found.vnc, NULL,
		  "print where an ordinary VNC viewer connects, and end", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc;
	found.name = arguments.items[0];
	if (take_address(listen, &found, failure) < 0)
		return -1;
	*out_options = found;
	return 0;
}
