/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * children.c - fork, privilege drop, exec; SIGCHLD through a signalfd. The agent's thread.
 *
 * A child is registered before the loop runs again, and reaping happens only in the loop: so no
 * end is ever missed, and a pid isn't free for reuse while its struct child still names it.
 */
#include "guest/children.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"
#include "lib/cleanup.h"
#include "lib/log.h"

/* Where fds wait while their targets are being overwritten: above every target. */
#define FD_PARKING 32

struct children {
	struct loop *loop; /* borrowed */
	struct loop_watch watch;
	int fd; /* owned: the signalfd */
	struct child *list;
};

enum stage { STAGE_FDS, STAGE_USER, STAGE_CWD, STAGE_EXEC };

struct failure {
	enum stage stage;
	int error;
};

static void child_ended(struct children *children, pid_t pid, int status)
{
	for (struct child **link = &children->list; *link; link = &(*link)->next) {
		struct child *child = *link;

		if (child->pid != pid)
			continue;
		*link = child->next;
		child->pid = 0;
		child->ended(child, status);
		return;
	}
}

static void reap(struct loop_watch *watch, uint32_t events)
{
	struct children *children = container_of(watch, struct children, watch);
	struct signalfd_siginfo info[8];
	int status;
	pid_t pid;

	(void)events;
	while (read(watch->fd, info, sizeof(info)) > 0)
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_ended(children, pid, status);
}

int children_create(struct loop *loop, struct children **out_children)
{
	struct children *children = calloc(1, sizeof(*children));
	sigset_t set;
	int ret;

	if (!children)
		return -ENOMEM;
	children->loop = loop;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	children->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children->fd < 0) {
		ret = -errno;
		free(children);
		return ret;
	}
	ret = loop_watch_add(loop, &children->watch, children->fd, EPOLLIN, reap);
	if (ret < 0) {
		close_fd(&children->fd);
		free(children);
		return ret;
	}
	*out_children = children;
	return 0;
}

void children_destroy(struct children *children)
{
	if (!children)
		return;
	loop_watch_remove(children->loop, &children->watch);
	close_fd(&children->fd);
	free(children);
}

static void child_register(struct children *children, struct child *child, pid_t pid,
                           void (*ended)(struct child *, int))
{
	child->pid = pid;
	child->ended = ended;
	child->next = children->list;
	children->list = child;
}

/* --- in the child --- */

static void signals_reset(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Groups first, then user: the other way round the right to drop groups is gone. */
static int user_drop(void)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(AGENT_GID, AGENT_GID, AGENT_GID) < 0 ||
	    setresuid(AGENT_UID, AGENT_UID, AGENT_UID) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static int fds_place(const struct spawn *spawn)
{
	int parked[SPAWN_FDS_MAX];

	for (size_t i = 0; i < spawn->fd_count; i++) {
		int fd = spawn->fds[i];

		if (fd < 0)
			fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		parked[i] = fcntl(fd, F_DUPFD_CLOEXEC, FD_PARKING);
		if (parked[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < spawn->fd_count; i++)
		if (dup2(parked[i], (int)i) < 0)
			return -errno;
	return close_range((unsigned int)spawn->fd_count, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? -errno
	                                                                                : 0;
}

static struct failure child_exec(const struct spawn *spawn)
{
	int ret = fds_place(spawn);

	if (ret < 0)
		return (struct failure){ STAGE_FDS, -ret };
	signals_reset();
	setsid();
	umask(022);
	ret = spawn->root ? 0 : user_drop();
	if (ret < 0)
		return (struct failure){ STAGE_USER, -ret };
	if (chdir(spawn->cwd ? spawn->cwd : "/") < 0)
		return (struct failure){ STAGE_CWD, errno };
	environ = (char **)spawn->envp;
	execvp(spawn->argv[0], spawn->argv);
	return (struct failure){ STAGE_EXEC, errno };
}

static void child_main(const struct spawn *spawn, int report)
{
	struct failure failure;
	int fd = fcntl(report, F_DUPFD_CLOEXEC, FD_PARKING);

	failure = child_exec(spawn);
	if (write(fd, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

/* --- in the parent --- */

static int failure_explain(const struct spawn *spawn, const struct failure *failure,
                           struct error *err)
{
	const char *text = strerror(failure->error);

	switch (failure->stage) {
	case STAGE_FDS:
		return error_set(err, -failure->error, "can't hand over files: %s", text);
	case STAGE_USER:
		return error_set(err, -failure->error, "can't become the user: %s", text);
	case STAGE_CWD:
		return error_set(err, -failure->error, "can't enter %.128s: %s", spawn->cwd, text);
	case STAGE_EXEC:
		return error_set(err, -failure->error, "can't run %.128s: %s", spawn->argv[0],
		                 text);
	}
	return error_set(err, -EIO, "can't run %.128s", spawn->argv[0]);
}

int children_spawn(struct children *children, const struct spawn *spawn, struct child *child,
                   void (*ended)(struct child *, int), struct error *err)
{
	cleanup_fd int reader = -1;
	cleanup_fd int writer = -1;
	struct failure failure;
	int report[2];
	ssize_t n;
	pid_t pid;

	ASSERT(spawn->fd_count >= 3 && spawn->fd_count <= SPAWN_FDS_MAX);
	if (pipe2(report, O_CLOEXEC) < 0)
		return error_set(err, -errno, "can't make a pipe: %s", strerror(errno));
	reader = report[0];
	writer = report[1];
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "can't fork: %s", strerror(errno));
	if (pid == 0)
		child_main(spawn, writer);
	close_fd(&writer);
	do {
		n = read(reader, &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(failure)) {
		waitpid(pid, NULL, 0);
		return failure_explain(spawn, &failure, err);
	}
	child_register(children, child, pid, ended);
	return 0;
}

static void worker_prepare(int keep)
{
	signals_reset();
	setsid();
	if (user_drop() < 0)
		_exit(126);
	close_range((unsigned int)keep + 1, ~0u, 0);
	if (keep > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned int)keep - 1, 0);
}

pid_t children_fork(struct children *children, int keep, struct child *child,
                    void (*ended)(struct child *, int))
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		worker_prepare(keep);
		return 0;
	}
	child_register(children, child, pid, ended);
	return pid;
}

void child_kill(const struct child *child, int signal)
{
	if (child->pid > 0 && kill(-child->pid, signal) < 0)
		kill(child->pid, signal);
}

void children_forget(struct children *children, struct child *child)
{
	for (struct child **link = &children->list; *link; link = &(*link)->next) {
		if (*link == child) {
			*link = child->next;
			child->pid = 0;
			return;
		}
	}
}

void child_describe(json_t *object, int wait_status)
{
	if (WIFSIGNALED(wait_status))
		json_object_set_new(object, "signal", json_integer(WTERMSIG(wait_status)));
	else
		json_object_set_new(object, "exit", json_integer(WEXITSTATUS(wait_status)));
}

void child_status_text(int wait_status, char *out, size_t size)
{
	if (WIFSIGNALED(wait_status))
		snprintf(out, size, "signal %d", WTERMSIG(wait_status));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(wait_status));
}
