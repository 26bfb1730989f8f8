/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hash_avx2.c - see hash.h. No state, any thread.
 *
 * xxhash.h is made for this: all of XXH3 is in it, and which instructions it uses is a macro.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#define XXH_INLINE_ALL
#define XXH_VECTOR 2 /* XXH_AVX2, which xxhash.h defines */
#include <xxhash.h>

#include "display/hash.h"

uint64_t hash_pixels_avx2(const void *pixels, size_t size)
{
	return XXH3_64bits(pixels, size);
}

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
