/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start.c - see start.h. Single thread.
 *
 * Once the folder is made, a failure or a signal takes everything back: fail().
 */
#include "supervisor/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/facts.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"

#define CONNECT_TIMEOUT_MS 10000u
#define RELAY_TIMEOUT_MS 10000u
#define CONSOLE_LINES_MAX 20u
#define ORIGIN_SIZE 320

void start_finish(struct start *start)
{
	start_abort(start);
	session_finish(&start->session);
	json_decref(start->status);
	json_decref(start->page);
	start->status = NULL;
	start->page = NULL;
}

static void show_waiting(void *arg)
{
	const struct start *start = arg;

	output_progress(start->inv, "waiting for the %s  %.1f s", start->waiting_for,
	                (double)(clock_now_ns() - start->started_ns) / NS_PER_S);
}

uint64_t start_left_ms(const struct start *start)
{
	uint64_t now = clock_now_ns();

	return now < start->deadline_ns ? (start->deadline_ns - now) / NS_PER_MS + 1 : 1;
}

uint64_t start_elapsed_ms(const struct start *start)
{
	return (clock_now_ns() - start->started_ns) / NS_PER_MS;
}

int start_wait(struct start *start, const char *stage, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	start->waiting_for = stage;
	if (client_call(&start->client, json_pack("{s:s,s:s}", "verb", "wait", "for", stage), NULL,
	                0, start_left_ms(start), &reply, failure) < 0)
		return -1;
	json_decref(start->status);
	start->status = json_incref(reply.object);
	return 0;
}

static int join_relays(struct start *start, struct failure *failure)
{
	for (size_t i = 0; i < start->plan->relay_count; i++) {
		cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
		int port = start->plan->relays[i].port;

		if (client_call_agent(&start->client,
		                      json_pack("{s:s,s:i,s:i}", "verb", "relay", "port", port,
		                                "to", port),
		                      NULL, 0, RELAY_TIMEOUT_MS, &reply, failure) < 0)
			return -1;
	}
	return 0;
}

/*
 * The page is opened by us and not by the VMM's --page: then the relays are there before it, and a
 * page that can't be reached is an error with words.
 */
static int open_page(struct start *start, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (start_wait(start, "browser", failure) < 0)
		return -1;
	start->waiting_for = "page";
	if (client_call_agent(&start->client,
	                      json_pack("{s:s,s:s,s:s}", "verb", "browser", "op", "navigate", "url",
	                                start->plan->page),
	                      NULL, 0, start_left_ms(start), &reply, failure) < 0)
		return -1;
	start->page_ms = start_elapsed_ms(start);
	start->page = json_incref(reply.object);
	return 0;
}

/* A VMM that restores listens when its guest's memory is there, which may be all of it. */
static uint64_t connect_timeout_ms(const struct start *start)
{
	return start->plan->restore.file ? start_left_ms(start) : CONNECT_TIMEOUT_MS;
}

static int bring_up(struct start *start, struct failure *failure)
{
	if (launch_prepare(&start->session, start->plan, failure) < 0 ||
	    launch_start(&start->session, start->plan, &start->launch, failure) < 0)
		return -1;
	start->started_ns = start->launch.started_ns;
	start->client.interrupt_fd = start->signal_fd;
	start->client.tick = show_waiting;
	start->client.tick_arg = start;
	if (launch_connect(&start->session, start->launch.pidfd, &start->client,
	                   connect_timeout_ms(start), failure) < 0 ||
	    start_wait(start, "agent", failure) < 0 || join_relays(start, failure) < 0)
		return -1;
	if (start->plan->page && open_page(start, failure) < 0)
		return -1;
	start->total_ms = start_elapsed_ms(start);
	return 0;
}

/* --- how it ended --- */

/* The guest's last words, for a person. Without a report there are none. */
static void print_console(const json_t *report)
{
	const json_t *lines = json_object_get(report, "console");
	size_t count = json_array_size(lines);

	if (count)
		fputs("the guest's last lines:\n", stderr);
	for (size_t i = count > CONSOLE_LINES_MAX ? count - CONSOLE_LINES_MAX : 0; i < count; i++) {
		const char *line = json_string_value(json_array_get(lines, i));
		cleanup_free char *text = line ? strdup(line) : NULL;

		if (!text)
			continue;
		text_clean(text);
		fprintf(stderr, "  | %s\n", text);
	}
}

/* Takes everything back and returns -1. */
static int fail(struct start *start, struct failure *failure)
{
	output_progress_clear(start->inv);
	if (failure->status == STATUS_DEAD && !interrupt_has_come(start->signal_fd))
		launch_explain(&start->launch, failure);
	start_abort(start);
	if (!start->inv->json && !interrupt_has_come(start->signal_fd))
		print_console(failure->report);
	/* Nothing is left of the session, so nobody can be told that it is dead. */
	if (failure->status == STATUS_DEAD || failure->status == STATUS_TIMEOUT)
		failure->status = STATUS_FAILED;
	return -1;
}

