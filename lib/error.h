/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.h - what a parser or a set-up step says when it fails.
 *
 * Used by every program, from any thread; holds no state. A function that takes a struct error
 * fills it exactly once, on failure only, and returns the same negative errno that it stored.
 */
#ifndef CLOCHE_LIB_ERROR_H
#define CLOCHE_LIB_ERROR_H

#include <stdarg.h>

struct error {
	int code;      /* negative errno, 0 while nothing failed */
	char msg[256]; /* one line, says what to do where it can */
};

/*
 * Stores @code (a negative errno) and the formatted message in @err and returns @code.
 * @err may be NULL: then only the code is returned. A message that is too long is cut.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Puts a formatted prefix and ": " before the message that @err holds already, and returns
 * @err->code (or @code when @err is NULL). For callers that know the file or the option.
 */
int error_prefix(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
