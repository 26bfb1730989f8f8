/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_ls.c - `cloche ls`: every session, living or dead, a line each. Single thread.
 *
 * A session is a JSON object here; the table is drawn from the same objects that --json prints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/client.h"
#include "supervisor/facts.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/process.h"

#define STATUS_WAIT_MS 1000u
/*
 * A browser is waited for longer than its agent waits for a page that doesn't say whether it is in
 * front (1.5 s). But many that are stuck hold the list up only once.
 */
#define BROWSER_WAIT_MS 3000u
#define BROWSER_WAIT_LEAST_MS 100u
#define CELL_SIZE 320
#define BROWSER_WIDTH 60 /* columns, roughly: bytes */
#define ORIGIN_WIDTH 40

enum column { NAME, STATE, PID, MEM, CPUS, SIZE, UPTIME, TTL_LEFT, ORIGIN, BROWSER, COLUMNS };

static const char *const headings[COLUMNS] = { "NAME", "STATE",  "PID",      "MEM",    "CPUS",
	                                       "SIZE", "UPTIME", "TTL-LEFT", "ORIGIN", "BROWSER" };

struct row {
	char cells[COLUMNS][CELL_SIZE];
};

/* Asks the browser what it shows. Waiting in vain is taken off *@patience_ms. */
static void add_browser(struct client *client, json_t *entry, uint64_t *patience_ms)
{
	uint64_t begin = clock_now_ns();
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	struct failure ignored = { 0 };

	if (client_call_agent(client, json_pack("{s:s,s:s}", "verb", "browser", "op", "state"),
	                      NULL, 0, *patience_ms, &reply, &ignored) == 0) {
		json_object_set_new(entry, "browser",
		                    json_pack("{s:s,s:s}", "url",
		                              client_string(reply.object, "url"), "title",
		                              client_string(reply.object, "title")));
	} else {
		uint64_t left_ms = *patience_ms - BROWSER_WAIT_LEAST_MS;
		uint64_t spent_ms = (clock_now_ns() - begin) / NS_PER_MS;

		*patience_ms -= spent_ms < left_ms ? spent_ms : left_ms;
	}
	json_decref(ignored.report);
}

static void add_living(struct client *client, json_t *entry, const json_t *status,
                       uint64_t *patience_ms)
{
	static const char *const copied[] = { "state",     "cpus",    "memory_mib",
		                              "uptime_ms", "ttl_ms",  "stages",
		                              "agent",     "display", "deaths" };
	const json_t *stages = json_object_get(status, "stages");
	bool running = strcmp(client_string(status, "state"), "running") == 0;

	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(status, copied[i]);

		if (member)
			json_object_set(entry, copied[i], member);
	}
	json_object_set_new(entry, "pid", json_integer(client->peer));
	if (running && !json_object_get(stages, "agent_ms"))
		json_object_set_new(entry, "state", json_string("booting"));
	else if (running && json_object_get(stages, "browser_ms"))
		add_browser(client, entry, patience_ms);
}

static void add_dead(const struct session *session, json_t *entry)
{
	cleanup_fd int pidfd = -1;
	json_t *report = NULL;
	char why[300];

	/* A VMM that restores all of a guest's memory doesn't listen until it is there. */
	if (session_is_starting(session)) {
		json_object_set_new(entry, "state", json_string("starting"));
		return;
	}
	if (session_open_vmm(session, &pidfd) == 0) {
		json_object_set_new(entry, "state", json_string("unresponsive"));
		return;
	}
	session_explain_end(session, why, sizeof(why), &report);
	json_object_del(entry, "pid");
	json_object_set_new(entry, "state", json_string("dead"));
	json_object_set_new(entry, "why", json_string(why));
	if (report)
		json_object_set_new(entry, "report", report);
}

/* All that is known about a session. NULL: it is gone meanwhile, or isn't ours. */
static json_t *describe_session(const char *name, uint64_t *patience_ms)
{
	static const char *const copied[] = { "pid",   "cpus", "memory_mib", "size",
		                              "ttl_s", "page", "origin" };
	cleanup_session struct session session = SESSION_INIT;
	cleanup_client struct client client = CLIENT_INIT;
	json_auto_t *status = NULL;
	struct failure ignored = { 0 };
	json_t *entry;

	if (session_open(name, &session, &ignored) < 0)
		return NULL;
	entry = json_pack("{s:s,s:s}", "name", name, "state", "dead");
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(session.facts, copied[i]);

		if (member)
			json_object_set(entry, copied[i], member);
	}
	if (client_open(&client, &session, &ignored) == 0 &&
	    client_get_status(&client, STATUS_WAIT_MS, &status, &ignored) == 0)
		add_living(&client, entry, status, patience_ms);
	else
		add_dead(&session, entry);
	json_decref(ignored.report);
	return entry;
}

