/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - a session is a folder: $XDG_RUNTIME_DIR/cloche/NAME, or /run/cloche/NAME for root.
 *
 *	control.sock     the VMM's control socket
 *	vnc.sock         the VMM's socket for VNC viewers
 *	vsock.sock       the VMM's vsock; vsock.sock_PORT: who is there for the guest on PORT
 *	console.log      the guest's serial console
 *	vmm.log          what the VMM said
 *	report.json      why it ended, written by the VMM when it ends
 *	session.json     what it was started with, written by who started it (facts.h)
 *
 * Making the folder claims the name. The folder belongs to us, mode 0700, and is only ever reached
 * through a descriptor that was checked: no symbolic link in its place is followed. The VMM lives
 * while (pid, start_time) of session.json does; what is there without it is dead, and `kill` clears
 * it away. While who starts it is at work he holds flock(2) on the folder. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_SESSION_H
#define CLOCHE_SUPERVISOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/failure.h"

#define SESSION_NAME_MAX 32
#define SESSION_COUNT_MAX 4096 /* sessions of one user that ls and kill --all look at */

/* An open session. */
struct session {
	char name[SESSION_NAME_MAX + 1];
	char *path;  /* owned: of the folder, absolute; for the VMM's command line and for people */
	int root_fd; /* owned: the folder of all sessions */
	int folder_fd; /* owned: the session's own */
	json_t *facts; /* owned: session.json, NULL while it isn't there */
};

#define SESSION_INIT                                                                               \
	{                                                                                          \
		.root_fd = -1, .folder_fd = -1                                                     \
	}

void session_finish(struct session *session);
#define cleanup_session __attribute__((cleanup(session_finish)))

/* 0, or -1 with STATUS_USAGE and the rule when @name can't be a session's. */
int session_check_name(const char *name, struct failure *failure);

/*
 * Opens the folder of all sessions, making it if @create. 0; -1: no place for it, or one that isn't
 * ours. Without @create and without a folder *out_fd is -1. *out_path is owned by the caller.
 */
int session_open_root(bool create, int *out_fd, char **out_path, struct failure *failure);

/* Checks that an open folder is ours alone: our user's, and nobody else may enter. */
int session_check_folder(int fd, const char *path, struct failure *failure);

/* Opens the session @name. -1: a bad name, or STATUS_NO_SESSION. */
int session_open(const char *name, struct session *out_session, struct failure *failure);

/*
 * Makes the session @name: its folder, empty, locked for the caller's life time. -1: a bad name,
 * one that is taken (the message says by what), or the host said no.
 */
int session_create(const char *name, struct session *out_session, struct failure *failure);

/*
 * The names of all sessions, sorted: *out_names is owned by the caller, each name too
 * (session_free_names()).
 */
int session_list(char ***out_names, size_t *out_count, struct failure *failure);
void session_free_names(char **names, size_t count);

/* Writes session.json, atomically, and keeps @facts (stolen) as session->facts. */
int session_write_facts(struct session *session, json_t *facts, struct failure *failure);

/*
 * Opens the VMM's process as session.json names it. 0: *out_pidfd is owned by the caller;
 * -ESRCH: it has ended; -ENOENT: session.json isn't there (yet); other -errno.
 */
int session_open_vmm(const struct session *session, int *out_pidfd);

/* True while it is only being started. */
bool session_is_starting(const struct session *session);

/* Opens a file of the session for reading. An fd, or -errno. */
int session_open_file(const struct session *session, const char *file);

/* Reads a JSON object of the session; NULL when it isn't there or isn't one. Owned by the caller. */
json_t *session_read_json(const struct session *session, const char *file);

/*
 * Says why a session's VMM has ended, in one clean line, from report.json, else from the last line
 * of vmm.log. *out_report (may be NULL) gets report.json or NULL, owned by the caller.
 */
void session_explain_end(const struct session *session, char *out_text, size_t size,
                         json_t **out_report);

/*
 * Removes the folder and all in it; the caller has seen to it that the VMM has ended. What is gone
 * already is no failure, and a new session of the same name is left alone.
 */
int session_remove(struct session *session, struct failure *failure);

#endif
