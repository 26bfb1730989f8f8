/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.c - see screen.h.
 */
#include "tests/bench/screen.h"

#include <err.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "display/framebuffer.h"

#define PAGE FRAMEBUFFER_PAGE_SIZE
#define XWD_PIXELS 3232u /* 160 bytes of header and name, 256 colours of 12 bytes */
#define NOISE_SPAN 32

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

void screen_make(const char *path, bool noisy, struct screen *screen)
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

void screen_finish(struct screen *screen)
{
	munmap(screen->ram, 2 * screen->page_count * PAGE);
	free(screen->pages);
}

uint8_t *screen_pixel(const struct screen *screen, unsigned x, unsigned y)
{
	size_t offset = XWD_PIXELS + 4 * ((size_t)y * screen->width + x);

	return (uint8_t *)(uintptr_t)screen->pages[offset / PAGE] + offset % PAGE;
}
