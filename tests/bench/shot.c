/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shot.c - shot FILE.png ROUNDS page|noise: how long a screenshot takes, from scattered guest pages
 * to a sealed PNG file, beside libpng at its defaults on the same pages. One thread.
 *
 * The pages are laid out as a guest's are: Xvfb's XWD file, its 4 KiB pages in random order with
 * strangers between them, neither hot in the cache nor next to each other. "noise" adds a random
 * value to each colour of FILE: close to the worst that a screen can show.
 *
 * Prints a line a round: microseconds of ours, of the yardstick, and bytes of both files.
 */
#include <err.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "display/pixels.h"
#include "display/screenshot.h"
#include "lib/clock.h"

#define PAGE FRAMEBUFFER_PAGE_SIZE
#define XWD_PIXELS 3232u /* 160 bytes of header and name, 256 colours of 12 bytes */
#define NOISE_SPAN 32

struct screen {
	unsigned width, height;
	size_t page_count;
	const void **pages; /* owned, in file order */
	uint8_t *ram;       /* owned: twice as many pages */
};

/* A generator of our own: the same noise and the same page order in each run. */
static uint32_t next_random(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

static uint8_t *load_bgrx(const char *path, unsigned *out_width, unsigned *out_height)
{
	png_image image = { .version = PNG_IMAGE_VERSION };

	if (!png_image_begin_read_from_file(&image, path))
		errx(1, "%s: %s", path, image.message);
	image.format = PNG_FORMAT_BGRA;
	uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
	if (!pixels || !png_image_finish_read(&image, NULL, pixels, 0, NULL))
		errx(1, "%s: %s", path, image.message);
	*out_width = image.width;
	*out_height = image.height;
	return pixels;
}

static void add_noise(uint8_t *pixels, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int value = pixels[i] + (int)(next_random() % (2 * NOISE_SPAN)) - NOISE_SPAN;

		pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
	}
}

static void write_header(uint8_t *file, unsigned width, unsigned height)
{
	/* X11/XWDFile.h, as Xvfb fills it for a screen of depth 24. */
	const uint32_t fields[25] = { 160,  7, 2,   24,  width,     height, 0,        0,
		                      32,   0, 32,  32,  width * 4, 4,      0xff0000, 0xff00,
		                      0xff, 8, 256, 256, width,     height };

	for (size_t i = 0; i < 25; i++) {
		uint32_t big_endian = __builtin_bswap32(fields[i]);

		memcpy(file + 4 * i, &big_endian, 4);
	}
}

/* Every second page of the RAM belongs to the file, in shuffled order. */
static void scatter(const uint8_t *file, struct screen *screen)
{
	size_t count = screen->page_count;
	size_t *slots = calloc(count, sizeof(*slots));

	screen->pages = calloc(count, sizeof(*screen->pages));
	screen->ram = mmap(NULL, 2 * count * PAGE, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!slots || !screen->pages || screen->ram == MAP_FAILED)
		err(1, "memory");
	for (size_t i = 0; i < count; i++)
		slots[i] = i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t other = next_random() % (i + 1), kept = slots[i];

		slots[i] = slots[other];
		slots[other] = kept;
	}
	for (size_t i = 0; i < count; i++) {
		uint8_t *page = screen->ram + 2 * slots[i] * PAGE;

		memcpy(page, file + i * PAGE, PAGE);
		screen->pages[i] = page;
	}
	free(slots);
}

static void make_screen(const char *path, int noisy, struct screen *screen)
{
	uint8_t *pixels = load_bgrx(path, &screen->width, &screen->height);
	size_t size = (size_t)screen->width * screen->height * 4;

	if (noisy)
		add_noise(pixels, size);
	screen->page_count = (XWD_PIXELS + size + PAGE - 1) / PAGE;
	uint8_t *file = calloc(screen->page_count, PAGE);
	if (!file)
		err(1, "memory");
	write_header(file, screen->width, screen->height);
	memcpy(file + XWD_PIXELS, pixels, size);
	scatter(file, screen);
	free(file);
	free(pixels);
}

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
	make_screen(argv[1], strcmp(argv[3], "noise") == 0, &screen);
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
	munmap(screen.ram, 2 * screen.page_count * PAGE);
	free(screen.pages);
	return 0;
}
