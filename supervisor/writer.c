/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.c - see writer.h. Single thread.
 *
 * The writer is a child of the VMM, not of ours: it is held by a pidfd. That the pid is still its own
 * when the pidfd is opened is sure: it ends after its last word, which isn't read before.
 */
#include "supervisor/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"
#include "supervisor/process.h"

/* Memory that is still being loaded is waited for. */
#define ASK_TIMEOUT_MS 60000u
#define KILL_WAIT_MS 5000u
#define END_WAIT_MS 5000u
#define BYTES_MAX ((json_int_t)1 << 50)
#define PIECE_SIZE 4096

/* --- what it says --- */

void writer_stream_init(struct writer_stream *stream)
{
	*stream = (struct writer_stream){ 0 };
	wire_parser_init(&stream->lines);
}

void writer_stream_finish(struct writer_stream *stream)
{
	wire_parser_finish(&stream->lines);
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)client_integer(object, key, 0, BYTES_MAX, 0);
}

static int makes_no_sense(const char *what, struct failure *failure)
{
	return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
	                   "snapshot: the writer said something that makes no sense: %.200s", what);
}

static int take_refusal(const json_t *line, struct failure *failure)
{
	const json_t *error = json_object_get(line, "error");
	const char *message = client_string(error, "message");
	const char *code;
	int status = failure_status_of_code(client_string(error, "code"), &code);

	return failure_set(failure, status, code, "snapshot: %s",
	                   *message ? message : "the writer failed without a reason");
}

static int take_end(struct writer_stream *stream, const json_t *line, struct failure *failure)
{
	struct writer_result *result = &stream->result;
	const char *id = client_string(line, "id");

	if (strlen(id) != WRITER_ID_SIZE - 1 ||
	    strspn(id, "0123456789abcdef") != WRITER_ID_SIZE - 1)
		return makes_no_sense("an end without an id", failure);
	memcpy(result->id, id, WRITER_ID_SIZE);
	result->file_bytes = number(line, "file_bytes");
	result->zero = number(line, "zero");
	result->lz4 = number(line, "lz4");
	result->raw = number(line, "raw");
	result->parent = number(line, "parent");
	result->elapsed_ms = number(line, "elapsed_ms");
	result->ram_bytes = stream->progress.total;
	stream->ended = true;
	return 0;
}

static int take_line(struct writer_stream *stream, const json_t *line, struct failure *failure)
{
	const json_t *ok = json_object_get(line, "ok");

	if (json_is_true(ok))
		return take_end(stream, line, failure);
	if (json_is_false(ok))
		return take_refusal(line, failure);
	stream->progress = (struct progress){ .done = number(line, "done"),
		                              .total = number(line, "total"),
		                              .written = number(line, "written"),
		                              .elapsed_ms = number(line, "elapsed_ms") };
	return 0;
}

int writer_stream_push(struct writer_stream *stream, const void *data, size_t size,
                       struct failure *failure)
{
	struct error err = { 0 };

	if (stream->ended)
		return 0;
	if (wire_parser_push(&stream->lines, data, size, &err) < 0)
		return makes_no_sense(err.msg, failure);
	while (!stream->ended) {
		cleanup_message struct wire_message line = WIRE_MESSAGE_INIT;
		int rc = wire_parser_next(&stream->lines, &line, &err);

		if (rc < 0)
			return makes_no_sense(err.msg, failure);
		if (rc == 0)
			return 0;
		if (take_line(stream, line.object, failure) < 0)
			return -1;
	}
	return 0;
}

/* --- following it --- */

/* The snapshot under way. */
struct save {
	const struct invocation *inv;
	int fd;        /* owned: our end */
	int pidfd;     /* owned: the writer's process */
	int signal_fd; /* borrowed */
	const char *path;
	struct writer_stream stream;
};

static void show(const struct save *save)
{
	char line[PROGRESS_LINE_SIZE];

	if (save->stream.progress.total == 0)
		return;
	progress_format(&save->stream.progress, output_is_utf8(), line);
	output_progress(save->inv, "%s", line);
}

/* Reads until the writer has said how it went. */
static int follow(struct save *save, struct failure *failure)
{
	while (!save->stream.ended) {
		struct pollfd fds[2] = { { .fd = save->fd, .events = POLLIN },
			                 { .fd = save->signal_fd, .events = POLLIN } };
		char piece[PIECE_SIZE];
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot wait for the writer: %s", strerror(errno));
		if (fds[1].revents)
			return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
		if (!fds[0].revents)
			continue;
		n = read(save->fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
			                   "the writer of %.200s has ended without a word; what "
			                   "was there before is untouched",
			                   save->path);
		if (writer_stream_push(&save->stream, piece, (size_t)n, failure) < 0)
			return -1;
		show(save);
	}
	return 0;
}

/*
 * Ends a writer that is no longer wanted, and removes what it may have named in the moment before the
 * file takes its place.
 */
static void take_back(const struct save *save)
{
	const char *name = strrchr(save->path, '/') + 1;
	cleanup_free char *partial = NULL;
	cleanup_fd int fd = -1;

	if (save->pidfd < 0)
		return;
	process_kill(save->pidfd, KILL_WAIT_MS);
	if (asprintf(&partial, "%.*s.%s.partial", (int)(name - save->path), save->path, name) < 0) {
		partial = NULL;
		return;
	}
	fd = open(partial, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* Locked, it is another snapshot's. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlink(partial);
}

/*
 * Asks for the snapshot. Not to be interrupted: once the VMM has forked, only its answer tells whom to
 * end.
 */
static int ask(struct save *save, struct client *client, const char *parent, int writer,
               struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	int interrupt_fd = client->interrupt_fd;
	json_int_t pid;
	int rc;

	client->interrupt_fd = -1;
	rc = client_call_with_fd(client,
	                         json_pack("{s:s,s:s,s:s*}", "verb", "snapshot", "path", save->path,
	                                   "parent", parent),
	                         writer, ASK_TIMEOUT_MS, &reply, failure);
	client->interrupt_fd = interrupt_fd;
	if (rc < 0)
		return -1;
	pid = client_integer(reply.object, "pid", 1, INT32_MAX, 0);
	save->pidfd = pid ? pidfd_open((pid_t)pid, 0) : -1;
	save->stream.result.pause_us = number(reply.object, "pause_us");
	return 0;
}

int writer_save(const struct invocation *inv, struct client *client, const char *path,
                const char *parent, int signal_fd, struct writer_result *out_result,
                struct failure *failure)
{
	struct save save = {
		.inv = inv, .fd = -1, .pidfd = -1, .signal_fd = signal_fd, .path = path
	};
	cleanup_fd int writer = -1;
	int fds[2];
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot make a socket: %s",
		                   strerror(errno));
	save.fd = fds[0];
	writer = fds[1];
	writer_stream_init(&save.stream);
	rc = ask(&save, client, parent, writer, failure);
	/* Ours goes first: with it open the writer's end would never show. */
	close_fd(&writer);
	if (rc == 0)
		rc = follow(&save, failure);
	output_progress_clear(inv);
	if (rc < 0)
		take_back(&save);
	else if (save.pidfd >= 0)
		process_wait_ended(save.pidfd, END_WAIT_MS);
	if (rc == 0)
		*out_result = save.stream.result;
	writer_stream_finish(&save.stream);
	close_fd(&save.pidfd);
	close_fd(&save.fd);
	return rc;
}
