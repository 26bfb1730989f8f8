/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stamp.c - stamp PROGRAM [ARG…]: writes CLOCK_MONOTONIC in nanoseconds on a line of its standard
 * output and becomes PROGRAM. So the time of an exec is known, without the fork of a large parent.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/clock.h"

int main(int argc, char *argv[])
{
	char line[24];

	if (argc < 2)
		return 2;
	int length = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)clock_now_ns());
	if (write(STDOUT_FILENO, line, (size_t)length) == length)
		execv(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
