/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_cp.c - `cloche cp`: one file between host and guest, in pieces of a message's size. Single
 * thread.
 *
 * A file that comes out of a guest is what the guest says it is: its size is fixed by the first
 * answer and held to --max, its name is the one that the user typed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/full_io.h"
#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/hostfile.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/parse.h"

#define PIECE_MAX WIRE_BLOB_MAX
#define PIECE_TIMEOUT_MS 30000u
#define MAX_DEFAULT ((uint64_t)4 << 30)

/* One copy under way. */
struct copy {
	struct invocation *inv;
	struct client client;
	const char *host_path;
	const char *guest_path;
	uint64_t done, size, max;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void show_progress(const struct copy *copy)
{
	if (copy->size > PIECE_MAX)
		output_progress(copy->inv, "%llu of %llu MiB",
		                (unsigned long long)(copy->done >> 20),
		                (unsigned long long)(copy->size >> 20));
}

/* --- to the guest --- */

static int write_piece(struct copy *copy, const void *data, size_t size, mode_t mode,
                       struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_t *request = json_pack("{s:s,s:s,s:s,s:I,s:b,s:i}", "verb", "file", "op", "write",
	                            "path", copy->guest_path, "offset", (json_int_t)copy->done,
	                            "truncate", copy->done == 0, "mode", (int)mode);

	return client_call_agent(&copy->client, request, size ? data : NULL, size, PIECE_TIMEOUT_MS,
	                         &reply, failure);
}

static int open_source(struct copy *copy, int *out_fd, mode_t *out_mode, struct failure *failure)
{
	cleanup_fd int fd = open(copy->host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot read %.300s: %s",
		                   copy->host_path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%.300s is a folder; cp copies one file, so pack it first (tar)",
		                   copy->host_path);
	copy->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	*out_mode = S_ISREG(st.st_mode) ? st.st_mode & 0777 : 0644;
	*out_fd = steal_fd(&fd);
	return 0;
}

static int copy_in(struct copy *copy, struct failure *failure)
{
	cleanup_free uint8_t *buffer = malloc(PIECE_MAX);
	cleanup_fd int fd = -1;
	mode_t mode = 0644;
	ssize_t n;

	if (!buffer)
		return failure_set_nomem(failure);
	if (open_source(copy, &fd, &mode, failure) < 0)
		return -1;
	do {
		n = read_full(fd, buffer, PIECE_MAX);
		if (n < 0)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot read %.300s: %s", copy->host_path,
			                   strerror((int)-n));
		/* An empty file is one empty piece; a full last one isn't followed by another. */
		if ((n > 0 || copy->done == 0) &&
		    write_piece(copy, buffer, (size_t)n, mode, failure) < 0)
			return -1;
		copy->done += (uint64_t)n;
		show_progress(copy);
	} while ((size_t)n == PIECE_MAX);
	return 0;
}

/* --- from the guest --- */

static int fetch_piece(struct copy *copy, struct wire_message *out_reply, struct failure *failure)
{
	json_t *request = json_pack("{s:s,s:s,s:s,s:I,s:I}", "verb", "file", "op", "read", "path",
	                            copy->guest_path, "offset", (json_int_t)copy->done, "length",
	                            (json_int_t)PIECE_MAX);

	return client_call_agent(&copy->client, request, NULL, 0, PIECE_TIMEOUT_MS, out_reply,
	                         failure);
}

/* Takes one piece into @file. 1: there is more, 0: that was the last, -1. */
static int take_piece(struct copy *copy, struct hostfile *file, mode_t *mode,
                      struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	json_int_t size;
	size_t take;

	if (fetch_piece(copy, &reply, failure) < 0)
		return -1;
	if (copy->done == 0) {
		size = client_integer(reply.object, "size", 0, INT64_MAX, -1);
		if (size < 0)
			return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
			                   "file: the guest's answer makes no sense");
		if ((uint64_t)size > copy->max)
			return failure_set(
				failure, STATUS_FAILED, PROTO_ERR_TOO_LARGE,
				"%.200s is larger than %llu bytes; allow more with --max",
				copy->guest_path, (unsigned long long)copy->max);
		copy->size = (uint64_t)size;
		*mode = (mode_t)client_integer(reply.object, "mode", 0, 07777, 0644) & 0777;
	}
	/* What is added behind the size of the beginning is another file's story. */
	take = reply.blob_size;
	if (take > copy->size - copy->done)
		take = (size_t)(copy->size - copy->done);
	if (output_write(file->fd, reply.blob, take, copy->host_path, failure) < 0)
		return -1;
	copy->done += take;
	if (copy->done == copy->size)
		return 0;
	if (take == 0)
		return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
		                   "%.200s ends at byte %llu of %llu; did it shrink meanwhile?",
		                   copy->guest_path, (unsigned long long)copy->done,
		                   (unsigned long long)copy->size);
	return 1;
}

