/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.c - see error.h. No state, any thread.
 */
#include "lib/error.h"

#include <stdio.h>

#include "lib/log.h"

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	ASSERT(code < 0);
	if (!err)
		return code;
	/* Formatted aside first: an argument may point into the message it replaces. */
	char msg[sizeof(err->msg)];

	va_start(args, fmt);
	vsnprintf(msg, sizeof(msg), fmt, args);
	va_end(args);
	err->code = code;
	snprintf(err->msg, sizeof(err->msg), "%s", msg);
	return code;
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	char prefix[sizeof(err->msg)];
	char rest[sizeof(err->msg)];

	va_start(args, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, args);
	va_end(args);
	snprintf(rest, sizeof(rest), "%s", err->msg);
	/* Cut at the end, silently, is what the contract says about a message that is too long. */
	if (snprintf(err->msg, sizeof(err->msg), "%s: %s", prefix, rest) < 0)
		err->msg[0] = '\0';
	return err->code;
}
