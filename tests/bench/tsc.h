/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tsc.h - how fast the TSC ticks, for times that a guest takes: same rate on both sides. Any thread.
 */
#ifndef CLOCHE_TESTS_BENCH_TSC_H
#define CLOCHE_TESTS_BENCH_TSC_H

#include <stdint.h>
#include <stdio.h>

#include "lib/clock.h"

struct tsc_mark {
	uint64_t ticks, ns;
};

static inline struct tsc_mark tsc_mark(void)
{
	return (struct tsc_mark){ __builtin_ia32_rdtsc(), clock_now_ns() };
}

/* Prints "khz N", the rate since @begun: the longer ago that is, the better. */
static inline void tsc_print_rate(struct tsc_mark begun)
{
	struct tsc_mark end = tsc_mark();

	printf("khz %llu\n",
	       (unsigned long long)((end.ticks - begun.ticks) * NS_PER_MS / (end.ns - begun.ns)));
}

#endif
