/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.h - how a command answers: text or JSON on stdout, progress on a terminal's stderr.
 *
 * Text that a guest may have written goes through text_clean() or output_text() before it reaches
 * a terminal. Single thread; the functions block on their streams.
 */
#ifndef CLOCHE_SUPERVISOR_OUTPUT_H
#define CLOCHE_SUPERVISOR_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "supervisor/command.h"

/* An answer in the making: {"ok":true}; the caller adds members. Never NULL: without memory it
 * ends the program. */
json_t *output_answer_new(void);

/* Prints @answer (stolen) as one line on stdout. */
void output_answer(json_t *answer);

/* Prints a failure: a line on stderr, or with @json an object on stdout. */
void output_failure(const struct failure *failure, bool json);

/* Makes an answer that of a failure: "ok" false, "error", "exit", and "report" where there is one. */
void output_add_failure(json_t *answer, const struct failure *failure);

/*
 * Shows what is waited for, on one line of stderr that the next call overwrites. Nothing is shown
 * unless stderr is a terminal and the answer isn't JSON.
 */
void output_progress(const struct invocation *inv, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void output_progress_clear(const struct invocation *inv);

/* True when the locale's characters are UTF-8, so that ✓ and ✗ can be shown. */
bool output_is_utf8(void);

/* Writes all of @data to @fd. 0, or -1 with the failure naming @what. */
int output_write(int fd, const void *data, size_t size, const char *what, struct failure *failure);

/*
 * Writes bytes that a guest chose to stdout: as they are, but when stdout is a terminal every
 * control character other than newline, tab and carriage return becomes "?".
 */
int output_text(const char *data, size_t size, struct failure *failure);

/* @bytes as base64, owned by the caller; NULL without memory. */
char *output_base64(const void *bytes, size_t size);

/*
 * Adds @data to @object as the string @key when it is text (UTF-8 without NUL), otherwise as
 * base64 under the key with "_base64" appended. False without memory.
 */
bool output_add_bytes(json_t *object, const char *key, const void *data, size_t size);

#endif
