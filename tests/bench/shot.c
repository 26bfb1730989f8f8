/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shot.c - shot FILE.png ROUNDS page|noise: how long a screenshot takes, from scattered guest pages
 * to a sealed PNG file, beside libpng at its defaults on the same pages. One thread.
 *
 * "noise" adds a random value to each colour of FILE: close to the worst that a screen can show.
 *
 * Prints a line a round: microseconds of ours, of the yardstick, and bytes of both files.
 */
#include <err.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "display/pixels.h"
#include "display/screenshot.h"
#include "lib/clock.h"
#include "tests/bench/screen.h"

/* The yardstick: read the same way, encoded by libpng with nothing set, into memory. */
static void *encode_libpng(const struct framebuffer *fb, const struct screen *screen,
                           size_t *out_size)
{
	png_image image = { .version = PNG_IMAGE_VERSION,
		            .width = screen->width,
		            .height = screen->height,
		            .format = PNG_FORMAT_RGB };
	png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
	struct rectangle all = { .width = screen->width, .height = screen->height };
	size_t count = (size_t)all.width * all.height;
	uint32_t *pixels = malloc(4 * count);
	uint8_t *rgb = malloc(3 * count);
	void *file = malloc(size);

	if (!pixels || !rgb || !file)
		err(1, "memory");
	framebuffer_read_area(fb, &all, pixels);
	pixels_to_rgb(pixels, count, rgb);
	if (!png_image_write_to_memory(&image, file, &size, 0, rgb, 0, NULL))
		errx(1, "libpng: %s", image.message);
	free(pixels);
	free(rgb);
	*out_size = size;
	return file;
}

int main(int argc, char *argv[])
{
	struct screenshot_wish wish = { .format = SCREENSHOT_PNG };
	struct error error = { 0 };
	struct framebuffer *fb;
	struct screen screen;

	if (argc != 4)
		errx(2, "usage: shot FILE.png ROUNDS page|noise");
	screen_make(argv[1], strcmp(argv[3], "noise") == 0, &screen);
	if (framebuffer_create(screen.pages, screen.page_count, screen.width, screen.height, &fb,
	                       &error))
		errx(1, "%s", error.msg);
	for (int left = atoi(argv[2]); left > 0; left--) {
		struct screenshot shot;
		size_t yard_size;

		uint64_t start = clock_now_ns();
		if (screenshot_take(fb, &wish, &shot, &error))
			errx(1, "%s", error.msg);
		uint64_t ours = clock_now_ns();
		void *yard = encode_libpng(fb, &screen, &yard_size);
		uint64_t theirs = clock_now_ns();

		printf("%.1f %.1f %zu %zu\n", (double)(ours - start) / 1e3,
		       (double)(theirs - ours) / 1e3, shot.size, yard_size);
		screenshot_finish(&shot);
		free(yard);
	}
	framebuffer_destroy(fb);
	screen_finish(&screen);
	return 0;
}
