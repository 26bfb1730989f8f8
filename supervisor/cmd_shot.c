/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_shot.c - `cloche shot`: the screen as a PNG, read out of guest memory. Single thread.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/proto.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/parse.h"
#include "supervisor/shot.h"

static int shoot(struct invocation *inv, const char *name, const char *path,
                 const struct shot_wish *wish, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_shot struct shot shot = { 0 };
	bool to_stdout = strcmp(path, "-") == 0;
	json_t *answer;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    shot_save(&client, wish, path, &shot, failure) < 0)
		return -1;
	if (!inv->json) {
		fprintf(to_stdout ? stderr : stdout,
		        "%s  %ux%u  %zu bytes  hash %s  frame %s  %llu ms\n", path, shot.width,
		        shot.height, shot.png_size, shot.hash, shot.frame,
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
	struct shot_wish wish = { 0 };
	struct region area = { 0 };
	const char *region = NULL;
	const struct option options[] = {
		{ "region", 0, OPTION_STRING, &region, "X,Y,W,H",
		  "only this piece of the screen, in pixels", 0, 0 },
		{ "max-width", 0, OPTION_NUMBER, &wish.max_width, "N",
		  "made smaller to be at most so wide", 1, PROTO_DISPLAY_SIDE_MAX },
		{ "max-pixels", 0, OPTION_NUMBER, &wish.max_pixels, "N",
		  "made smaller to have at most so many pixels", 1, UINT32_MAX },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (region && parse_region("--region", region, &area, failure) < 0)
		return -1;
	wish.x = area.x;
	wish.y = area.y;
	wish.width = area.width;
	wish.height = area.height;
	if (strcmp(arguments.items[1], "-") == 0 && (inv->json || isatty(STDOUT_FILENO)))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "stdout is %s; name a file",
		                   inv->json ? "for the JSON answer" : "a terminal");
	return shoot(inv, arguments.items[0], arguments.items[1], &wish, failure);
}
