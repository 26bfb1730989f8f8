/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_token_bucket.c - what a bucket lets through, by a clock of the test's own.
 */
#include "tests/unit/unit.h"

#include "lib/token_bucket.h"

#define S 1000000000ull

static bool take(struct token_bucket *bucket, uint32_t count, uint64_t now)
{
	if (token_bucket_wait_ns(bucket, count, now) > 0)
		return false;
	token_bucket_take(bucket, count);
	return true;
}

static void test_full_at_first_then_refilled_at_its_rate(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 100, 10, 5 * S);
	assert_true(take(&bucket, 4, 5 * S));
	assert_true(take(&bucket, 6, 5 * S));
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 5 * S), S / 100);
	assert_int_equal(token_bucket_wait_ns(&bucket, 10, 5 * S), S / 10);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 5 * S + S / 100 - 1), 1);
	assert_true(take(&bucket, 1, 5 * S + S / 100));
	assert_false(take(&bucket, 1, 5 * S + S / 100));
}

static void test_holds_no_more_than_the_burst(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 100, 10, 0);
	assert_true(take(&bucket, 10, 0));
	assert_true(take(&bucket, 10, 3600 * S));
	assert_false(take(&bucket, 1, 3600 * S));
	assert_true(take(&bucket, 10, UINT64_MAX));
	assert_false(take(&bucket, 1, UINT64_MAX));
}

static void test_fractions_are_kept(void **state)
{
	struct token_bucket bucket;
	unsigned taken = 0;

	(void)state;
	token_bucket_init(&bucket, 3, 1, 0);
	assert_true(take(&bucket, 1, 0));
	/* Asked far more often than a token comes, it still gives three a second. */
	for (uint64_t now = 0; now <= 10 * S; now += 1000003)
		taken += take(&bucket, 1, now);
	assert_in_range(taken, 29, 30);
}

static void test_more_than_the_burst_leaves_a_debt(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 10, 10, 0);
	assert_true(take(&bucket, 30, 0));
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 0), 2 * S + S / 10);
	assert_false(take(&bucket, 1, 2 * S));
	assert_true(take(&bucket, 1, 2 * S + S / 10));
	/* Again only from a full bucket. */
	assert_false(take(&bucket, 30, 3 * S));
	assert_true(take(&bucket, 30, 4 * S));
}

static void test_no_rate_is_no_limit(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 0, 0, 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(take(&bucket, UINT32_MAX, 0));
}

static void test_nothing_wants_nothing(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 1, 1, 0);
	assert_true(take(&bucket, 1, 0));
	assert_true(take(&bucket, 0, 0));
}

static void test_a_clock_that_goes_back_stands(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 1, 1, 100 * S);
	assert_true(take(&bucket, 1, 100 * S));
	assert_false(take(&bucket, 1, 0));
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 50 * S), S);
	assert_true(take(&bucket, 1, 101 * S));
}

static void test_extremes_dont_overflow(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 1, UINT32_MAX, 0);
	assert_true(take(&bucket, UINT32_MAX, 0));
	assert_int_equal(token_bucket_wait_ns(&bucket, UINT32_MAX, 0), UINT32_MAX * S);
	assert_true(take(&bucket, UINT32_MAX, UINT32_MAX * S));

	token_bucket_init(&bucket, TOKEN_BUCKET_RATE_MAX, 1, 0);
	assert_true(take(&bucket, UINT32_MAX, 0));
	assert_int_equal(token_bucket_wait_ns(&bucket, UINT32_MAX, 0), 3906250);
	assert_false(take(&bucket, 1, 3906249));
	assert_true(take(&bucket, UINT32_MAX, 3906250));
}

/* What is charged afterwards may be more than a bucket holds, and is waited for the same way. */
static void test_charged_afterwards(void **state)
{
	struct token_bucket bucket;

	(void)state;
	token_bucket_init(&bucket, 10, 5, 0);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 0), 0);
	token_bucket_charge(&bucket, 3);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 0), 0);
	token_bucket_charge(&bucket, 100);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 0), 99 * S / 10);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 99 * S / 10), 0);

	token_bucket_init(&bucket, 0, 0, 0);
	token_bucket_charge(&bucket, UINT32_MAX);
	assert_int_equal(token_bucket_wait_ns(&bucket, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_at_first_then_refilled_at_its_rate),
		cmocka_unit_test(test_holds_no_more_than_the_burst),
		cmocka_unit_test(test_fractions_are_kept),
		cmocka_unit_test(test_more_than_the_burst_leaves_a_debt),
		cmocka_unit_test(test_no_rate_is_no_limit),
		cmocka_unit_test(test_nothing_wants_nothing),
		cmocka_unit_test(test_a_clock_that_goes_back_stands),
		cmocka_unit_test(test_extremes_dont_overflow),
		cmocka_unit_test(test_charged_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
