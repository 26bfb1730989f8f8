/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * children.h - starting programs, and hearing of their end. The agent's thread.
 *
 * As PID 1 the agent reaps every orphan of the guest; only those that were registered here have a
 * callback.
 */
#ifndef CLOCHE_GUEST_CHILDREN_H
#define CLOCHE_GUEST_CHILDREN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/error.h"
#include "lib/loop.h"

struct children; /* opaque */

/* A process under watch; embedded in its owner, who keeps it until it ended or is forgotten. */
struct child {
	pid_t pid; /* 0: not running */
	void (*ended)(struct child *child, int wait_status);
	struct child *next; /* the list's own */
};

#define SPAWN_FDS_MAX 5

/* A program to start. Everything is borrowed and only read. */
struct spawn {
	char *const *argv; /* argv[0] is looked up in envp's PATH */
	char *const *envp;
	const char *cwd;        /* NULL: "/" */
	bool root;              /* stay root; otherwise the unprivileged user, without a way back */
	int fds[SPAWN_FDS_MAX]; /* fds[n] becomes the child's n; -1: /dev/null */
	size_t fd_count;        /* at least 3 */
};

/* Blocks SIGCHLD and starts reaping on @loop (borrowed). 0 or -errno. */
int children_create(struct loop *loop, struct children **out_children);

/* Stops reaping; takes NULL. Running processes go on. */
void children_destroy(struct children *children);

/*
 * Starts a program in a session and process group of its own. Blocks until its execve has
 * succeeded or failed. 0: @child is registered and @ended will be called from the loop; else a
 * negative errno of fork, chdir or execve, with a message that names it, and nothing is left.
 */
int children_spawn(struct children *children, const struct spawn *spawn, struct child *child,
                   void (*ended)(struct child *, int), struct error *err);

/*
 * fork() for the agent's own workers. In the child: 0, it is the unprivileged user in a group of
 * its own, has default signals and only the fds 0, 1, 2 and @keep (the others are closed), and must
 * end by _exit(). In the parent: the pid, registered; or -errno.
 */
pid_t children_fork(struct children *children, int keep, struct child *child,
                    void (*ended)(struct child *, int));

/* Kills the child's whole process group with @signal if it still runs. */
void child_kill(const struct child *child, int signal);

/* The child is still reaped when it ends, but @child isn't touched again. Takes an ended one. */
void children_forget(struct children *children, struct child *child);

/* Adds "exit" or "signal" to @object as @wait_status says. */
void child_describe(json_t *object, int wait_status);

/* Writes "exit status 1" or "signal 9" into @out. */
void child_status_text(int wait_status, char *out, size_t size);

#endif
