/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - the verb "file": checks the request, lets a worker do it, hands its answer on.
 * The agent's thread.
 *
 * A path is touched only by a process that has become the user for good: whatever a link or a race
 * may point at, the worker can do no more than the user's own programs. Its answer comes back as
 * one wire.h message through a pipe, parsed like anything from a peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/file_worker.h"
#include "guest/paths.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/proto.h"

struct file_job {
	struct agent *agent;     /* borrowed */
	struct request *request; /* borrowed */
	struct child child;
	struct loop_watch watch;
	int fd; /* owned: the answer's pipe */
	struct wire_parser parser;
};

static void job_free(struct file_job *job)
{
	children_forget(job->agent->children, &job->child);
	loop_watch_remove(job->agent->loop, &job->watch);
	close_fd(&job->fd);
	wire_parser_finish(&job->parser);
	free(job);
}

static void file_cancel(struct request *request)
{
	struct file_job *job = request->job;

	child_kill(&job->child, SIGKILL);
	job_free(job);
}

/* The worker's message is a whole reply; only what is in it travels on. */
static void answer_take(struct file_job *job, const struct wire_message *message)
{
	json_t *error = json_object_get(message->object, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));
	struct request *request = job->request;
	json_t *members;

	job_free(job);
	if (error) {
		request_fail(request, code ? code : PROTO_ERR_FAILED, "file: %s",
		             text ? text : "?");
		return;
	}
	members = json_copy(message->object);
	json_object_del(members, "id");
	request_reply(request, members, message->blob, message->blob_size);
}

static void answer_ready(struct loop_watch *watch, uint32_t events)
{
	struct file_job *job = container_of(watch, struct file_job, watch);
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct request *request = job->request;
	uint8_t data[65536];
	ssize_t n = read(job->fd, data, sizeof(data));
	int ret;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	ret = n > 0 ? wire_parser_push(&job->parser, data, (size_t)n, NULL) : -EPIPE;
	if (ret == 0)
		ret = wire_parser_next(&job->parser, &message, NULL);
	if (ret > 0) {
		answer_take(job, &message);
		wire_message_finish(&message);
	} else if (ret < 0) {
		file_cancel(request);
		request_fail(request, PROTO_ERR_FAILED, "file: the worker ended without an answer");
	}
}

static void worker_ended(struct child *child, int wait_status)
{
	/* The pipe says all: its end comes after the answer. */
	(void)child;
	(void)wait_status;
}

static void worker_start(struct file_job *job, const struct file_task *task)
{
	struct request *request = job->request;
	int ends[2] = { -1, -1 };
	int ret = 0;
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		ret = -errno;
	job->fd = ends[0];
	if (ret == 0)
		ret = loop_watch_add(job->agent->loop, &job->watch, job->fd, EPOLLIN, answer_ready);
	if (ret == 0) {
		pid = children_fork(job->agent->children, ends[1], &job->child, worker_ended);
		if (pid == 0)
			file_worker(task, ends[1]);
		ret = pid < 0 ? (int)pid : 0;
	}
	close_fd(&ends[1]);
	if (ret < 0) {
		job_free(job);
		request_fail(request, PROTO_ERR_FAILED, "file: can't start a worker: %s",
		             strerror(-ret));
	}
}

/* Fills @task from the request; false: the request has been answered. */
static bool task_parse(struct agent *agent, struct request *request, struct file_task *task)
{
	static const char *const ops[] = { "read", "write", "list", "remove" };
	const char *op = NULL, *path = NULL;
	json_int_t offset = 0, length = WIRE_BLOB_MAX, mode = -1;
	struct error err = { 0 };
	int ret;

	if (!request_text(request, "op", true, &op) ||
	    !request_text(request, "path", true, &path) ||
	    !request_number(request, "offset", false, 0, INT64_MAX - WIRE_BLOB_MAX, &offset) ||
	    !request_number(request, "length", false, 0, WIRE_BLOB_MAX, &length) ||
	    !request_number(request, "mode", false, 0, 0777, &mode) ||
	    !request_flag(request, "truncate", &task->truncate))
		return false;
	while (task->op < FILE_OPS && strcmp(op, ops[task->op]) != 0)
		task->op++;
	if (task->op == FILE_OPS) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "file: \"op\" is read, write, list or remove");
		return false;
	}
	ret = paths_split(agent->options.home, path, &task->folder, &task->rest, &err);
	if (ret < 0) {
		request_fail(request, ret == -EACCES ? PROTO_ERR_DENIED : PROTO_ERR_BAD_REQUEST,
		             "file: %s", err.msg);
		return false;
	}
	task->offset = offset;
	task->length = (size_t)length;
	task->mode = (int)mode;
	task->data = request->message.blob;
	task->size = request->message.blob_size;
	return true;
}

void verb_file(struct agent *agent, struct request *request)
{
	struct file_task task = { 0 };
	struct file_job *job;

	if (!task_parse(agent, request, &task))
		return;
	job = calloc(1, sizeof(*job));
	if (!job) {
		request_fail(request, PROTO_ERR_FAILED, "file: no memory");
		return;
	}
	job->agent = agent;
	job->request = request;
	job->fd = -1;
	wire_parser_init(&job->parser);
	request->job = job;
	request->cancel = file_cancel;
	request->waiting_for = "the file system";
	worker_start(job, &task);
}
