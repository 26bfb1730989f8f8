/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_act.c - `cloche act`: one action or a list of them, in the words of actions.h. Single thread.
 *
 * All are checked before the first is done. One that fails ends the list: those behind it answer
 * that they were not executed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/actions_list.h"
#include "supervisor/actions_perform.h"
#include "supervisor/options.h"
#include "supervisor/output.h"

#define CODE_NOT_EXECUTED "not_executed"

/* The command under way. */
struct act {
	struct invocation *inv;
	const char *name;     /* borrowed: the session's */
	const char *out_path; /* borrowed; --out, may be NULL */
	struct actor actor;
	json_t *results; /* owned: an answer for each action */
};

/* Reads the actions from stdin. *out_text is owned by the caller. */
static int read_stdin(char **out_text, size_t *out_size, struct failure *failure)
{
	cleanup_free char *text = malloc(ACTION_JSON_MAX + 1);
	size_t size;

	if (!text)
		return failure_set_nomem(failure);
	size = fread(text, 1, ACTION_JSON_MAX + 1, stdin);
	if (ferror(stdin) || size > ACTION_JSON_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   ferror(stdin) ? "cannot read the action from stdin"
		                                 : "what is on stdin is longer than 1 MiB");
	*out_text = steal_pointer(&text);
	*out_size = size;
	return 0;
}

static void print_text(const struct action *action, const json_t *answer)
{
	cleanup_free char *url = strdup(client_string(answer, "url"));
	cleanup_free char *title = strdup(client_string(answer, "title"));
	const json_t *coordinate = json_object_get(answer, "coordinate");
	const json_t *expect = json_object_get(answer, "expect");
	const char *file = client_string(answer, "file");

	printf("%s", action->name);
	if (coordinate)
		printf(" %lld,%lld", json_integer_value(json_array_get(coordinate, 0)),
		       json_integer_value(json_array_get(coordinate, 1)));
	if (url && title) {
		text_clean(url);
		text_clean(title);
		printf("%s%s%s%s%s", *url ? " " : "", url, *title ? " (" : "", title,
		       *title ? ")" : "");
	}
	if (*file)
		printf(" %s  frame %s", file, client_string(answer, "frame"));
	printf("  %lld ms", json_integer_value(json_object_get(answer, "ms")));
	if (expect)
		printf(", as expected after %lld of them",
		       json_integer_value(json_object_get(expect, "waited_ms")));
	putchar('\n');
}

/* To --out, else with --json into the answer, else to a file in the current folder. */
static void choose_file(struct act *act, const struct action_list *list, size_t index, char *path,
                        size_t size)
{
	if (list->is_array)
		snprintf(path, size, "%s-%zu.png", act->name, index + 1);
	else
		snprintf(path, size, "%s.png", act->name);
	act->actor.out_path = act->out_path ? act->out_path : act->inv->json ? NULL : path;
}

static void add_not_executed(struct act *act, const struct action *action)
{
	json_t *result = output_answer_new();
	struct failure failure = { 0 };

	failure_set(&failure, STATUS_FAILED, CODE_NOT_EXECUTED,
	            "not executed: an action before it has failed");
	json_object_set_new(result, "action", json_string(action->name));
	output_add_failure(result, &failure);
	json_array_append_new(act->results, result);
}

static int perform_all(struct act *act, const struct action_list *list, struct failure *failure)
{
	int rc = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct action *action = &list->items[i];
		char path[SESSION_NAME_MAX + 16];
		json_t *result;

		if (rc < 0) {
			add_not_executed(act, action);
			continue;
		}
		result = output_answer_new();
		json_array_append_new(act->results, result);
		choose_file(act, list, i, path, sizeof(path));
		rc = actor_perform(&act->actor, action, result, failure);
		if (rc < 0)
			output_add_failure(result, failure);
		else if (!act->inv->json)
			print_text(action, result);
	}
	return rc;
}

/* The list's own failure says which one it was. */
static int explain_list(const struct act *act, struct failure *failure)
{
	struct failure inner = *failure;
	size_t count = json_array_size(act->results);
	size_t done = 0;

	while (done < count &&
	       json_is_true(json_object_get(json_array_get(act->results, done), "ok")))
		done++;
	*failure = (struct failure){ .report = inner.report };
	return failure_set(failure, inner.status, inner.code, "action %zu of %zu: %s%s", done + 1,
	                   count, inner.message,
	                   done + 1 < count ? "; those after it were not executed" : "");
}

