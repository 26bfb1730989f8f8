/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - see record.h. Single thread.
 */
#include "supervisor/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/output.h"
#include "supervisor/progress.h"
#include "supervisor/watching.h"

struct recorder {
	const struct invocation *inv; /* borrowed */
	const struct record_options *options;
	struct watching watching;
	struct recording_writer *writer;
	uint64_t begun_ns; /* CLOCK_MONOTONIC */
	bool full;         /* the file has reached its limit */
	struct error err;  /* why nothing more can be written */
};

static uint64_t now_realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* After a record: -1 stops. */
static int go_on(struct recorder *recorder, int ret)
{
	if (ret == -EFBIG ||
	    (ret == 0 && recording_written(recorder->writer).bytes >= recorder->options->max_bytes))
		recorder->full = true;
	return ret < 0 || recorder->full ? -1 : 0;
}

static int on_frame(struct frames *frames, void *arg)
{
	struct recorder *recorder = arg;

	return go_on(recorder, recording_put_frame(recorder->writer, frames->head.number,
	                                           frames->head.realtime_ns, &frames->picture,
	                                           &recorder->err));
}

/* A person's pointer on its way: what it does there is told with its place. */
static bool is_mere_motion(const json_t *event)
{
	const json_t *steps = json_object_get(event, "steps");
	bool motion =
		json_array_size(steps) > 0 && strcmp(client_string(event, "by"), "viewer") == 0;
	size_t i;
	json_t *step;

	json_array_foreach(steps, i, step) motion = motion && json_object_get(step, "move");
	return motion;
}

static int on_event(const json_t *event, void *arg)
{
	struct recorder *recorder = arg;
	uint64_t at = (uint64_t)client_integer(event, "realtime_ns", 1, INT64_MAX, 0);

	if (is_mere_motion(event))
		return 0;
	json_t *kept = json_copy((json_t *)event);
	json_object_del(kept, "realtime_ns");
	char *text = json_dumps(kept, JSON_COMPACT);
	if (text && strlen(text) > RECORD_ACTION_MAX) {
		json_object_del(kept, "steps");
		free(text);
		text = json_dumps(kept, JSON_COMPACT);
	}
	json_decref(kept);
	if (!text)
		return 0;
	int ret = recording_put_action(recorder->writer, at ? at : now_realtime_ns(), text,
	                               &recorder->err);
	free(text);
	return go_on(recorder, ret);
}

static void on_tick(void *arg)
{
	const struct recorder *recorder = arg;
	struct recording_written written = recording_written(recorder->writer);
	uint64_t elapsed_ms = (clock_now_ns() - recorder->begun_ns) / NS_PER_MS;
	const struct progress all = { .done = written.bytes, .elapsed_ms = elapsed_ms };
	char bytes[PROGRESS_BYTES_SIZE];
	char speed[PROGRESS_BYTES_SIZE];

	progress_format_bytes(written.bytes, bytes);
	progress_format_bytes(progress_speed(&all), speed);
	output_progress(recorder->inv, "recording  %llu s  %llu frames  %llu actions  %s  %s/s",
	                (unsigned long long)(elapsed_ms / 1000), (unsigned long long)written.frames,
	                (unsigned long long)written.actions, bytes, speed);
}

static int create(struct recorder *recorder, struct failure *failure)
{
	struct recording_header header = {
		.flags = recorder->options->with_text ? RECORDING_WITH_TEXT : 0,
		.begun_ns = now_realtime_ns(),
	};

	snprintf(header.name, sizeof(header.name), "%s", recorder->watching.client->session->name);
	int ret = recording_create(recorder->options->file, &header, &recorder->writer,
	                           &recorder->err);
	if (ret)
		return failure_set_error(failure, STATUS_FAILED,
		                         ret == -EEXIST ? CODE_EXISTS : CODE_HOST, NULL,
		                         &recorder->err);
	return 0;
}

static const char *explain(const struct recorder *recorder, int end)
{
	if (recorder->full)
		return "size";
	return end == WATCHING_INTERRUPTED ? "interrupted"
	       : end == WATCHING_EXPIRED   ? "duration"
	                                   : "session ended";
}

/* Writes the end. What was written is told, whatever comes of it. */
static int finish(struct recorder *recorder, int end, struct record_result *out_result,
                  struct failure *failure)
{
	*out_result = (struct record_result){
		.elapsed_ms = (clock_now_ns() - recorder->begun_ns) / NS_PER_MS,
		.reason = explain(recorder, end),
	};
	struct error err = { 0 };
	int ret = recording_finish(recorder->writer, now_realtime_ns(), &out_result->written, &err);
	recorder->writer = NULL;
	if (failure->status)
		return -1;
	if (recorder->err.code && recorder->err.code != -EFBIG)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "%s; what was recorded until then is kept", recorder->err.msg);
	if (ret)
		return failure_set_error(failure, STATUS_FAILED, CODE_HOST, NULL, &err);
	return 0;
}

int record_run(const struct invocation *inv, struct client *client,
               const struct record_options *options, int signal_fd,
               struct record_result *out_result, struct failure *failure)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	int ret = -1;

	if (!recorder)
		return failure_set_nomem(failure);
	*recorder = (struct recorder){ .inv = inv, .options = options, .begun_ns = clock_now_ns() };
	recorder->watching = (struct watching){
		.client = client,
		.signal_fd = signal_fd,
		.events = true,
		.with_text = options->with_text,
		.frame = on_frame,
		.event = on_event,
		.tick = on_tick,
		.arg = recorder,
		.fd = -1,
	};
	if (options->duration_ms)
		recorder->watching.deadline_ns =
			recorder->begun_ns + options->duration_ms * NS_PER_MS;
	/* The session first: no empty file is left of one that isn't. */
	if (watching_begin(&recorder->watching, failure) == 0 && create(recorder, failure) == 0) {
		int end = watching_run(&recorder->watching, failure);

		output_progress_clear(inv);
		ret = finish(recorder, end, out_result, failure);
	}
	watching_finish(&recorder->watching);
	free(recorder);
	return ret;
}
