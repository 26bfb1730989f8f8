/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit.h - what every cmocka unit begins with. One binary a module, one thread unless a test says
 * otherwise; what a unit links and wraps stands in the Makefile's list.
 */
#ifndef CLOCHE_TESTS_UNIT_UNIT_H
#define CLOCHE_TESTS_UNIT_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* For table-driven tests: says which row failed when the assertion after it does. */
#define assert_row(name, condition)                                                                \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("row '%s': %s", name, #condition);                                \
	} while (0)

#endif