int start_begin(struct start *start, const char *name, struct failure *failure)
{
	if (session_create(name, &start->session, failure) < 0)
		return -1;
	start->launch.session = &start->session;
	if (bring_up(start, failure) < 0)
		return fail(start, failure);
	output_progress_clear(start->inv);
	return 0;
}

void start_abort(struct start *start)
{
	client_close(&start->client);
	launch_abort(&start->launch);
}

void start_keep(struct start *start)
{
	launch_release(&start->launch);
}

/* --- the timeline --- */

#define STAGES_MAX 6
#define STAGE_AT_MAX ((json_int_t)1 << 32)

/* Stages in their order; "at" is milliseconds since the VMM was started. */
struct stage {
	const char *name, *key;
	json_int_t at;
};

static int compare_stages(const void *a, const void *b)
{
	json_int_t x = ((const struct stage *)a)->at;
	json_int_t y = ((const struct stage *)b)->at;

	return x < y ? -1 : x > y;
}

/* A restored session has its display before its agent answers. */
static size_t collect_stages(const struct start *start, struct stage out_stages[STAGES_MAX])
{
	const struct stage known[] = {
		{ start->plan->restore.file ? "memory" : "kernel", "entry_ms", 0 },
		{ "agent", "agent_ms", 0 },
		{ "display", "display_ms", 0 },
		{ "browser", "browser_ms", 0 },
	};
	const json_t *stages = json_object_get(start->status, "stages");
	json_int_t launched = (json_int_t)start->started_ns;
	json_int_t began =
		client_integer(start->status, "started_ns", launched, INT64_MAX, launched);
	/* What passed between our fork and the VMM's own first look at the clock. */
	json_int_t offset = (began - launched) / (json_int_t)NS_PER_MS;
	size_t count = 0;

	out_stages[count++] = (struct stage){ "vmm", "vmm_ms", offset };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		json_int_t at = client_integer(stages, known[i].key, 0, STAGE_AT_MAX, -1);

		if (at >= 0)
			out_stages[count++] =
				(struct stage){ known[i].name, known[i].key, at + offset };
	}
	if (start->page)
		out_stages[count++] =
			(struct stage){ "page", "page_ms", (json_int_t)start->page_ms };
	qsort(out_stages, count, sizeof(*out_stages), compare_stages);
	return count;
}

static void print_page(const json_t *page)
{
	cleanup_free char *title = strdup(client_string(page, "title"));
	cleanup_free char *url = strdup(client_string(page, "url"));

	if (!title || !url)
		return;
	text_clean(title);
	text_clean(url);
	printf("  showing %s%s%s%s\n", url, *title ? " (" : "", title, *title ? ")" : "");
}

/* How the guest's memory came, for a session that was restored; NULL when nobody knows. */
static const char *restore_mode(const struct start *start)
{
	static const char *const modes[] = { "template", "lazy", "eager" };
	const char *said = client_string(json_object_get(start->status, "origin"), "mode");

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(said, modes[i]) == 0)
			return modes[i];
	}
	return start->plan->restore.mode;
}

static void print_text(const struct start *start, const struct stage *stages, size_t count)
{
	json_int_t before = 0;

	printf("session %s is ready (pid %d)", start->session.name, (int)start->client.peer);
	if (start->plan->restore.file) {
		const char *mode = restore_mode(start);
		char origin[ORIGIN_SIZE];

		facts_format_origin(start->session.facts, origin, sizeof(origin));
		printf(", from %s%s%s%s", origin, mode ? " (" : "", mode ? mode : "",
		       mode ? ")" : "");
	}
	putchar('\n');
	for (size_t i = 0; i < count; i++) {
		printf("  %-8s %8lld ms  %+8lld\n", stages[i].name, (long long)stages[i].at,
		       (long long)(stages[i].at - before));
		before = stages[i].at;
	}
	if (start->page)
		print_page(start->page);
}

static void print_json(const struct start *start, const struct stage *stages, size_t count)
{
	json_t *answer = output_answer_new();
	json_t *times = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(times, stages[i].key, json_integer(stages[i].at));
	json_object_update_new(
		answer, json_pack("{s:s,s:I,s:s,s:o,s:I}", "name", start->session.name, "pid",
	                          (json_int_t)start->client.peer, "folder", start->session.path,
	                          "stages", times, "total_ms", (json_int_t)start->total_ms));
	json_object_set(answer, "origin", json_object_get(start->session.facts, "origin"));
	if (start->plan->restore.file && restore_mode(start))
		json_object_set_new(answer, "mode", json_string(restore_mode(start)));
	if (start->page)
		json_object_set_new(answer, "page",
		                    json_pack("{s:s,s:s}", "url", client_string(start->page, "url"),
		                              "title", client_string(start->page, "title")));
	output_answer(answer);
}

void start_print(const struct start *start)
{
	struct stage stages[STAGES_MAX];
	size_t count = collect_stages(start, stages);

	if (start->inv->json)
		print_json(start, stages, count);
	else
		print_text(start, stages, count);
}
