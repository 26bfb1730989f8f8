/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - what every fuzz target begins with, and the input as a stream of small decisions.
 *
 * A target is tests/fuzz/fuzz_NAME.c and a line in tests/fuzz/fuzz.mk. It is linked twice: with
 * clang's libFuzzer, and with replay.c, which runs files (seeds, regressions) and counts them as
 * tests. One thread; an input must leave nothing behind that the next one could see.
 *
 * What a target finds wrong by itself it says with CHECK, which both take for a crash.
 */
#ifndef CLOCHE_TESTS_FUZZ_FUZZ_H
#define CLOCHE_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/log.h"

/* Ends the run as a finding. Always compiled in; unlike ASSERT it may be given calls that matter. */
#define CHECK(expr) ((expr) ? (void)0 : log_assert_failed(#expr, __FILE__, __LINE__))

/* libFuzzer's names, in entry.c; both return 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of the input. What lies behind its end reads as zero. */
struct input {
	const uint8_t *data; /* borrowed */
	size_t size;
};

/* What a target defines: what comes once, before all inputs, and what comes for each. */
void fuzz_init(void);
void fuzz_one(struct input *in);

/* Takes up to @size bytes; *out_data is borrowed from the input. The number taken. */
static inline size_t input_bytes(struct input *in, size_t size, const uint8_t **out_data)
{
	size_t taken = size < in->size ? size : in->size;

	*out_data = in->data;
	in->data += taken;
	in->size -= taken;
	return taken;
}

/* A little-endian number of @size bytes, at most 8. */
static inline uint64_t input_number(struct input *in, size_t size)
{
	const uint8_t *bytes;
	uint64_t value = 0;
	size_t taken = input_bytes(in, size, &bytes);

	for (size_t i = 0; i < taken; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static inline uint8_t input_u8(struct input *in)
{
	return (uint8_t)input_number(in, 1);
}

static inline uint16_t input_u16(struct input *in)
{
	return (uint16_t)input_number(in, 2);
}

static inline uint32_t input_u32(struct input *in)
{
	return (uint32_t)input_number(in, 4);
}

#endif
