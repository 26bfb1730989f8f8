/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_record.c - `cloche record`: a session's screen, and what is done to it, into a file. Single thread.
 */
#include <stdio.h>

#include "lib/cleanup.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/progress.h"
#include "supervisor/record.h"

#define MAX_SIZE_DEFAULT (1ull << 30)
#define MAX_SIZE_MAX (64ull << 30)
#define DURATION_MAX_MS (7ull * 24 * 3600 * 1000)

static void print_text(const char *file, const struct record_result *result)
{
	const struct progress all = { .done = result->written.bytes,
		                      .elapsed_ms = result->elapsed_ms };
	char bytes[PROGRESS_BYTES_SIZE];
	char speed[PROGRESS_BYTES_SIZE];

	progress_format_bytes(result->written.bytes, bytes);
	progress_format_bytes(progress_speed(&all), speed);
	printf("%s  %.1f s  %llu frames  %llu actions  %s  %s/s  (%s)\n", file,
	       (double)result->elapsed_ms / 1000, (unsigned long long)result->written.frames,
	       (unsigned long long)result->written.actions, bytes, speed, result->reason);
}

static void print_json(const char *name, const char *file, const struct record_result *result)
{
	json_t *answer = output_answer_new();

	json_object_update_new(answer, json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:s}", "name", name,
	                                         "file", file, "ms", (json_int_t)result->elapsed_ms,
	                                         "frames", (json_int_t)result->written.frames,
	                                         "actions", (json_int_t)result->written.actions,
	                                         "tiles", (json_int_t)result->written.tiles,
	                                         "file_bytes", (json_int_t)result->written.bytes,
	                                         "reason", result->reason));
	output_answer(answer);
}

static int record(struct invocation *inv, const char *name, const struct record_options *options,
                  int signal_fd, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	struct record_result result;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    record_run(inv, &client, options, signal_fd, &result, failure) < 0)
		return -1;
	if (inv->json)
		print_json(session.name, options->file, &result);
	else
		print_text(options->file, &result);
	return STATUS_OK;
}

int command_record(struct invocation *inv, struct failure *failure)
{
	struct record_options record_options = { .max_bytes = MAX_SIZE_DEFAULT };
	const struct option options[] = {
		{ "duration", 0, OPTION_DURATION, &record_options.duration_ms, "TIME",
		  "end after this time, such as 10m", 100, DURATION_MAX_MS },
		{ "max-size", 0, OPTION_BYTES, &record_options.max_bytes, "SIZE",
		  "end when the file has so many bytes (1G)", 0, MAX_SIZE_MAX },
		{ "with-text", 0, OPTION_FLAG, &record_options.with_text, NULL,
		  "keep what is typed, and whole URLs, among the actions", 0, 0 },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	record_options.file = arguments.items[1];
	if (interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	return record(inv, arguments.items[0], &record_options, signal_fd, failure);
}
