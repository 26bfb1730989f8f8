/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.h - a clock that stands still unless the input moves it: the same input does the same
 * however fast the machine is, and reaches deadlines without waiting. A target that links clock.c
 * wraps clock_gettime. One thread.
 */
#ifndef CLOCHE_TESTS_FUZZ_CLOCK_H
#define CLOCHE_TESTS_FUZZ_CLOCK_H

#include <stdint.h>

/* Back to the time that every input begins at. */
void fuzz_clock_reset(void);

void fuzz_clock_advance(uint64_t ns);

#endif
