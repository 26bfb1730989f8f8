/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.h - a guest's screen for benchmarks of what reads it. One thread.
 *
 * The pages are laid out as a guest's are: Xvfb's XWD file, its 4 KiB pages in random order with
 * strangers between them, neither hot in the cache nor next to each other.
 */
#ifndef CLOCHE_TESTS_BENCH_SCREEN_H
#define CLOCHE_TESTS_BENCH_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct screen {
	unsigned width, height;
	size_t page_count;
	const void **pages; /* owned, in file order */
	uint8_t *ram;       /* owned: twice as many pages */
};

/* Shows the PNG at @path; @noisy: with a random value added to each colour. Exits where it can't. */
void screen_make(const char *path, bool noisy, struct screen *screen);
void screen_finish(struct screen *screen);

/* The four bytes of a pixel: B, G, R, unused. */
uint8_t *screen_pixel(const struct screen *screen, unsigned x, unsigned y);

#endif
