/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_replay.c - `cloche replay`: a recording as a picture, a page, a film or a list. Single thread.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/progress.h"
#include "supervisor/recording_describe.h"
#include "supervisor/replay.h"

#define AT_MAX_MS (366ull * 24 * 3600 * 1000)
#define NOT_GIVEN UINT64_MAX
#define RATE_DEFAULT 10u
#define RATE_MAX 60u

struct request {
	uint64_t at_ms; /* NOT_GIVEN */
	const char *html, *mp4;
	uint64_t rate;
	bool list;
	const char *picture;
	int signal_fd;
};

/* --- --list ---------------------------------------------------------------------------------- */

static json_t *describe(const struct recording *recording)
{
	const struct recording_info *info = recording_info(recording);

	return json_pack("{s:s,s:I,s:I,s:b,s:b,s:I,s:I,s:I,s:I,s:i,s:i}", "name", info->header.name,
	                 "begun_ms", (json_int_t)(info->header.begun_ns / NS_PER_MS), "ms",
	                 (json_int_t)(info->duration_ns / NS_PER_MS), "whole", info->whole,
	                 "with_text", info->header.flags & RECORDING_WITH_TEXT, "frames",
	                 (json_int_t)info->frames, "actions", (json_int_t)info->actions, "tiles",
	                 (json_int_t)info->tiles, "bytes", (json_int_t)info->bytes, "width",
	                 (int)info->width, "height", (int)info->height);
}

static void print_head(const struct recording *recording)
{
	const struct recording_info *info = recording_info(recording);
	char bytes[PROGRESS_BYTES_SIZE];

	progress_format_bytes(info->bytes, bytes);
	printf("session %s  %.1f s  %ux%u  %llu frames  %llu actions  %s%s\n", info->header.name,
	       (double)info->duration_ns / 1e9, info->width, info->height,
	       (unsigned long long)info->frames, (unsigned long long)info->actions, bytes,
	       info->whole ? "" : "  (its end is missing)");
}

/* One line or member of the list. */
static void tell(const struct recording_event *event, json_t *list)
{
	char line[ACTION_LINE_SIZE];
	json_int_t ms = (json_int_t)(event->time_ns / NS_PER_MS);

	if (event->kind == RECORDING_ACTION) {
		recording_describe(event->text, event->text_size, line);
		if (list)
			json_array_append_new(list,
			                      json_pack("{s:I,s:s}", "ms", ms, "action", line));
		else
			printf("%10.3f  %s\n", (double)event->time_ns / 1e9, line);
	} else if (event->kind == RECORDING_FRAME) {
		if (list)
			json_array_append_new(list, json_pack("{s:I,s:I,s:I}", "ms", ms, "frame",
			                                      (json_int_t)event->number, "tiles",
			                                      (json_int_t)event->place_count));
		else
			printf("%10.3f  frame %llu  %zu tiles, %u new\n",
			       (double)event->time_ns / 1e9, (unsigned long long)event->number,
			       event->place_count, event->fields.tiles);
	} else if (list) {
		json_array_append_new(list,
		                      json_pack("{s:I,s:i,s:i}", "ms", ms, "width",
		                                (int)event->width, "height", (int)event->height));
	} else {
		printf("%10.3f  screen %ux%u\n", (double)event->time_ns / 1e9, event->width,
		       event->height);
	}
}

static int list(const struct invocation *inv, struct recording *recording, struct failure *failure)
{
	json_auto_t *events = inv->json ? json_array() : NULL;
	struct recording_event event;
	struct error err = { 0 };
	int ret;

	if (!inv->json)
		print_head(recording);
	while ((ret = recording_next(recording, &event, &err)) > 0)
		tell(&event, events);
	if (ret < 0)
		return replay_failed(&err, failure);
	if (inv->json) {
		json_t *answer = output_answer_new();

		json_object_update_new(answer, describe(recording));
		json_object_set(answer, "events", events);
		output_answer(answer);
	}
	return STATUS_OK;
}

/* --- the rest -------------------------------------------------------------------------------- */

