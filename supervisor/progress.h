/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.h - how far something with a known size has come, as one line of text. Pure functions.
 */
#ifndef CLOCHE_SUPERVISOR_PROGRESS_H
#define CLOCHE_SUPERVISOR_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	uint64_t done, total; /* bytes */
	uint64_t written;     /* bytes that came of those done */
	uint64_t elapsed_ms;
};

#define PROGRESS_BYTES_SIZE 16

/* "0 B", "999 B", "1.5 KiB", "88.4 MiB", "700 MiB", "16.0 GiB". */
void progress_format_bytes(uint64_t bytes, char out_text[PROGRESS_BYTES_SIZE]);

#define PROGRESS_RATIO_SIZE 24

/* "11.6:1": how many bytes became one; "-" while there is none. */
void progress_format_ratio(uint64_t bytes, uint64_t written, char out_text[PROGRESS_RATIO_SIZE]);

/* Bytes a second, 0 when nothing can be said. */
uint64_t progress_speed(const struct progress *progress);

#define PROGRESS_LINE_SIZE 256

/*
 * The whole line: a bar, bytes, ratio, speed, and the time that is left. @utf8: the bar may have
 * characters other than ASCII.
 */
void progress_format(const struct progress *progress, bool utf8, char out_text[PROGRESS_LINE_SIZE]);

#endif
