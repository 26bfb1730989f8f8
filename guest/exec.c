/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec.c - the verb "exec": one command, its output kept within limits. The agent's thread.
 *
 *	RUNNING --timeout--> TERM sent --500 ms--> KILL sent --2 s--> given up
 *	   |                     |                    |
 *	   +---- the command ends, whatever came before ----> DRAINING
 *	DRAINING ends when both pipes are at their end, or 200 ms later: a daemon that the command
 *	left behind may hold them for ever, and isn't waited for.
 *
 * Output beyond what is kept is read and counted all the same, so that a chatty command runs as it
 * would anywhere. Standard input is a memfd: it needs no pump and its end is its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/environment.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"

#define TERM_GRACE_MS 500
#define KILL_GRACE_MS 2000
#define DRAIN_GRACE_MS 200
#define READ_ROUND ((size_t)256 << 10) /* bytes of one pipe before others get their turn */

/* One of the two output pipes. */
struct output {
	struct exec_job *job; /* borrowed */
	struct loop_watch watch;
	int fd;        /* owned */
	uint8_t *kept; /* owned */
	size_t size;
	json_int_t total;
};

struct exec_job {
	struct agent *agent;     /* borrowed */
	struct request *request; /* borrowed */
	struct child child;
	struct loop_timer timer;
	struct output outputs[2];
	char **argv, **envp; /* owned; the strings of argv are the request's */
	bool timed_out, killed, ended;
	int wait_status;
};

static void job_free(struct exec_job *job)
{
	struct loop *loop = job->agent->loop;

	children_forget(job->agent->children, &job->child);
	loop_timer_cancel(loop, &job->timer);
	for (size_t i = 0; i < 2; i++) {
		loop_watch_remove(loop, &job->outputs[i].watch);
		close_fd(&job->outputs[i].fd);
		free(job->outputs[i].kept);
	}
	free(job->argv);
	environment_free(job->envp);
	free(job);
}

static void exec_cancel(struct request *request)
{
	struct exec_job *job = request->job;

	child_kill(&job->child, SIGKILL);
	job_free(job);
}

/* --- output --- */

/* What memory or the limit has no room for is counted only. */
static void output_keep(struct output *output, const uint8_t *data, size_t size)
{
	size_t room = PROTO_OUTPUT_MAX - output->size;
	uint8_t *grown;

	output->total += (json_int_t)size;
	if (size > room)
		size = room;
	grown = size ? realloc(output->kept, output->size + size) : NULL;
	if (!grown)
		return;
	memcpy(grown + output->size, data, size);
	output->kept = grown;
	output->size += size;
}

/* Reads what is there, READ_ROUND at most. At the pipe's end it is closed. */
static void output_read(struct output *output)
{
	uint8_t data[16384];

	for (size_t round = 0; round < READ_ROUND; round += sizeof(data)) {
		ssize_t n = read(output->fd, data, sizeof(data));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			loop_watch_remove(output->job->agent->loop, &output->watch);
			close_fd(&output->fd);
			return;
		}
		output_keep(output, data, (size_t)n);
	}
}

static void job_finish(struct exec_job *job)
{
	struct request *request = job->request;
	const struct output *out = &job->outputs[0], *err = &job->outputs[1];
	uint64_t took_ns = clock_now_ns() - request->started_ns;
	json_t *members = json_object();
	cleanup_free uint8_t *blob = malloc(out->size + err->size + 1);

	if (!members || !blob) {
		json_decref(members);
		job_free(job);
		request_fail(request, PROTO_ERR_FAILED, "exec: no memory for the answer");
		return;
	}
	child_describe(members, job->wait_status);
	json_object_set_new(members, "timed_out", json_boolean(job->timed_out));
	json_object_set_new(members, "duration_ms",
	                    json_integer((json_int_t)(took_ns / NS_PER_MS)));
	json_object_set_new(members, "stdout", json_integer((json_int_t)out->size));
	json_object_set_new(members, "stderr", json_integer((json_int_t)err->size));
	json_object_set_new(members, "stdout_total", json_integer(out->total));
	json_object_set_new(members, "stderr_total", json_integer(err->total));
	if (out->size)
		memcpy(blob, out->kept, out->size);
	if (err->size)
		memcpy(blob + out->size, err->kept, err->size);
	request_reply(request, members, blob, out->size + err->size);
	job_free(job);
}

static void output_ready(struct loop_watch *watch, uint32_t events)
{
	struct output *output = container_of(watch, struct output, watch);
	struct exec_job *job = output->job;

	(void)events;
	output_read(output);
	if (job->ended && job->outputs[0].fd < 0 && job->outputs[1].fd < 0)
		job_finish(job);
}

/* --- the command's end --- */

static void drain_expired(struct loop_timer *timer)
{
	job_finish(container_of(timer, struct exec_job, timer));
}

static void command_ended(struct child *child, int wait_status)
{
	struct exec_job *job = container_of(child, struct exec_job, child);

	job->ended = true;
	job->wait_status = wait_status;
	if (job->outputs[0].fd < 0 && job->outputs[1].fd < 0)
		job_finish(job);
	else
		loop_timer_set(job->agent->loop, &job->timer,
		               clock_now_ns() + DRAIN_GRACE_MS * NS_PER_MS, drain_expired);
}

