/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.c - see progress.h. Pure functions: any numbers are taken as they come.
 */
#include "supervisor/progress.h"

#include <stdio.h>
#include <string.h>

#define BAR_CELLS 24
#define CELL_BYTES 3 /* of a block character in UTF-8 */

void progress_format_bytes(uint64_t bytes, char out_text[PROGRESS_BYTES_SIZE])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(out_text, PROGRESS_BYTES_SIZE, "%u B", (unsigned)bytes);
		return;
	}
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out_text, PROGRESS_BYTES_SIZE, "%.*f %s", value < 99.95 ? 1 : 0, value,
	         units[unit]);
}

void progress_format_ratio(uint64_t bytes, uint64_t written, char out_text[PROGRESS_RATIO_SIZE])
{
	if (written == 0 || bytes == 0) {
		snprintf(out_text, PROGRESS_RATIO_SIZE, "-");
		return;
	}
	snprintf(out_text, PROGRESS_RATIO_SIZE, "%.1f:1", (double)bytes / (double)written);
}

uint64_t progress_speed(const struct progress *progress)
{
	double speed;

	if (progress->elapsed_ms == 0)
		return 0;
	speed = (double)progress->done * 1000 / (double)progress->elapsed_ms;
	/* 2^63 and more is nobody's speed, and no integer's business. */
	return speed < 9.2e18 ? (uint64_t)speed : 0;
}

/* What is done of the whole, 0 to 1. */
static double fraction(const struct progress *progress)
{
	if (progress->total == 0 || progress->done >= progress->total)
		return 1;
	return (double)progress->done / (double)progress->total;
}

static void format_bar(double done, bool utf8, char out_text[BAR_CELLS * CELL_BYTES + 3])
{
	int full = (int)(done * BAR_CELLS);
	char *at = out_text;

	*at++ = '[';
	for (int i = 0; i < BAR_CELLS; i++) {
		const char *cell = utf8 ? (i < full ? "█" : "░") : (i < full ? "#" : ".");

		memcpy(at, cell, strlen(cell));
		at += strlen(cell);
	}
	*at++ = ']';
	*at = '\0';
}

/* "1.2 s", "45 s", "3m 05s"; "" when nothing can be said. */
static void format_left(const struct progress *progress, uint64_t speed, char *out_text,
                        size_t size)
{
	uint64_t left = progress->total > progress->done ? progress->total - progress->done : 0;
	double s;

	out_text[0] = '\0';
	if (speed == 0 || left == 0)
		return;
	s = (double)left / (double)speed;
	if (s < 10)
		snprintf(out_text, size, ", %.1f s left", s);
	else if (s < 60)
		snprintf(out_text, size, ", %.0f s left", s);
	else if (s < 360000)
		snprintf(out_text, size, ", %um %02us left", (unsigned)s / 60, (unsigned)s % 60);
}

void progress_format(const struct progress *progress, bool utf8, char out_text[PROGRESS_LINE_SIZE])
{
	uint64_t speed = progress_speed(progress);
	double done = fraction(progress);
	char bar[BAR_CELLS * CELL_BYTES + 3];
	char bytes[PROGRESS_BYTES_SIZE];
	char total[PROGRESS_BYTES_SIZE];
	char rate[PROGRESS_BYTES_SIZE];
	char ratio[PROGRESS_RATIO_SIZE];
	char left[32];

	format_bar(done, utf8, bar);
	progress_format_bytes(progress->done, bytes);
	progress_format_bytes(progress->total, total);
	progress_format_bytes(speed, rate);
	progress_format_ratio(progress->done, progress->written, ratio);
	format_left(progress, speed, left, sizeof(left));
	snprintf(out_text, PROGRESS_LINE_SIZE, "%s %3d%%  %s of %s  %s  %s/s%s", bar,
	         (int)(done * 100), bytes, total, ratio, rate, left);
}
