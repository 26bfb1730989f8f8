/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.c - see clock.h.
 */
#include "tests/fuzz/clock.h"

#include <time.h>

#include "lib/clock.h"

static uint64_t now_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time)
{
	(void)clock;
	*out_time = (struct timespec){ .tv_sec = (time_t)(now_ns / NS_PER_S),
		                       .tv_nsec = (long)(now_ns % NS_PER_S) };
	return 0;
}

void fuzz_clock_reset(void)
{
	now_ns = NS_PER_S;
}

void fuzz_clock_advance(uint64_t ns)
{
	now_ns += ns;
}
