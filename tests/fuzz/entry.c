/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * entry.c - libFuzzer's names for a target's two functions.
 */
#include "tests/fuzz/fuzz.h"

/* NOLINTNEXTLINE(readability-non-const-parameter): libFuzzer's signature */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* Warnings of what a guest did are what is expected here, thousands a second. */
	log_init("fuzz", LOG_ERROR);
	fuzz_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	fuzz_one(&in);
	return 0;
}