static int save_picture(const struct invocation *inv, struct recording *recording,
                        const struct request *request, struct failure *failure)
{
	json_auto_t *answer = output_answer_new();

	/* Times are told in milliseconds: all that was within one belongs to it. */
	if (replay_picture(recording, (request->at_ms + 1) * NS_PER_MS - 1, request->picture,
	                   answer, failure) < 0)
		return -1;
	if (inv->json)
		output_answer(json_incref(answer));
	else
		fprintf(strcmp(request->picture, "-") == 0 ? stderr : stdout,
		        "%s  %lldx%lld  as it was from %.3f s on\n", request->picture,
		        (long long)json_integer_value(json_object_get(answer, "width")),
		        (long long)json_integer_value(json_object_get(answer, "height")),
		        (double)json_integer_value(json_object_get(answer, "frame_ms")) / 1000);
	return STATUS_OK;
}

static void tell_saved(const struct invocation *inv, const struct recording *recording,
                       const char *path)
{
	json_t *answer;

	if (!inv->json) {
		printf("%s  ", path);
		print_head(recording);
		return;
	}
	answer = output_answer_new();
	json_object_update_new(answer, describe(recording));
	json_object_set_new(answer, "file", json_string(path));
	output_answer(answer);
}

static int replay(const struct invocation *inv, const char *file, const struct request *request,
                  struct failure *failure)
{
	cleanup_recording struct recording *recording = NULL;
	struct error err = { 0 };
	int ret;

	if (recording_open(file, &recording, &err))
		return replay_failed(&err, failure);
	if (request->list)
		return list(inv, recording, failure);
	if (request->picture)
		return save_picture(inv, recording, request, failure);
	if (request->html)
		ret = replay_html(inv, recording, request->html, failure);
	else
		ret = replay_mp4(inv, recording, (unsigned)request->rate, request->mp4,
		                 request->signal_fd, failure);
	if (ret < 0)
		return -1;
	tell_saved(inv, recording, request->html ? request->html : request->mp4);
	return STATUS_OK;
}

/* Exactly one thing is asked for. */
static int check(const struct invocation *inv, const struct request *request,
                 struct failure *failure)
{
	bool has_at = request->at_ms != NOT_GIVEN;

	if (has_at + (request->html != NULL) + (request->mp4 != NULL) + request->list != 1)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "one of --at TIME out.png, --html, --mp4 and --list is needed");
	if (has_at != (request->picture != NULL))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--at and the picture's file go together: --at 12.5 out.png");
	if (request->picture && strcmp(request->picture, "-") == 0 &&
	    (inv->json || isatty(STDOUT_FILENO)))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "stdout is %s; name a file",
		                   inv->json ? "for the JSON answer" : "a terminal");
	return 0;
}

int command_replay(struct invocation *inv, struct failure *failure)
{
	struct request request = { .at_ms = NOT_GIVEN, .rate = RATE_DEFAULT, .signal_fd = -1 };
	const struct option options[] = {
		{ "at", 0, OPTION_DURATION, &request.at_ms, "TIME",
		  "the screen as it was so long after the beginning, into a PNG", 0, AT_MAX_MS },
		{ "html", 0, OPTION_STRING, &request.html, "FILE",
		  "a page that opens in any browser and needs nothing else", 0, 0 },
		{ "mp4", 0, OPTION_STRING, &request.mp4, "FILE", "a film; needs ffmpeg", 0, 0 },
		{ "rate", 0, OPTION_NUMBER, &request.rate, "N",
		  "pictures a second of the film (10)", 1, RATE_MAX },
		{ "list", 0, OPTION_FLAG, &request.list, NULL, "what is in it, on stdout", 0, 0 },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 2, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	request.picture = arguments.count > 1 ? arguments.items[1] : NULL;
	if (check(inv, &request, failure) < 0)
		return -1;
	if (request.mp4 && interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	request.signal_fd = signal_fd;
	rc = replay(inv, arguments.items[0], &request, failure);
	if (rc < 0)
		interrupt_obey(signal_fd);
	return rc;
}
