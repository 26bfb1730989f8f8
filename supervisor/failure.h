/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failure.h - what a command says when it fails, and the exit status it says it with.
 *
 * A function of the supervisor that can fail takes a struct failure, fills it exactly once, on
 * failure only, and returns -1. main.c prints it, once, as a line or as a JSON object. Single
 * thread; no state.
 */
#ifndef CLOCHE_SUPERVISOR_FAILURE_H
#define CLOCHE_SUPERVISOR_FAILURE_H

#include <jansson.h>

#include "lib/error.h"

/* Exit statuses of every command but exec; cloche(1) documents them. */
#define STATUS_OK 0
#define STATUS_FAILED 1     /* the host, the VMM or the guest said no */
#define STATUS_USAGE 2      /* the command line or its input is wrong: nothing was done */
#define STATUS_NO_SESSION 3 /* there is no session of that name */
#define STATUS_DEAD 4       /* there is, but its VMM has ended */
#define STATUS_TIMEOUT 5    /* it wasn't ready, or didn't answer, in time */

/* exec has the command's own status, and these, as timeout(1), env(1) and the shell have them. */
#define STATUS_EXEC_TIMEOUT 124
#define STATUS_EXEC_FAILED 125 /* cloche itself failed: all of the above but 0 */
#define STATUS_EXEC_DENIED 126 /* found, cannot be executed */
#define STATUS_EXEC_NOT_FOUND 127
#define STATUS_EXEC_SIGNAL 128 /* + the signal's number */

/* Codes beyond those of lib/proto.h. */
#define CODE_USAGE "usage"
#define CODE_NO_SESSION "no_session"
#define CODE_DEAD "dead"
#define CODE_HOST "host"       /* this host cannot do it; `cloche doctor` says why */
#define CODE_CRASHED "crashed" /* the guest panicked, faulted or confused KVM */
#define CODE_BROKEN "broken"   /* the VMM or agent answered nonsense, or hung up */
#define CODE_EXISTS "exists"   /* the session's name is taken */
#define CODE_INTERRUPTED "interrupted"

struct failure {
	int status;        /* STATUS_…, 0 while nothing failed */
	const char *code;  /* static; PROTO_ERR_… or CODE_… */
	char message[512]; /* one line without control characters, says what to do where it can */
	json_t *report;    /* owned, may be NULL: joins the JSON form as "report" */
};

/* Stores the formatted message, cleaned and cut to size, and returns -1. */
int failure_set(struct failure *failure, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same from a lib error; @prefix goes before it, with ": " in between, unless it is NULL. */
int failure_set_error(struct failure *failure, int status, const char *code, const char *prefix,
                      const struct error *err);

/* Out of memory, the one failure that needs no words. Returns -1. */
int failure_set_nomem(struct failure *failure);

/*
 * Maps the error code of a reply (PROTO_ERR_…; any string) to a static code and an exit status.
 * A code that nobody knows counts as PROTO_ERR_FAILED.
 */
int failure_status_of_code(const char *code, const char **out_code);

/*
 * Makes UTF-8 text that a guest may have written harmless for a terminal, in place: every control
 * character (C0, DEL, C1), line breaks included, becomes a space.
 */
void text_clean(char *text);

/*
 * The last line of what a VMM said, without what each of its lines begins with; "" when it said
 * nothing. Cuts @text and points into it.
 */
const char *text_last_words(char *text);

#endif