static int copy_out(struct copy *copy, struct failure *failure)
{
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;
	mode_t mode = 0644;
	int rc;

	if (hostfile_begin(copy->host_path, &file, failure) < 0)
		return -1;
	do {
		rc = take_piece(copy, &file, &mode, failure);
		show_progress(copy);
	} while (rc > 0);
	if (rc < 0)
		return -1;
	return hostfile_commit(&file, mode, failure);
}

/* --- both --- */

/* "@folder/@name of @from" when @to is a folder, else NULL. Owned by the caller. */
static char *inside_folder(const char *to, const char *from, bool is_folder)
{
	size_t size = strlen(to);
	char *path;

	if (!is_folder || asprintf(&path, "%s%s%s", to, size == 0 || to[size - 1] == '/' ? "" : "/",
	                           base_name(from)) < 0)
		return NULL;
	return path;
}

static bool is_host_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void report(const struct copy *copy, uint64_t ms)
{
	json_t *answer;

	output_progress_clear(copy->inv);
	if (!copy->inv->json)
		return;
	answer = output_answer_new();
	json_object_update_new(answer, json_pack("{s:I,s:I}", "bytes", (json_int_t)copy->done, "ms",
	                                         (json_int_t)ms));
	output_answer(answer);
}

static int copy_file(struct copy *copy, const char *name, bool to_guest, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	uint64_t begin = clock_now_ns();
	int rc;

	if (session_open(name, &session, failure) < 0 ||
	    client_open(&copy->client, &session, failure) < 0)
		return -1;
	rc = to_guest ? copy_in(copy, failure) : copy_out(copy, failure);
	client_close(&copy->client);
	if (rc < 0) {
		output_progress_clear(copy->inv);
		return -1;
	}
	report(copy, (clock_now_ns() - begin) / NS_PER_MS);
	return STATUS_OK;
}

int command_cp(struct invocation *inv, struct failure *failure)
{
	struct copy copy = { .inv = inv, .client = CLIENT_INIT, .max = MAX_DEFAULT };
	const struct option options[] = {
		{ "max", 0, OPTION_BYTES, &copy.max, "SIZE",
		  "take no larger file out of the guest (default 4G)", 0, INT64_MAX },
	};
	char name[SESSION_NAME_MAX + 1] = "";
	cleanup_free char *inside = NULL;
	struct arguments arguments;
	const char *paths[2];
	bool guest[2];
	size_t name_size;
	int rc = options_parse(inv, options, 1, (struct options_shape){ 2, 2, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	for (int i = 0; i < 2; i++) {
		paths[i] = arguments.items[i];
		guest[i] = parse_guest_path(arguments.items[i], &name_size, &paths[i]);
		if (guest[i])
			snprintf(name, sizeof(name), "%.*s", (int)name_size, arguments.items[i]);
	}
	if (guest[0] == guest[1])
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "one side must be in a guest, and only one: NAME:PATH (a host "
		                   "file with a colon: ./a:b)");
	if (guest[1])
		inside = inside_folder(paths[1], paths[0],
		                       !*paths[1] || paths[1][strlen(paths[1]) - 1] == '/');
	else
		inside = inside_folder(paths[1], paths[0], is_host_folder(paths[1]));
	copy.guest_path = guest[1] && inside ? inside : paths[guest[1]];
	copy.host_path = guest[0] && inside ? inside : paths[guest[0]];
	return copy_file(&copy, name, guest[1], failure);
}
