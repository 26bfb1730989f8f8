/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_deflate.c - streams of all kinds of data, read back by zlib; nothing is written behind
 * the bound.
 */
#include "tests/unit/unit.h"

#include <zlib.h>

#include "display/deflate.h"

#define DATA_MAX ((size_t)200000)
#define GUARD ((size_t)64)
#define GUARD_BYTE 0xa5

enum kind { ZEROES, NOISE, FEW_VALUES, COUNTING, KIND_COUNT };

static uint32_t next_random(void)
{
	static uint32_t seed = 1;

	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void fill(enum kind kind, uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(kind == ZEROES       ? 0
		                    : kind == NOISE      ? next_random()
		                    : kind == FEW_VALUES ? next_random() % 3
		                                         : i);
}

/* Into memory that ends with the guard, so that a sanitizer sees what the guard doesn't. */
static void check_round_trip(const uint8_t *data, size_t size)
{
	size_t bound = deflate_bound(size);
	uint8_t *out = malloc(bound + GUARD), *back = malloc(size + 1);
	void *work = calloc(1, deflate_work_size);
	uLongf back_size = size + 1;

	assert_true(out && back && work);
	memset(out + bound, GUARD_BYTE, GUARD);
	size_t packed = deflate_pack(data, size, work, out);
	assert_in_range(packed, 1, bound);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(out[bound + i], GUARD_BYTE);
	/* Readers that believe the header need the whole window in it (RFC 1950, 2.2: CM and CINFO). */
	assert_int_equal(out[0], 0x78);
	assert_int_equal(uncompress(back, &back_size, out, packed), Z_OK);
	assert_int_equal(back_size, size);
	assert_memory_equal(back, data, size);
	free(out);
	free(back);
	free(work);
}

static void test_round_trips(void **state)
{
	static const size_t sizes[] = { 0,     1,     2,     3,      255,    256,    32767,   32768,
		                        65534, 65535, 65536, 131070, 131071, 199999, DATA_MAX };
	uint8_t *data = malloc(DATA_MAX);

	(void)state;
	assert_non_null(data);
	for (enum kind kind = ZEROES; kind < KIND_COUNT; kind++) {
		fill(kind, data, DATA_MAX);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			check_round_trip(data, sizes[i]);
		for (size_t size = 4; size < 300; size++)
			check_round_trip(data, size);
	}
	free(data);
}

/* What repeats gets small, what doesn't hardly grows. */
static void test_bounds(void **state)
{
	uint8_t *data = malloc(DATA_MAX), *out = malloc(deflate_bound(DATA_MAX));
	void *work = calloc(1, deflate_work_size);

	(void)state;
	assert_true(data && out && work);
	assert_in_range(deflate_bound(0), 6, 64);
	assert_in_range(deflate_bound(DATA_MAX), DATA_MAX, DATA_MAX + 64);
	fill(COUNTING, data, DATA_MAX);
	assert_in_range(deflate_pack(data, DATA_MAX, work, out), 1, DATA_MAX / 50);
	free(data);
	free(out);
	free(work);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("display_deflate", tests, NULL, NULL);
}
