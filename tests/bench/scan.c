/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.c - scan FILE.png ROUNDS still|tile|all: how long a scan of the screen takes, beside the least that anybody
 * who reads all of it must do: a memcpy of each of its pages. One thread.
 *
 * Between two scans nothing changes, one tile does, or all do. The caches are as they come: each round begins with
 * other memory being written, as much as a guest's browser has touched by then.
 *
 * Prints a line a round: microseconds of ours, of the yardstick.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/tiles.h"
#include "lib/clock.h"
#include "tests/bench/screen.h"

#define OTHERS ((size_t)4 << 20) /* bytes written between */

static void change(const struct screen *screen, const char *what)
{
	for (unsigned y = 0; y < screen->height; y += TILE_HEIGHT) {
		for (unsigned x = 0; x < screen->width; x += TILE_WIDTH) {
			++*screen_pixel(screen, x, y);
			if (strcmp(what, "tile") == 0)
				return;
		}
	}
}

static void copy_pages(const struct screen *screen, uint8_t *to)
{
	for (size_t i = 0; i < screen->page_count; i++)
		memcpy(to + i * FRAMEBUFFER_PAGE_SIZE, screen->pages[i], FRAMEBUFFER_PAGE_SIZE);
	/* So that the compiler believes in it. */
	__asm__ volatile("" : : "r"(to) : "memory");
}

static void measure(const struct framebuffer *fb, const struct screen *screen, const char *what,
                    struct tiles *tiles, uint8_t *others, uint8_t *copy)
{
	static int round;

	if (strcmp(what, "still") != 0)
		change(screen, what);
	memset(others, ++round, OTHERS);
	uint64_t start = clock_now_ns();
	unsigned changed = tiles_scan(tiles, fb);
	uint64_t ours = clock_now_ns();
	memset(others, ++round, OTHERS);
	uint64_t again = clock_now_ns();
	copy_pages(screen, copy);
	uint64_t theirs = clock_now_ns();

	if (changed != (*what == 's' ? 0 : *what == 't' ? 1 : tiles_count(tiles)))
		errx(1, "%u tiles have changed", changed);
	printf("%.1f %.1f\n", (double)(ours - start) / 1e3, (double)(theirs - again) / 1e3);
}

int main(int argc, char *argv[])
{
	struct error error = { 0 };
	struct framebuffer *fb;
	struct screen screen;
	struct tiles *tiles;

	if (argc != 4)
		errx(2, "usage: scan FILE.png ROUNDS still|tile|all");
	screen_make(argv[1], false, &screen);
	if (framebuffer_create(screen.pages, screen.page_count, screen.width, screen.height, &fb,
	                       &error))
		errx(1, "%s", error.msg);
	uint8_t *others = malloc(OTHERS);
	uint8_t *copy = malloc(screen.page_count * FRAMEBUFFER_PAGE_SIZE);
	if (!others || !copy || tiles_create(screen.width, screen.height, &tiles))
		errx(1, "memory");
	/* Both have their memory before the first round. */
	tiles_scan(tiles, fb);
	copy_pages(&screen, copy);
	for (int left = atoi(argv[2]); left > 0; left--)
		measure(fb, &screen, argv[3], tiles, others, copy);
	tiles_destroy(tiles);
	framebuffer_destroy(fb);
	screen_finish(&screen);
	free(copy);
	free(others);
	return 0;
}
