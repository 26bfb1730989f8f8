/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tidy.c - the verb "tidy": lets go of memory that nobody would miss, before a template is made.
 * The agent's thread.
 *
 * Dirty pages can't be dropped, so they are written first; that may wait for a disk, so a worker
 * does it. Outside of a guest the caches are somebody's machine's, and only the heap is trimmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/proto.h"

struct tidy_job {
	struct agent *agent;     /* borrowed */
	struct request *request; /* borrowed */
	struct child child;
};

static void job_free(struct tidy_job *job)
{
	children_forget(job->agent->children, &job->child);
	free(job);
}

static void tidy_cancel(struct request *request)
{
	struct tidy_job *job = request->job;

	child_kill(&job->child, SIGKILL);
	job_free(job);
}

/* Page cache, dentries and inodes (Documentation/admin-guide/sysctl/vm.rst). 0 or -errno. */
static int caches_drop(void)
{
	cleanup_fd int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "3", 1) != 1 ? -errno : 0;
}

static void tidy_finish(struct request *request)
{
	malloc_trim(0);
	request_reply(request, NULL, NULL, 0);
}

static void sync_ended(struct child *child, int wait_status)
{
	struct tidy_job *job = container_of(child, struct tidy_job, child);
	struct request *request = job->request;
	int ret = caches_drop();

	(void)wait_status;
	job_free(job);
	if (ret < 0)
		request_fail(request, PROTO_ERR_FAILED, "tidy: can't drop the caches: %s",
		             strerror(-ret));
	else
		tidy_finish(request);
}

void verb_tidy(struct agent *agent, struct request *request)
{
	struct tidy_job *job;
	pid_t pid;

	if (!agent->init) {
		tidy_finish(request);
		return;
	}
	job = calloc(1, sizeof(*job));
	if (!job) {
		request_fail(request, PROTO_ERR_FAILED, "tidy: no memory");
		return;
	}
	job->agent = agent;
	job->request = request;
	pid = children_fork(agent->children, STDERR_FILENO, &job->child, sync_ended);
	if (pid == 0) {
		sync();
		_exit(0);
	}
	if (pid < 0) {
		free(job);
		request_fail(request, PROTO_ERR_FAILED, "tidy: can't start a worker: %s",
		             strerror((int)-pid));
		return;
	}
	request->job = job;
	request->cancel = tidy_cancel;
	request->waiting_for = "the disks";
}
