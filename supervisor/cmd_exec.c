/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_exec.c - `cloche exec`: a command in the guest, with its output and its exit status. Single
 * thread.
 *
 * The exit status is the command's; what goes wrong on the way to it has the statuses of
 * timeout(1) and the shell (failure.h), so that a script can tell the two apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/exec_status.h"
#include "supervisor/options.h"
#include "supervisor/output.h"

#define TIMEOUT_DEFAULT_MS 30000u

struct exec_options {
	uint64_t timeout_ms;
	struct option_list env;
	const char *cwd;
	bool root, with_stdin;
};

/* A command's input, read before it is sent. */
struct input {
	char *data; /* owned; NULL: none */
	size_t size;
};

static int read_stdin(struct input *out_input, struct failure *failure)
{
	cleanup_free char *data = malloc(WIRE_BLOB_MAX + 1);

	if (!data)
		return failure_set_nomem(failure);
	ssize_t n = read_full(STDIN_FILENO, data, WIRE_BLOB_MAX + 1);
	if (n < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot read stdin: %s",
		                   strerror((int)-n));
	if (n > (ssize_t)WIRE_BLOB_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "stdin is longer than 1 MiB; copy it as a file: cloche cp");
	*out_input = (struct input){ steal_pointer(&data), (size_t)n };
	return 0;
}

/* {"K":"V"} of the --env options. NULL: the failure says which is wrong. */
static json_t *make_environment(const struct option_list *list, struct failure *failure)
{
	json_t *env = json_object();

	for (size_t i = 0; env && i < list->count; i++) {
		const char *item = list->items[i];
		const char *equals = strchr(item, '=');
		cleanup_free char *name = equals ? strndup(item, (size_t)(equals - item)) : NULL;

		if (!name || !*name ||
		    json_object_set_new(env, name, json_string(equals + 1)) < 0) {
			failure_set(failure, STATUS_USAGE, CODE_USAGE,
			            "--env: '%.64s' is no NAME=VALUE in UTF-8", item);
			json_decref(env);
			return NULL;
		}
	}
	return env;
}

/* The exec request. NULL: the failure is filled. */
static json_t *make_request(const struct exec_options *o, char **argv, int argc,
                            struct failure *failure)
{
	json_auto_t *request = json_pack("{s:s}", "verb", "exec");
	json_t *list = json_array();
	json_t *env = make_environment(&o->env, failure);

	if (!env || json_object_set_new(request, "argv", list) < 0) {
		json_decref(env);
		if (!failure->status)
			failure_set_nomem(failure);
		return NULL;
	}
	json_object_set_new(request, "env", env);
	for (int i = 0; i < argc; i++) {
		if (json_array_append_new(list, json_string(argv[i])) == 0)
			continue;
		failure_set(failure, STATUS_USAGE, CODE_USAGE, "argument %d is not UTF-8", i);
		return NULL;
	}
	if (o->cwd && json_object_set_new(request, "cwd", json_string(o->cwd)) < 0) {
		failure_set(failure, STATUS_USAGE, CODE_USAGE, "--cwd: is not UTF-8");
		return NULL;
	}
	if (o->root)
		json_object_set_new(request, "root", json_true());
	return json_incref(request);
}

static void warn_if_cut(const json_t *reply, const char *kept, const char *total)
{
	json_int_t kept_bytes = client_integer(reply, kept, 0, INT64_MAX, 0);
	json_int_t total_bytes = client_integer(reply, total, 0, INT64_MAX, 0);

	if (total_bytes > kept_bytes)
		fprintf(stderr, "cloche: %s was cut: %lld of %lld bytes are shown\n", kept,
		        (long long)kept_bytes, (long long)total_bytes);
}

