/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - runs the test that the command line names, says how it went, powers off.
 */
#include "tests/native/guest/guest.h"

void guest_main(const struct boot_params *bp);

static const struct guest_test *find(const struct guest_test *tests, const char *name)
{
	for (; tests->name; tests++)
		if (streq(tests->name, name))
			return tests;
	return NULL;
}

void guest_main(const struct boot_params *bp)
{
	const char *cmdline = (const char *)(uintptr_t)bp->hdr.cmd_line_ptr;
	const struct guest_test *test = NULL;
	char name[32];

	if (word_value(cmdline, "test", name, sizeof(name))) {
		test = find(basic_tests, name);
		if (!test)
			test = find(device_tests, name);
		if (!test)
			test = find(memory_tests, name);
	}
	if (test)
		test->run(bp, cmdline);
	else
		check(false, "test=NAME names a test");
	print(checks_failed() ? "guest: failed\n" : "guest: passed\n");
	power_off();
}
