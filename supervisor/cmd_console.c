/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_console.c - `cloche console`: what the guest wrote to its serial console. Single thread.
 *
 * The log may be started anew by the VMM when it has grown too long; -f sees that it shrank.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/process.h"
#include "supervisor/session.h"

#define PIECE_SIZE ((size_t)64 << 10)
#define JSON_LOG_MAX ((size_t)16 << 20)
#define FOLLOW_MS 100u

/* Prints all from *@offset on. */
static int print_new(int fd, off_t *offset, struct failure *failure)
{
	char piece[PIECE_SIZE];
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size < *offset)
		*offset = 0;
	for (;;) {
		ssize_t n = pread(fd, piece, sizeof(piece), *offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot read the console log: %s", strerror(errno));
		if (n == 0)
			return 0;
		if (output_text(piece, (size_t)n, failure) < 0)
			return -1;
		*offset += n;
	}
}

static int follow(const struct session *session, int fd, struct failure *failure)
{
	cleanup_fd int pidfd = -1;
	off_t offset = 0;
	bool ended = session_open_vmm(session, &pidfd) < 0;

	for (;;) {
		/* Looked at once more after the end: its last words came before it. */
		if (print_new(fd, &offset, failure) < 0)
			return -1;
		if (ended)
			return STATUS_OK;
		ended = process_wait_ended(pidfd, FOLLOW_MS);
	}
}

/* The log as JSON text, bytes that are no UTF-8 replaced. */
static int print_json(int fd, struct failure *failure)
{
	cleanup_free char *text = malloc(JSON_LOG_MAX + 1);
	json_t *answer;
	ssize_t n;

	n = text ? pread(fd, text, JSON_LOG_MAX, 0) : -1;
	if (n < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot read the console log: %s", strerror(errno));
	answer = output_answer_new();
	if (!output_add_bytes(answer, "console", text, (size_t)n)) {
		json_decref(answer);
		return failure_set_nomem(failure);
	}
	output_answer(answer);
	return STATUS_OK;
}

int command_console(struct invocation *inv, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_fd int fd = -1;
	bool following = false;
	off_t offset = 0;
	const struct option options[] = {
		{ "follow", 'f', OPTION_FLAG, &following, NULL,
		  "go on with what is added, until the session ends", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, 1, (struct options_shape){ 1, 1, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (following && inv->json)
		return failure_set(
			failure, STATUS_USAGE, CODE_USAGE,
			"--follow has no end to put into one JSON object; leave one away");
	if (session_open(arguments.items[0], &session, failure) < 0)
		return -1;
	fd = session_open_file(&session, "console.log");
	if (fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "session '%s' has no console log (yet)", session.name);
	if (inv->json)
		return print_json(fd, failure);
	if (following)
		return follow(&session, fd, failure);
	return print_new(fd, &offset, failure) < 0 ? -1 : STATUS_OK;
}
