/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.h - the monotonic clock, in nanoseconds, for deadlines and durations. Any thread.
 */
#ifndef CLOCHE_LIB_CLOCK_H
#define CLOCHE_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
