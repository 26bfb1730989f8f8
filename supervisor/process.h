/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.h - starting programs, and naming a process so that a recycled pid is never meant.
 *
 * A process is (pid, start time); a pidfd pins it. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_PROCESS_H
#define CLOCHE_SUPERVISOR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

/* Clock ticks since boot at which @pid started (proc_pid_stat(5), field 22). 0 or -errno. */
int process_start_time(pid_t pid, uint64_t *out_ticks);

/*
 * Opens the process that is both @pid and was started at @start_ticks. 0: *out_pidfd is owned by
 * the caller; -ESRCH: there is none (any more); other -errno.
 */
int process_open(pid_t pid, uint64_t start_ticks, int *out_pidfd);

/* Bytes of anonymous memory that @pid has from the host (proc_pid_status(5), RssAnon). 0 or -errno. */
int process_resident(pid_t pid, uint64_t *out_bytes);

/* Waits up to @timeout_ms until the process has ended. True when it has. */
bool process_wait_ended(int pidfd, uint64_t timeout_ms);

#define PROCESS_MORE_FD 4

/* What a new process gets for stdin, stdout and stderr, and as one more descriptor. */
struct process_stdio {
	int in, out, err; /* borrowed; -1: /dev/null */
	int more;         /* borrowed; becomes PROCESS_MORE_FD; 0: none */
};

/*
 * Starts @argv[0] (a path) with @argv and these descriptors and no others, default signal
 * dispositions and an empty signal mask. @detached: in a session of its own, in "/", with umask
 * 077. 0, or -errno of fork or exec: then no process is left. The child must be waited for.
 */
int process_start(char *const argv[], struct process_stdio stdio, bool detached, pid_t *out_pid);

/* How a program is run whose words are wanted. */
struct capture {
	uint64_t timeout_ms; /* then it is killed */
	int interrupt_fd;    /* borrowed: it is killed once this can be read; -1: none */
	char *text;          /* its stdout, always terminated; what doesn't fit is dropped */
	size_t size;
	char *errors; /* its stderr, alike; NULL: /dev/null */
	size_t errors_size;
};

/*
 * Runs @argv with /dev/null for stdin and waits for it. 0 and *out_status as of waitpid(2), or -errno
 * with @err filled: -ETIMEDOUT, -EINTR when it was killed.
 */
int process_capture_all(char *const argv[], const struct capture *capture, int *out_status,
                        struct error *err);

/* The same for its stdout alone. */
int process_capture(char *const argv[], uint64_t timeout_ms, char *out_text, size_t size,
                    int *out_status, struct error *err);

/* Sends SIGKILL through @pidfd and waits up to @timeout_ms. True when it has ended. */
bool process_kill(int pidfd, uint64_t timeout_ms);

#endif
