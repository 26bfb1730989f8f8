/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * token_bucket.h - so much a second, with bursts: the limit of what a guest may ask of the host.
 *
 * Pure: the clock is passed in. Belongs to whoever embeds it. A token is what the owner makes of it,
 * a byte or a packet. Several buckets are asked first, then taken from:
 *
 *	wait = token_bucket_wait_ns(&bytes, size, now);
 *	if (wait == 0)
 *		token_bucket_take(&bytes, size);
 */
#ifndef CLOCHE_LIB_TOKEN_BUCKET_H
#define CLOCHE_LIB_TOKEN_BUCKET_H

#include <stdint.h>

#define TOKEN_BUCKET_RATE_MAX ((uint64_t)1 << 40)

struct token_bucket {
	uint64_t rate;  /* tokens a second; 0: no limit */
	uint32_t burst; /* tokens that a full bucket holds */
	int64_t tokens; /* -UINT32_MAX..burst: below 0 is a debt */
	uint64_t refilled_ns;
	uint64_t fraction; /* of a token, in 1/10^9, gained up to refilled_ns */
};

/*
 * A full bucket. @rate is at most TOKEN_BUCKET_RATE_MAX; with 0 the bucket never limits, else
 * @burst > 0. @now_ns is any monotonic clock, the same one in every call.
 */
void token_bucket_init(struct token_bucket *bucket, uint64_t rate, uint32_t burst, uint64_t now_ns);

/*
 * Nanoseconds from @now_ns until @count tokens can be taken; 0: now. What exceeds the burst can be
 * taken from a full bucket, which then owes the rest. A clock that goes back counts as standing.
 */
uint64_t token_bucket_wait_ns(struct token_bucket *bucket, uint32_t count, uint64_t now_ns);

/* Takes @count tokens; only after the call above has said 0 for as many. */
void token_bucket_take(struct token_bucket *bucket, uint32_t count);

/*
 * Takes @count tokens for something whose size is known only afterwards: after the wait for one
 * token has said 0. What isn't there is owed.
 */
void token_bucket_charge(struct token_bucket *bucket, uint32_t count);

#endif
