/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one line a fact, on stderr, and the ASSERT that is always compiled in.
 *
 * Any thread. A line is written by one write(2), so lines of several threads don't mix.
 * The log level is the only mutable global of the house.
 */
#ifndef CLOCHE_LIB_LOG_H
#define CLOCHE_LIB_LOG_H

#include <stdint.h>
#include <stdlib.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the program's name (borrowed, must outlive all logging) and the highest level printed. */
void log_init(const char *program, enum log_level level);

/* Writes "program: level: message\n". Never blocks on anything but stderr, never fails. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * A budget for lines that a guest or a peer can cause: @burst lines, refilled at one every
 * @interval_ns. Embedded in the object that the peer belongs to; one thread at a time.
 */
struct log_limit {
	uint64_t interval_ns;
	uint32_t burst;
	uint32_t tokens;
	uint32_t suppressed; /* lines swallowed since the last one printed */
	uint64_t refilled_ns;
};

#define LOG_LIMIT_INIT                                                                             \
	{                                                                                          \
		.interval_ns = 1000000000ull, .burst = 5, .tokens = 5                              \
	}

/*
 * True if a line may be printed at @now_ns (CLOCK_MONOTONIC). When it says true after having
 * said false, *out_suppressed gets the number of lines swallowed in between (else 0).
 */
int log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint32_t *out_suppressed);

/*
 * Warns through @limit; the number of swallowed lines is added to the line that gets through. Never
 * blocks: with stderr a pipe that nobody reads, the line is swallowed, or a guest could stop us.
 */
void log_warn_limited(struct log_limit *limit, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

__attribute__((noreturn)) void log_assert_failed(const char *expr, const char *file, int line);

/* A bug of ours, never a guest's doing. Always compiled in; the expression has no side effects. */
#define ASSERT(expr) ((expr) ? (void)0 : log_assert_failed(#expr, __FILE__, __LINE__))

#endif
