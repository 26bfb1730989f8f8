/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - see log.h. Any thread: the two globals are set before threads start, and only read then.
 */
#include "lib/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/full_io.h"

#define LOG_LINE_MAX 1024

static const char *log_program = "cloche";
static enum log_level log_highest = LOG_INFO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_highest = level;
}

/*
 * A message may quote what a guest said. Control bytes would let it start a line of its own or
 * drive the reader's terminal, so they become '?'. Bytes from 0x80 on stay: they may be UTF-8.
 */
static void defuse_control_bytes(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			text[i] = '?';
	}
}

/* What snprintf() put into a buffer of @room bytes, given what it returned. */
static size_t printed(int n, size_t room)
{
	if (n < 0)
		return 0;
	return (size_t)n < room ? (size_t)n : room - 1;
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level, const char *fmt,
                                                             va_list args)
{
	int saved_errno = errno;
	char line[LOG_LINE_MAX];
	size_t used, body;

	used = printed(snprintf(line, sizeof(line), "%.64s: %s: ", log_program, level_names[level]),
	               sizeof(line));
	body = printed(vsnprintf(line + used, sizeof(line) - used, fmt, args), sizeof(line) - used);
	defuse_control_bytes(line + used, body);
	used += body;
	line[used] = '\n'; /* the byte of the terminating NUL */
	/* If that fails, there is nowhere left to complain. */
	(void)write_full(STDERR_FILENO, line, used + 1);
	errno = saved_errno;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	if (level > log_highest)
		return;
	va_start(args, fmt);
	write_line(level, fmt, args);
	va_end(args);
}

int log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint32_t *out_suppressed)
{
	uint64_t gained = 0;

	/* The first line starts the clock; until then the bucket is as full as it was made. */
	if (limit->refilled_ns == 0)
		limit->refilled_ns = now_ns;
	if (limit->interval_ns > 0 && now_ns > limit->refilled_ns)
		gained = (now_ns - limit->refilled_ns) / limit->interval_ns;
	if (gained >= limit->burst - limit->tokens) {
		limit->tokens = limit->burst;
		limit->refilled_ns = now_ns;
	} else if (gained > 0) {
		limit->tokens += (uint32_t)gained;
		limit->refilled_ns += gained * limit->interval_ns;
	}
	if (limit->tokens == 0) {
		if (limit->suppressed < UINT32_MAX)
			limit->suppressed++;
		return 0;
	}
	limit->tokens--;
	*out_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return 1;
}

/*
 * Would a line go out without waiting? A pipe that can be written takes PIPE_BUF bytes, more than a
 * line has (pipe(7)). What can't be asked is tried.
 */
static bool stderr_has_room(void)
{
	struct pollfd poll_stderr = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&poll_stderr, 1, 0) != 0;
}

void log_warn_limited(struct log_limit *limit, const char *fmt, ...)
{
	char message[LOG_LINE_MAX];
	uint32_t suppressed;
	va_list args;

	if (log_highest < LOG_WARN)
		return;
	if (!stderr_has_room()) {
		if (limit->suppressed < UINT32_MAX)
			limit->suppressed++;
		return;
	}
	if (!log_limit_pass(limit, clock_now_ns(), &suppressed))
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (suppressed > 0)
		log_warn("%.900s (%u like it not shown)", message, suppressed);
	else
		log_warn("%s", message);
}

void log_assert_failed(const char *expr, const char *file, int line)
{
	log_error("bug: %s:%d: assertion '%s' failed", file, line, expr);
	abort();
}
