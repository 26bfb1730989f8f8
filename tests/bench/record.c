/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - record FILE.png: a minute of browsing as it is recorded. One thread.
 *
 * The script, at 30 frames a second: six pages, which are FILE (1280x800) in other colours and another
 * order; on each, text is typed into a field (4 characters a second, with a caret that blinks), then it is
 * scrolled twice, 8 frames each, and back.
 *
 * Prints bytes of the recording, bytes of every frame that changed as a PNG of its own, frames that
 * changed, and microseconds of processor that recording took.
 */
#include <err.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "display/png.h"
#include "lib/clock.h"
#include "supervisor/recording_write.h"

#define RATE 30u
#define PAGES 6u
#define PAGE_FRAMES (10 * RATE)
#define FIELD_X 200u
#define FIELD_Y 120u
#define LETTER 9u

struct page {
	unsigned width, height;
	uint32_t *pixels; /* owned: the file's */
};

static void load(const char *path, struct page *page)
{
	png_image image = { .version = PNG_IMAGE_VERSION };

	if (!png_image_begin_read_from_file(&image, path))
		errx(1, "%s: %s", path, image.message);
	image.format = PNG_FORMAT_BGRA;
	page->width = image.width;
	page->height = image.height;
	page->pixels = malloc(PNG_IMAGE_SIZE(image));
	if (!page->pixels || !png_image_finish_read(&image, NULL, page->pixels, 0, NULL))
		errx(1, "%s: %s", path, image.message);
}

/* The screen in frame @at of page number @number, scrolled by @scroll. */
static void show(const struct page *page, unsigned number, unsigned scroll, struct picture *out)
{
	uint32_t tint = number * 0x050b07;

	for (unsigned y = 0; y < page->height; y++) {
		unsigned from = (y + scroll + number * 131) % page->height;
		const uint32_t *in = page->pixels + (size_t)from * page->width;
		uint32_t *row = out->pixels + (size_t)y * page->width;

		for (unsigned x = 0; x < page->width; x++)
			row[x] = (in[x] ^ tint) & 0xffffff;
	}
}

/* A character more, and the caret behind it. */
static void type(struct picture *out, unsigned letters, bool caret)
{
	for (unsigned y = 0; y < 18; y++) {
		uint32_t *row = out->pixels + (size_t)(FIELD_Y + y) * out->grid.width + FIELD_X;

		for (unsigned x = 0; x < letters * LETTER; x++)
			row[x] = (x * 7 + y * x / LETTER) % 5 ? 0xffffff : 0x202020;
		row[letters * LETTER] = caret ? 0 : 0xffffff;
	}
}

/* Where the page is scrolled to in its frame @at: 5 s of typing, then down, down and back. */
static unsigned scroll_at(unsigned at)
{
	static const unsigned steps[] = { 5, 17, 35, 58, 80, 98, 112, 120 };
	unsigned scroll = 0;

	for (unsigned i = 0; i < 3; i++) {
		unsigned begin = (5 + i) * RATE;
		unsigned moved = at < begin ? 0 : at < begin + 8 ? steps[at - begin] : 120;

		scroll = i < 2 ? scroll + moved : scroll - 2 * moved;
	}
	return scroll;
}

static size_t png_size(const struct picture *picture, uint8_t *rgb)
{
	struct error error = { 0 };
	size_t size;
	void *png;

	picture_get_rgb(picture, rgb);
	if (png_encode_rgb(rgb, picture->grid.width, picture->grid.height, &png, &size, &error))
		errx(1, "%s", error.msg);
	free(png);
	return size;
}

static uint64_t processor_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

struct run {
	struct recording_writer *writer;
	uint64_t begun_ns, taken_ns, png_bytes;
	unsigned frames;
	uint32_t *before; /* owned: the last frame */
	uint8_t *rgb;     /* owned */
};

/* Marks what differs from the frame before, as the VMM would. False: nothing does. */
static bool mark(struct run *run, struct picture *screen)
{
	unsigned width = screen->grid.width;
	bool any = false;

	for (unsigned i = 0; i < picture_tile_count(screen); i++) {
		struct rectangle tile = picture_tile(screen, i);

		screen->changed[i] = 0;
		for (unsigned y = tile.y; y < tile.y + tile.height; y++)
			screen->changed[i] |= memcmp(screen->pixels + (size_t)y * width + tile.x,
			                             run->before + (size_t)y * width + tile.x,
			                             tile.width * 4) != 0;
		any |= screen->changed[i];
	}
	memcpy(run->before, screen->pixels, (size_t)width * screen->grid.height * 4);
	return any;
}

static void record(struct run *run, struct picture *screen, unsigned number)
{
	struct error error = { 0 };

	if (!mark(run, screen) && number > 0)
		return;
	uint64_t begin = processor_ns();
	if (recording_put_frame(run->writer, number, run->begun_ns + number * (NS_PER_S / RATE),
	                        screen, &error))
		errx(1, "%s", error.msg);
	run->taken_ns += processor_ns() - begin;
	run->png_bytes += png_size(screen, run->rgb);
	run->frames++;
}

static void browse(const struct page *page, struct run *run)
{
	struct picture screen = { 0 };

	if (picture_resize(&screen, page->width, page->height))
		errx(1, "no memory");
	for (unsigned i = 0; i < PAGES * PAGE_FRAMES; i++) {
		unsigned at = i % PAGE_FRAMES;
		unsigned letters = at * 4 / RATE;

		show(page, i / PAGE_FRAMES, scroll_at(at), &screen);
		if (at < 5 * RATE)
			type(&screen, letters, at / (RATE / 2) % 2);
		record(run, &screen, i);
	}
	picture_finish(&screen);
}

int main(int argc, char **argv)
{
	const struct recording_header header = { .begun_ns = NS_PER_S, .name = "bench" };
	char folder[] = "/tmp/record.XXXXXX", path[64];
	struct run run = { .begun_ns = header.begun_ns };
	struct recording_written written;
	struct error error = { 0 };
	struct page page;

	if (argc != 2)
		errx(2, "usage: record FILE.png");
	load(argv[1], &page);
	run.before = calloc((size_t)page.width * page.height, 4);
	run.rgb = malloc((size_t)page.width * page.height * 3);
	if (!run.before || !run.rgb || !mkdtemp(folder))
		err(1, "record");
	snprintf(path, sizeof(path), "%s/a.rec", folder);
	if (recording_create(path, &header, &run.writer, &error))
		errx(1, "%s", error.msg);
	browse(&page, &run);
	int ret = recording_finish(run.writer, header.begun_ns + 60 * NS_PER_S, &written, &error);
	printf("%llu %llu %u %llu\n", (unsigned long long)written.bytes,
	       (unsigned long long)run.png_bytes, run.frames,
	       (unsigned long long)(run.taken_ns / 1000));
	unlink(path);
	rmdir(folder);
	return ret ? 1 : 0;
}