static int print_text(const struct wire_message *reply, size_t stdout_size, struct failure *failure)
{
	const char *blob = (const char *)reply->blob;

	if (output_write(STDOUT_FILENO, blob, stdout_size, "stdout", failure) < 0 ||
	    output_write(STDERR_FILENO, blob ? blob + stdout_size : NULL,
	                 reply->blob_size - stdout_size, "stderr", failure) < 0)
		return -1;
	warn_if_cut(reply->object, "stdout", "stdout_total");
	warn_if_cut(reply->object, "stderr", "stderr_total");
	if (json_is_true(json_object_get(reply->object, "timed_out")))
		fputs("cloche: the command's time was over; it was ended (--timeout)\n", stderr);
	return 0;
}

static int print_json(const struct wire_message *reply, size_t stdout_size, struct failure *failure)
{
	static const char *const copied[] = { "exit",        "signal",       "timed_out",
		                              "duration_ms", "stdout_total", "stderr_total" };
	const uint8_t *blob = reply->blob;
	json_t *answer = output_answer_new();

	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(reply->object, copied[i]);

		if (member)
			json_object_set(answer, copied[i], member);
	}
	if (!output_add_bytes(answer, "stdout", blob, stdout_size) ||
	    !output_add_bytes(answer, "stderr", blob ? blob + stdout_size : NULL,
	                      reply->blob_size - stdout_size)) {
		json_decref(answer);
		return failure_set_nomem(failure);
	}
	output_answer(answer);
	return 0;
}

static int print_reply(const struct invocation *inv, const struct wire_message *reply,
                       struct failure *failure)
{
	size_t out = (size_t)client_integer(reply->object, "stdout", 0, WIRE_BLOB_MAX, 0);
	size_t err = (size_t)client_integer(reply->object, "stderr", 0, WIRE_BLOB_MAX, 0);
	int status = exec_status_of_reply(reply->object);

	if (out + err != reply->blob_size || status < 0)
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "exec: the guest's answer makes no sense");
	if (inv->json ? print_json(reply, out, failure) < 0 : print_text(reply, out, failure) < 0)
		return -1;
	return status;
}

static int execute(struct invocation *inv, const struct exec_options *o,
                   const struct arguments *arguments, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	struct input input = { 0 };
	cleanup_free char *input_data = NULL;
	json_t *request;

	if (o->with_stdin && read_stdin(&input, failure) < 0)
		return -1;
	input_data = input.data;
	if (session_open(arguments->items[0], &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0)
		return -1;
	request = make_request(o, arguments->rest, arguments->rest_count, failure);
	if (!request)
		return -1;
	if (client_call_agent(&client, request, input.data, input.size, o->timeout_ms, &reply,
	                      failure) < 0)
		return -1;
	return print_reply(inv, &reply, failure);
}

int command_exec(struct invocation *inv, struct failure *failure)
{
	struct exec_options o = { .timeout_ms = TIMEOUT_DEFAULT_MS };
	const struct option options[] = {
		{ "timeout", 0, OPTION_DURATION, &o.timeout_ms, "TIME",
		  "end the command after this time (default 30s, at most 1h)", 1,
		  PROTO_TIMEOUT_MAX_MS },
		{ "env", 'e', OPTION_LIST, &o.env, "NAME=VALUE",
		  "set a variable in its environment; repeatable", 0, 0 },
		{ "cwd", 0, OPTION_STRING, &o.cwd, "FOLDER",
		  "where it starts (default: the user's home)", 0, 0 },
		{ "root", 0, OPTION_FLAG, &o.root, NULL,
		  "as root; only in a session of `cloche run --guest-root`", 0, 0 },
		{ "stdin", 'i', OPTION_FLAG, &o.with_stdin, NULL,
		  "give it all of stdin, up to 1 MiB (default: nothing)", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, true }, &arguments, failure);

	if (rc > 0)
		return STATUS_OK;
	if (rc == 0)
		rc = execute(inv, &o, &arguments, failure);
	if (rc < 0)
		failure->status = exec_status_of_failure(failure->status, failure->code);
	return rc;
}