static int answer_json(struct act *act, bool is_array, int rc, const struct failure *failure)
{
	json_t *answer;

	if (is_array) {
		answer = output_answer_new();
		json_object_set(answer, "results", act->results);
		if (rc < 0)
			output_add_failure(answer, failure);
	} else {
		answer = json_incref(json_array_get(act->results, 0));
	}
	output_answer(answer);
	return rc < 0 ? failure->status : STATUS_OK;
}

/* Nothing is done when one of them can't be. */
static int check_all(struct act *act, const struct action_list *list, struct failure *failure)
{
	size_t pictures = 0;

	for (size_t i = 0; i < list->count; i++)
		pictures += list->items[i].effect == ACTION_SCREENSHOT;
	if (act->out_path && pictures > 1)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--out: names one file, and there are %zu pictures", pictures);
	if (actor_begin(&act->actor, failure) < 0)
		return -1;
	for (size_t i = 0; i < list->count; i++) {
		if (actor_check(&act->actor, &list->items[i], failure) < 0)
			return action_list_at(list, i, failure);
	}
	return 0;
}

static int run_actions(struct act *act, const struct action_list *list, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	int rc;

	if (session_open(act->name, &session, failure) < 0 ||
	    client_open(&client, &session, failure) < 0)
		return -1;
	act->actor.client = &client;
	if (check_all(act, list, failure) < 0)
		return -1;
	act->results = json_array();
	if (!act->results)
		return failure_set_nomem(failure);
	rc = perform_all(act, list, failure);
	if (rc < 0 && list->is_array)
		explain_list(act, failure);
	if (act->inv->json)
		rc = answer_json(act, list->is_array, rc, failure);
	json_decref(act->results);
	return rc;
}

static void print_vocabulary(void)
{
	printf("\nactions, one JSON object or an array of them; coordinates are pixels:\n");
	action_print_vocabulary(stdout);
}

static int print_schema(struct failure *failure)
{
	json_auto_t *schema = action_schema();
	cleanup_free char *text = json_dumps(schema, JSON_INDENT(1));

	if (!text)
		return failure_set_nomem(failure);
	if (output_write(STDOUT_FILENO, text, strlen(text), "stdout", failure) < 0 ||
	    output_write(STDOUT_FILENO, "\n", 1, "stdout", failure) < 0)
		return -1;
	return STATUS_OK;
}

int command_act(struct invocation *inv, struct failure *failure)
{
	struct act act = { .inv = inv };
	cleanup_action_list struct action_list list = { 0 };
	cleanup_free char *from_stdin = NULL;
	bool schema = false;
	const struct option options[] = {
		{ "out", 'o', OPTION_STRING, &act.out_path, "FILE",
		  "where a screenshot goes (default NAME.png; with --json: into the answer)", 0,
		  0 },
		{ "timeout", 0, OPTION_DURATION, &act.actor.timeout_ms, "TIME",
		  "how long the guest may take (default 60s to navigate, 30s and more for input)",
		  1, PROTO_TIMEOUT_MAX_MS },
		{ "schema", 0, OPTION_FLAG, &schema, NULL,
		  "print a JSON schema of the actions, and do nothing", 0, 0 },
	};
	struct arguments arguments;
	const char *text;
	size_t size;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 0, 2, false }, &arguments, failure);

	if (rc > 0) {
		print_vocabulary();
		return STATUS_OK;
	}
	if (rc < 0)
		return -1;
	if (schema)
		return print_schema(failure);
	if (arguments.count < 2)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "an argument is missing; usage: cloche act %s",
		                   inv->command->arguments);
	act.name = arguments.items[0];
	text = arguments.items[1];
	size = strlen(text);
	if (strcmp(text, "-") == 0) {
		if (read_stdin(&from_stdin, &size, failure) < 0)
			return -1;
		text = from_stdin;
	}
	if (action_list_parse(text, size, &list, failure) < 0)
		return -1;
	return run_actions(&act, &list, failure);
}