/* "4d 3h", "3h 05m", "5m 09s", "9s" */
static void format_time(json_int_t ms, char *out_text, size_t size)
{
	long long s = ms / 1000;

	if (s >= 86400)
		snprintf(out_text, size, "%lldd %lldh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(out_text, size, "%lldh %02lldm", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(out_text, size, "%lldm %02llds", s / 60, s % 60);
	else
		snprintf(out_text, size, "%llds", s);
}

/* Integer member @key into a cell, "-" when it isn't there. */
static void format_integer(const json_t *entry, const char *key, const char *suffix,
                           char out_cell[CELL_SIZE])
{
	json_int_t value = client_integer(entry, key, 0, INT64_MAX, -1);

	if (value >= 0)
		snprintf(out_cell, CELL_SIZE, "%lld%s", (long long)value, suffix);
	else
		strcpy(out_cell, "-");
}

static void format_times(const json_t *entry, struct row *row)
{
	json_int_t uptime = client_integer(entry, "uptime_ms", 0, INT64_MAX, -1);
	json_int_t ttl = client_integer(entry, "ttl_ms", 0, INT64_MAX, -1);

	strcpy(row->cells[UPTIME], "-");
	strcpy(row->cells[TTL_LEFT], uptime >= 0 ? "none" : "-");
	if (uptime >= 0)
		format_time(uptime, row->cells[UPTIME], CELL_SIZE);
	if (ttl >= 0)
		format_time(ttl, row->cells[TTL_LEFT], CELL_SIZE);
}

/* Cuts a cell at @bytes, between two characters, and marks that. */
static void cut_cell(char cell[CELL_SIZE], size_t bytes)
{
	if (strlen(cell) <= bytes)
		return;
	while (bytes > 0 && ((unsigned char)cell[bytes] & 0xc0) == 0x80)
		bytes--;
	strcpy(cell + bytes, output_is_utf8() ? "…" : "...");
}

static void format_browser(const json_t *entry, char out_cell[CELL_SIZE])
{
	const json_t *browser = json_object_get(entry, "browser");
	const char *why = client_string(entry, "why");
	const char *url = client_string(browser, "url");
	const char *title = client_string(browser, "title");

	if (*why)
		snprintf(out_cell, CELL_SIZE, "(%s)", why);
	else if (browser)
		snprintf(out_cell, CELL_SIZE - 4, "%s%s%s", url, *url && *title ? "  " : "", title);
	else
		strcpy(out_cell, "-");
	text_clean(out_cell);
	if (!*why)
		cut_cell(out_cell, BROWSER_WIDTH);
}

static void fill_row(const json_t *entry, struct row *row)
{
	snprintf(row->cells[NAME], CELL_SIZE, "%s", client_string(entry, "name"));
	snprintf(row->cells[STATE], CELL_SIZE, "%s", client_string(entry, "state"));
	snprintf(row->cells[SIZE], CELL_SIZE, "%s", client_string(entry, "size"));
	text_clean(row->cells[STATE]);
	text_clean(row->cells[SIZE]);
	format_integer(entry, "pid", "", row->cells[PID]);
	format_integer(entry, "memory_mib", "M", row->cells[MEM]);
	format_integer(entry, "cpus", "", row->cells[CPUS]);
	format_times(entry, row);
	facts_format_origin(entry, row->cells[ORIGIN], CELL_SIZE);
	cut_cell(row->cells[ORIGIN], ORIGIN_WIDTH);
	format_browser(entry, row->cells[BROWSER]);
}

static void print_table(const json_t *list)
{
	size_t count = json_array_size(list);
	struct row *rows = calloc(count + 1, sizeof(*rows));
	int widths[COLUMNS] = { 0 };

	for (size_t i = 0; rows && i <= count; i++) {
		for (int c = 0; i == 0 && c < COLUMNS; c++)
			snprintf(rows[0].cells[c], CELL_SIZE, "%s", headings[c]);
		if (i > 0)
			fill_row(json_array_get(list, i - 1), &rows[i]);
		for (int c = 0; c < COLUMNS; c++) {
			int width = (int)strlen(rows[i].cells[c]);

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (size_t i = 0; rows && i <= count; i++) {
		for (int c = 0; c < COLUMNS - 1; c++)
			printf("%-*s  ", widths[c], rows[i].cells[c]);
		printf("%s\n", rows[i].cells[COLUMNS - 1]);
	}
	free(rows);
}

int command_ls(struct invocation *inv, struct failure *failure)
{
	json_auto_t *list = json_array();
	uint64_t patience_ms = BROWSER_WAIT_MS;
	struct arguments arguments;
	char **names;
	size_t count;
	int rc = options_parse(inv, NULL, 0, (struct options_shape){ 0, 0, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (session_list(&names, &count, failure) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		json_t *entry = describe_session(names[i], &patience_ms);

		if (entry)
			json_array_append_new(list, entry);
	}
	session_free_names(names, count);
	if (inv->json) {
		json_t *answer = output_answer_new();

		json_object_set(answer, "sessions", list);
		output_answer(answer);
	} else {
		print_table(list);
	}
	return STATUS_OK;
}
