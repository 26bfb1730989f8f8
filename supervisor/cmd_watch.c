/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_watch.c - `cloche watch`: waits for a known picture on a session's screen. Single thread.
 */
#include <string.h>

#include "lib/cleanup.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/watch.h"

#define NAME_MAX_BYTES 64u

static int watch(const struct invocation *inv, const char *name,
                 const struct watch_options *options, int signal_fd, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	uint64_t seen;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    watch_run(inv, &client, options, signal_fd, &seen, failure) < 0)
		return -1;
	if (options->once && seen == 0)
		return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED,
		                   "'%s' was not seen until the watch ended", options->name);
	return STATUS_OK;
}

/* What the VMM puts into its log. */
static int check_name(const char *name, struct failure *failure)
{
	size_t size = strlen(name);
	bool ok = size <= NAME_MAX_BYTES;

	for (size_t i = 0; i < size; i++)
		ok = ok && name[i] >= ' ' && name[i] <= '~';
	if (ok)
		return 0;
	return failure_set(failure, STATUS_USAGE, CODE_USAGE,
	                   "--name: up to %u printable ASCII characters", NAME_MAX_BYTES);
}

int command_watch(struct invocation *inv, struct failure *failure)
{
	struct watch_options watch_options = { 0 };
	const char *files = NULL;
	const struct option options[] = {
		{ "template", 0, OPTION_STRING, &files, "PNG[:MASK]",
		  "the picture; where MASK, as large, is dark it may look like anything", 0, 0 },
		{ "name", 0, OPTION_STRING, &watch_options.name, "NAME",
		  "what it is called in the log and the events", 0, 0 },
		{ "freeze", 0, OPTION_FLAG, &watch_options.freeze, NULL,
		  "freeze the session when it is seen", 0, 0 },
		{ "once", 0, OPTION_FLAG, &watch_options.once, NULL, "end when it was seen", 0, 0 },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (!files || !watch_options.name)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--template and --name are needed");
	if (check_name(watch_options.name, failure) < 0 ||
	    watch_load(files, &watch_options.template, failure) < 0)
		return -1;
	rc = interrupt_watch(&signal_fd, failure);
	if (rc == 0)
		rc = watch(inv, arguments.items[0], &watch_options, signal_fd, failure);
	find_destroy(watch_options.template);
	if (rc < 0)
		interrupt_obey(signal_fd);
	return rc;
}
