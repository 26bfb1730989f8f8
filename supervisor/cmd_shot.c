/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_shot.c - `cloche shot`: the screen as a PNG, read out of guest memory. Single thread.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/shot.h"

static int shoot(struct invocation *inv, const char *name, const char *path,
                 struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_shot struct shot shot = { 0 };
	const struct shot_wish wish = { 0 };
	bool to_stdout = strcmp(path, "-") == 0;
	json_t *answer;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    shot_save(&client, &wish, path, &shot, failure) < 0)
		return -1;
	if (!inv->json) {
		fprintf(to_stdout ? stderr : stdout, "%s  %ux%u  %zu bytes  hash %s  %llu ms\n",
		        path, shot.width, shot.height, shot.png_size, shot.hash,
		        (unsigned long long)shot.taken_ms);
		return STATUS_OK;
	}
	answer = output_answer_new();
	json_object_set_new(answer, "file", json_string(path));
	shot_describe(&shot, answer);
	output_answer(answer);
	return STATUS_OK;
}

int command_shot(struct invocation *inv, struct failure *failure)
{
	struct arguments arguments;
	int rc = options_parse(inv, NULL, 0, (struct options_shape){ 2, 2, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (strcmp(arguments.items[1], "-") == 0 && (inv->json || isatty(STDOUT_FILENO)))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "stdout is %s; name a file",
		                   inv->json ? "for the JSON answer" : "a terminal");
	return shoot(inv, arguments.items[0], arguments.items[1], failure);
}
