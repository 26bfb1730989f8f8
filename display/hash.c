/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hash.c - see hash.h. No state, any thread.
 */
#include "display/hash.h"

#include <xxhash.h>

uint64_t hash_pixels(const void *pixels, size_t size)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return hash_pixels_avx2(pixels, size);
#endif
	return XXH3_64bits(pixels, size);
}