static void time_over(struct loop_timer *timer)
{
	struct exec_job *job = container_of(timer, struct exec_job, timer);
	struct request *request = job->request;
	uint64_t now = clock_now_ns();

	if (!job->timed_out) {
		job->timed_out = true;
		child_kill(&job->child, SIGTERM);
		loop_timer_set(job->agent->loop, timer, now + TERM_GRACE_MS * NS_PER_MS, time_over);
	} else if (!job->killed) {
		job->killed = true;
		child_kill(&job->child, SIGKILL);
		loop_timer_set(job->agent->loop, timer, now + KILL_GRACE_MS * NS_PER_MS, time_over);
	} else {
		job_free(job);
		request_fail(request, PROTO_ERR_TIMEOUT,
		             "exec: the command didn't end even when killed");
	}
}

/* --- starting --- */

static int argv_make(json_t *list, char ***out_argv)
{
	size_t count = json_array_size(list);
	cleanup_free char **argv = calloc(count + 1, sizeof(*argv));
	json_t *value;
	size_t i;

	if (!argv)
		return -ENOMEM;
	if (!count)
		return -EINVAL;
	json_array_foreach(list, i, value)
	{
		if (!json_is_string(value))
			return -EINVAL;
		/* execve only reads them; its type is older than const. */
		memcpy(&argv[i], &(const char *){ json_string_value(value) }, sizeof(argv[i]));
	}
	if (!*argv[0])
		return -EINVAL;
	*out_argv = steal_pointer(&argv);
	return 0;
}

static int stdin_make(const struct wire_message *message, int *out_fd)
{
	cleanup_fd int fd = -1;

	if (!message->blob_size) {
		*out_fd = -1;
		return 0;
	}
	fd = memfd_create("stdin", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < message->blob_size;) {
		ssize_t n = write(fd, message->blob + done, message->blob_size - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*out_fd = steal_fd(&fd);
	return 0;
}

/* A pipe whose reading end is ours and non-blocking; the writing end is a common one. */
static int output_open(struct exec_job *job, struct output *output, int *out_writer)
{
	int ends[2];
	int ret;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	output->job = job;
	output->fd = ends[0];
	*out_writer = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	ret = loop_watch_add(job->agent->loop, &output->watch, output->fd, EPOLLIN, output_ready);
	return ret;
}

static int command_start(struct exec_job *job, const char *cwd, bool root, struct error *err)
{
	cleanup_fd int input = -1;
	cleanup_fd int output = -1;
	cleanup_fd int errors = -1;
	struct spawn spawn = { .argv = job->argv, .envp = job->envp, .cwd = cwd, .root = root };
	int ret = stdin_make(&job->request->message, &input);

	if (ret == 0)
		ret = output_open(job, &job->outputs[0], &output);
	if (ret == 0)
		ret = output_open(job, &job->outputs[1], &errors);
	if (ret < 0)
		return error_set(err, ret, "can't prepare the command's files: %s", strerror(-ret));
	spawn.fds[0] = input;
	spawn.fds[1] = output;
	spawn.fds[2] = errors;
	spawn.fd_count = 3;
	return children_spawn(job->agent->children, &spawn, &job->child, command_ended, err);
}

static struct exec_job *job_create(struct agent *agent, struct request *request, bool root)
{
	struct exec_job *job = calloc(1, sizeof(*job));
	json_t *object = request->message.object;
	int ret;

	if (!job) {
		request_fail(request, PROTO_ERR_FAILED, "exec: no memory");
		return NULL;
	}
	job->agent = agent;
	job->request = request;
	job->outputs[0].fd = job->outputs[1].fd = -1;
	ret = argv_make(json_object_get(object, "argv"), &job->argv);
	if (ret < 0) {
		job_free(job);
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "exec: \"argv\" must be strings, at least one, the first not empty");
		return NULL;
	}
	ret = environment_make(agent, root, json_object_get(object, "env"), &job->envp);
	if (ret < 0) {
		job_free(job);
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "exec: \"env\" must map names (without \"=\") to strings");
		return NULL;
	}
	return job;
}

void verb_exec(struct agent *agent, struct request *request)
{
	char folder[PATH_MAX];
	const char *cwd = "";
	struct error err = { 0 };
	struct exec_job *job;
	bool root = false;

	if (!request_text(request, "cwd", false, &cwd) || !request_flag(request, "root", &root))
		return;
	if (snprintf(folder, sizeof(folder), "%s%s%s", *cwd == '/' ? "" : agent->options.home,
	             *cwd == '/' ? "" : "/", cwd) >= (int)sizeof(folder)) {
		request_fail(request, PROTO_ERR_BAD_REQUEST, "exec: \"cwd\" is too long");
		return;
	}
	if (root && !agent->options.root) {
		request_fail(request, PROTO_ERR_DENIED,
		             "exec: this guest wasn't started with --guest-root");
		return;
	}
	job = job_create(agent, request, root);
	if (!job)
		return;
	if (command_start(job, folder, root, &err) < 0) {
		job_free(job);
		request_fail_errno(request, &err);
		return;
	}
	request->job = job;
	request->cancel = exec_cancel;
	loop_timer_set(agent->loop, &job->timer,
	               request->started_ns + request->timeout_ms * NS_PER_MS, time_over);
}
