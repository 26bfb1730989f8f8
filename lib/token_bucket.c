/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * token_bucket.c - nothing here can overflow: what is missing from a bucket is below 2^33 tokens
 * (burst and debt are below 2^32 each), so missing × 10^9 < 2^63, and the time that a gain is
 * counted for is bounded by what is missing.
 */
#include "lib/token_bucket.h"

#include "lib/clock.h"
#include "lib/log.h"

void token_bucket_init(struct token_bucket *bucket, uint64_t rate, uint32_t burst, uint64_t now_ns)
{
	ASSERT(rate <= TOKEN_BUCKET_RATE_MAX && (rate == 0 || burst > 0));
	*bucket = (struct token_bucket){
		.rate = rate, .burst = burst, .tokens = burst, .refilled_ns = now_ns
	};
}

/* Time in which @count tokens are gained, rounded up. */
static uint64_t time_for(const struct token_bucket *bucket, uint64_t count)
{
	return (count * NS_PER_S - bucket->fraction + bucket->rate - 1) / bucket->rate;
}

static void refill(struct token_bucket *bucket, uint64_t now_ns)
{
	uint64_t missing = (uint64_t)((int64_t)bucket->burst - bucket->tokens);

	if (now_ns <= bucket->refilled_ns)
		return;
	uint64_t passed = now_ns - bucket->refilled_ns;
	bucket->refilled_ns = now_ns;
	if (missing == 0 || passed >= time_for(bucket, missing)) {
		bucket->tokens = bucket->burst;
		bucket->fraction = 0;
		return;
	}
	uint64_t gained = passed * bucket->rate + bucket->fraction;
	bucket->tokens += (int64_t)(gained / NS_PER_S);
	bucket->fraction = gained % NS_PER_S;
}

uint64_t token_bucket_wait_ns(struct token_bucket *bucket, uint32_t count, uint64_t now_ns)
{
	if (bucket->rate == 0)
		return 0;
	refill(bucket, now_ns);
	int64_t wanted = count < bucket->burst ? count : bucket->burst;

	return bucket->tokens >= wanted ? 0 : time_for(bucket, (uint64_t)(wanted - bucket->tokens));
}

void token_bucket_take(struct token_bucket *bucket, uint32_t count)
{
	if (bucket->rate == 0)
		return;
	ASSERT(bucket->tokens >= (count < bucket->burst ? count : bucket->burst));
	bucket->tokens -= count;
}

void token_bucket_charge(struct token_bucket *bucket, uint32_t count)
{
	if (bucket->rate == 0)
		return;
	ASSERT(bucket->tokens > 0);
	bucket->tokens -= count;
}
