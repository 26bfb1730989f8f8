/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_act.c - `cloche act`: one action, in the words of actions.h. Single thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/actions.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/shot.h"

#define ACTION_JSON_MAX ((size_t)64 << 10)
#define NAVIGATE_TIMEOUT_MS 60000u

/* One action under way. */
struct act {
	struct invocation *inv;
	struct action action;
	const char *out_path; /* borrowed; --out, may be NULL */
	uint64_t timeout_ms;  /* 0: the action's own */
	struct session session;
	struct client client;
	json_t *answer; /* owned */
};

/* Reads the action from stdin. *out_text is owned by the caller. */
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
		                                 : "the action on stdin is longer than 64 KiB");
	*out_text = steal_pointer(&text);
	*out_size = size;
	return 0;
}

static int do_input(struct act *act, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	uint64_t timeout_ms = act->timeout_ms ? act->timeout_ms : act->action.timeout_ms;
	uint32_t width;
	uint32_t height;

	if (act->action.has_point &&
	    (client_get_screen(&act->client, &width, &height, failure) < 0 ||
	     action_check_screen(&act->action, width, height, failure) < 0))
		return -1;
	if (timeout_ms > PROTO_TIMEOUT_MAX_MS)
		timeout_ms = PROTO_TIMEOUT_MAX_MS;
	if (client_call_agent(&act->client,
	                      json_pack("{s:s,s:O}", "verb", "input", "steps", act->action.steps),
	                      NULL, 0, timeout_ms, &reply, failure) < 0)
		return -1;
	if (act->action.has_point)
		json_object_set_new(act->answer, "coordinate",
		                    json_pack("[i,i]", (int)act->action.x, (int)act->action.y));
	return 0;
}

static int do_navigate(struct act *act, struct failure *failure)
{
	static const char *const copied[] = { "url", "title", "status" };
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (client_call_agent(&act->client,
	                      json_pack("{s:s,s:s,s:s}", "verb", "browser", "op", "navigate", "url",
	                                act->action.url),
	                      NULL, 0, act->timeout_ms ? act->timeout_ms : NAVIGATE_TIMEOUT_MS,
	                      &reply, failure) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(reply.object, copied[i]);

		if (member)
			json_object_set(act->answer, copied[i], member);
	}
	return 0;
}

static void do_wait(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000),
		                 .tv_nsec = (long)(ms % 1000 * NS_PER_MS) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* To --out, else as base64 into the JSON answer, else to NAME.png in the current folder. */
static int do_screenshot(struct act *act, struct failure *failure)
{
	cleanup_shot struct shot shot = { 0 };
	char path[SESSION_NAME_MAX + 8];
	const char *to = act->out_path;

	snprintf(path, sizeof(path), "%s.png", act->session.name);
	if (!to && !act->inv->json)
		to = path;
	if (to ? shot_save(&act->client, to, &shot, failure) < 0
	       : shot_take(&act->client, false, &shot, failure) < 0)
		return -1;
	if (to)
		json_object_set_new(act->answer, "file", json_string(to));
	shot_describe(&shot, act->answer);
	if (!to && !output_add_bytes(act->answer, "png", shot.png, shot.png_size))
		return failure_set_nomem(failure);
	return 0;
}

static int perform(struct act *act, const char *name, struct failure *failure)
{
	if (session_open(name, &act->session, failure) < 0 ||
	    client_open(&act->client, &act->session, failure) < 0)
		return -1;
	switch (act->action.effect) {
	case ACTION_INPUT:
		return do_input(act, failure);
	case ACTION_NAVIGATE:
		return do_navigate(act, failure);
	case ACTION_WAIT:
		do_wait(act->action.wait_ms);
		return 0;
	case ACTION_SCREENSHOT:
		return do_screenshot(act, failure);
	}
	return 0;
}

static void print_text(const struct act *act, uint64_t ms)
{
	cleanup_free char *url = strdup(client_string(act->answer, "url"));
	cleanup_free char *title = strdup(client_string(act->answer, "title"));
	const char *file = client_string(act->answer, "file");

	printf("%s", act->action.name);
	if (act->action.has_point)
		printf(" %u,%u", act->action.x, act->action.y);
	if (url && title) {
		text_clean(url);
		text_clean(title);
		printf("%s%s%s%s%s", *url ? " " : "", url, *title ? " (" : "", title,
		       *title ? ")" : "");
	}
	if (*file)
		printf(" %s", file);
	printf("  %llu ms\n", (unsigned long long)ms);
}

static int run_action(struct act *act, const char *name, struct failure *failure)
{
	uint64_t begin = clock_now_ns();
	uint64_t ms;
	int rc;

	act->answer = output_answer_new();
	json_object_set_new(act->answer, "action", json_string(act->action.name));
	rc = perform(act, name, failure);
	ms = (clock_now_ns() - begin) / NS_PER_MS;
	json_object_set_new(act->answer, "ms", json_integer((json_int_t)ms));
	if (rc == 0 && act->inv->json)
		output_answer(json_incref(act->answer));
	else if (rc == 0)
		print_text(act, ms);
	json_decref(act->answer);
	client_close(&act->client);
	session_finish(&act->session);
	return rc;
}

int command_act(struct invocation *inv, struct failure *failure)
{
	struct act act = { .inv = inv, .session = SESSION_INIT, .client = CLIENT_INIT };
	cleanup_free char *from_stdin = NULL;
	const struct option options[] = {
		{ "out", 'o', OPTION_STRING, &act.out_path, "FILE",
		  "where a screenshot goes (default NAME.png; with --json: into the answer)", 0,
		  0 },
		{ "timeout", 0, OPTION_DURATION, &act.timeout_ms, "TIME",
		  "how long the guest may take (default 60s to navigate, 30s and more for input)",
		  1, PROTO_TIMEOUT_MAX_MS },
	};
	struct arguments arguments;
	const char *text;
	size_t size;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 2, 2, false }, &arguments, failure);

	if (rc > 0) {
		printf("\nactions (coordinates are pixels, the names those of Anthropic's computer "
		       "tool):\n");
		action_print_vocabulary(stdout, "  ");
		return STATUS_OK;
	}
	if (rc < 0)
		return -1;
	text = arguments.items[1];
	size = strlen(text);
	if (strcmp(text, "-") == 0) {
		if (read_stdin(&from_stdin, &size, failure) < 0)
			return -1;
		text = from_stdin;
	}
	if (action_parse(text, size, &act.action, failure) < 0)
		return -1;
	rc = run_action(&act, arguments.items[0], failure);
	action_finish(&act.action);
	return rc;
}
