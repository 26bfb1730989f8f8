/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.c - see process.h. No state, single thread.
 */
#include "supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

int process_start_time(pid_t pid, uint64_t *out_ticks)
{
	char path[32];
	char stat[1024];
	cleanup_fd int fd = -1;
	unsigned long long ticks;
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, stat, sizeof(stat) - 1);
	if (n < 0)
		return -errno;
	stat[n] = '\0';
	/* Field 2 is the program's name in parentheses and may hold anything, parentheses too. */
	at = strrchr(stat, ')');
	if (!at || sscanf(at + 1,
	                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
	                  " %*d %*d %llu",
	                  &ticks) != 1)
		return -EPROTO;
	*out_ticks = ticks;
	return 0;
}

int process_resident(pid_t pid, uint64_t *out_bytes)
{
	cleanup_file FILE *file = NULL;
	unsigned long long kib;
	char path[32];
	char line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "RssAnon: %llu kB", &kib) != 1)
			continue;
		*out_bytes = kib << 10;
		return 0;
	}
	return -EPROTO;
}

int process_open(pid_t pid, uint64_t start_ticks, int *out_pidfd)
{
	cleanup_fd int pidfd = -1;
	uint64_t ticks;
	int rc;

	if (pid <= 0)
		return -ESRCH;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return -errno;
	/* The pidfd pins the process first: from here on the pid can't come to mean another. */
	rc = process_start_time(pid, &ticks);
	if (rc < 0)
		return rc;
	if (ticks != start_ticks || process_wait_ended(pidfd, 0))
		return -ESRCH;
	*out_pidfd = steal_fd(&pidfd);
	return 0;
}

bool process_wait_ended(int pidfd, uint64_t timeout_ms)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ms * NS_PER_MS;

	for (;;) {
		struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
		uint64_t now = clock_now_ns();
		uint64_t left = now < deadline_ns ? (deadline_ns - now - 1) / NS_PER_MS + 1 : 0;
		int rc = poll(&pfd, 1, left > INT_MAX ? INT_MAX : (int)left);

		if (rc > 0)
			return true;
		if (rc == 0 || errno != EINTR)
			return false;
	}
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * In the child: takes up the descriptors and becomes the program. The order matters: all are copied
 * above any place that they go to before the first is put in its place.
 */
static void __attribute__((noreturn))
become(char *const argv[], struct process_stdio stdio, bool detached, int failed_fd)
{
	int given[PROCESS_MORE_FD + 1] = { stdio.in, stdio.out, stdio.err, failed_fd, stdio.more };
	int count = stdio.more > 0 ? PROCESS_MORE_FD + 1 : PROCESS_MORE_FD;
	int rc;

	reset_signals();
	if (detached) {
		setsid();
		umask(077);
		if (chdir("/") < 0)
			goto failed;
	}
	for (int i = 0; i < count; i++) {
		int fd = given[i] >= 0 ? given[i] : open("/dev/null", O_RDWR);

		given[i] = fcntl(fd, F_DUPFD, 16);
		if (given[i] < 0)
			goto failed;
	}
	for (int i = 0; i < count; i++) {
		if (dup2(given[i], i) < 0)
			goto failed;
	}
	failed_fd = 3;
	if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0 || close_range((unsigned)count, UINT_MAX, 0) < 0)
		goto failed;
	execv(argv[0], argv);
failed:
	rc = -errno;
	if (write(failed_fd, &rc, sizeof(rc)) < 0)
		_exit(126);
	_exit(127);
}

int process_start(char *const argv[], struct process_stdio stdio, bool detached, pid_t *out_pid)
{
	cleanup_fd int from_child = -1;
	cleanup_fd int to_parent = -1;
	int pipe_fds[2];
	int rc = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	from_child = pipe_fds[0];
	to_parent = pipe_fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(argv, stdio, detached, to_parent);
	close_fd(&to_parent);
	/* End of file: exec has closed the child's end, the program runs. */
	while (read(from_child, &rc, sizeof(rc)) < 0 && errno == EINTR)
		;
	if (rc < 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return rc;
	}
	*out_pid = pid;
	return 0;
}

/* One stream of a program's, and where it goes. */
struct stream {
	int fd; /* owned; -1: at its end */
	char *text;
	size_t size, used;
};

