/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_snapshot.c - `cloche snapshot`: a running session into a file. Single thread.
 */
#include <stdio.h>

#include "lib/cleanup.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"
#include "supervisor/writer.h"

static void print_text(const char *file, const struct writer_result *result)
{
	const struct progress all = { .done = result->ram_bytes, .elapsed_ms = result->elapsed_ms };
	char bytes[PROGRESS_BYTES_SIZE];
	char ram[PROGRESS_BYTES_SIZE];
	char speed[PROGRESS_BYTES_SIZE];
	char ratio[PROGRESS_RATIO_SIZE];

	progress_format_bytes(result->file_bytes, bytes);
	progress_format_bytes(result->ram_bytes, ram);
	progress_format_bytes(progress_speed(&all), speed);
	progress_format_ratio(result->ram_bytes, result->file_bytes, ratio);
	printf("%s  %s of %s (%s)  %llu ms, %s/s  paused %.2f ms  id %s\n", file, bytes, ram, ratio,
	       (unsigned long long)result->elapsed_ms, speed, (double)result->pause_us / 1000,
	       result->id);
}

static void print_json(const char *name, const char *path, const struct writer_result *result)
{
	json_t *answer = output_answer_new();
	json_t *chunks = json_pack("{s:I,s:I,s:I,s:I}", "zero", (json_int_t)result->zero, "lz4",
	                           (json_int_t)result->lz4, "raw", (json_int_t)result->raw,
	                           "parent", (json_int_t)result->parent);

	json_object_update_new(answer, json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o}", "name", name,
	                                         "file", path, "id", result->id, "file_bytes",
	                                         (json_int_t)result->file_bytes, "ram_bytes",
	                                         (json_int_t)result->ram_bytes, "ms",
	                                         (json_int_t)result->elapsed_ms, "pause_us",
	                                         (json_int_t)result->pause_us, "chunks", chunks));
	output_answer(answer);
}

static int save(struct invocation *inv, char *const names[2], const char *parent_file,
                int signal_fd, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_free char *path = NULL;
	cleanup_free char *parent = NULL;
	struct writer_result result;

	if (plan_absolute_path(names[1], &path, failure) < 0 ||
	    (parent_file && plan_absolute_path(parent_file, &parent, failure) < 0) ||
	    session_open(names[0], &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0 ||
	    writer_save(inv, &client, path, parent, signal_fd, &result, failure) < 0)
		return -1;
	if (inv->json)
		print_json(session.name, path, &result);
	else
		print_text(names[1], &result);
	return STATUS_OK;
}

int command_snapshot(struct invocation *inv, struct failure *failure)
{
	const char *parent = NULL;
	const struct option options[] = {
		{ "parent", 0, OPTION_STRING, &parent, "FILE",
		  "save only what differs from this snapshot, which is needed ever after", 0, 0 },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	rc = save(inv, arguments.items, parent, signal_fd, failure);
	if (rc < 0)
		interrupt_obey(signal_fd);
	return rc;
}