/* Takes what there is. 0 or -errno. */
static int read_stream(struct stream *stream)
{
	char piece[4096];
	ssize_t n = read(stream->fd, piece, sizeof(piece));
	size_t room = stream->size - 1 - stream->used;

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0) {
		close_fd(&stream->fd);
		return 0;
	}
	if ((size_t)n > room)
		n = (ssize_t)room;
	memcpy(stream->text + stream->used, piece, (size_t)n);
	stream->used += (size_t)n;
	stream->text[stream->used] = '\0';
	return 0;
}

/* Reads both to their ends. 0, -ETIMEDOUT, -EINTR, or -errno. */
static int read_streams(struct stream streams[2], uint64_t deadline_ns, int interrupt_fd)
{
	while (streams[0].fd >= 0 || streams[1].fd >= 0) {
		/* Negative descriptors are passed over. */
		struct pollfd fds[3] = { { .fd = streams[0].fd, .events = POLLIN },
			                 { .fd = streams[1].fd, .events = POLLIN },
			                 { .fd = interrupt_fd, .events = POLLIN } };
		uint64_t now = clock_now_ns();
		uint64_t left = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS + 1 : 0;

		if (left == 0)
			return -ETIMEDOUT;
		if (poll(fds, 3, left > INT_MAX ? INT_MAX : (int)left) <= 0)
			continue;
		if (fds[2].revents)
			return -EINTR;
		for (int i = 0; i < 2; i++) {
			int rc = fds[i].revents ? read_stream(&streams[i]) : 0;

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* A pipe into @stream unless it isn't wanted. *out_writer is owned by the caller. 0 or -errno. */
static int make_stream(struct stream *stream, int *out_writer)
{
	int fds[2];

	if (!stream->text)
		return 0;
	stream->text[0] = '\0';
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	stream->fd = fds[0];
	*out_writer = fds[1];
	return 0;
}

/* Starts it and reads what it says. 0 or -errno; *out_pid is 0 when it never ran. */
static int run_captured(char *const argv[], const struct capture *capture, uint64_t deadline_ns,
                        pid_t *out_pid)
{
	struct stream streams[2] = {
		{ .fd = -1, .text = capture->text, .size = capture->size },
		{ .fd = -1, .text = capture->errors, .size = capture->errors_size },
	};
	cleanup_fd int out = -1;
	cleanup_fd int err = -1;
	int rc;

	*out_pid = 0;
	rc = make_stream(&streams[0], &out);
	if (rc == 0)
		rc = make_stream(&streams[1], &err);
	if (rc == 0)
		rc = process_start(argv, (struct process_stdio){ -1, out, err, 0 }, false, out_pid);
	close_fd(&out);
	close_fd(&err);
	if (rc == 0)
		rc = read_streams(streams, deadline_ns, capture->interrupt_fd);
	close_fd(&streams[0].fd);
	close_fd(&streams[1].fd);
	return rc;
}

int process_capture_all(char *const argv[], const struct capture *capture, int *out_status,
                        struct error *err)
{
	cleanup_fd int pidfd = -1;
	uint64_t deadline_ns = clock_now_ns() + capture->timeout_ms * NS_PER_MS;
	pid_t pid;
	int status;
	int rc = run_captured(argv, capture, deadline_ns, &pid);

	if (pid == 0)
		return error_set(err, rc, "cannot start %s: %s", argv[0], strerror(-rc));
	/* Its end is near when its streams are closed, but nothing says that it must come. */
	pidfd = pidfd_open(pid, 0);
	if (rc == 0 && pidfd >= 0 && !process_wait_ended(pidfd, 1000))
		rc = -ETIMEDOUT;
	if (rc < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return error_set(err, rc, "%s did not end: %s", argv[0], strerror(-rc));
	*out_status = status;
	return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to, by way of the struct. */
int process_capture(char *const argv[], uint64_t timeout_ms, char *out_text, size_t size,
                    int *out_status, struct error *err)
{
	struct capture capture = {
		.timeout_ms = timeout_ms, .interrupt_fd = -1, .text = out_text, .size = size
	};

	return process_capture_all(argv, &capture, out_status, err);
}

bool process_kill(int pidfd, uint64_t timeout_ms)
{
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return false;
	return process_wait_ended(pidfd, timeout_ms);
}
