/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.h - UTF-8, as far as the agent needs it. Pure; any process.
 */
#ifndef CLOCHE_GUEST_TEXT_H
#define CLOCHE_GUEST_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Takes the next code point from *@text, which moves on. 0 at the end; -1 at a byte that isn't
 * valid UTF-8 (over-long forms and surrogates aren't), of which one is skipped.
 */
int32_t text_next(const char **text);

/* Copies @text to @out (@size > 0 bytes), each invalid byte as U+FFFD, cut between characters. */
void text_make_utf8(const char *text, char *out, size_t size);

/* How many bytes the valid UTF-8 @text takes at most as a JSON string without its quotes. */
size_t text_json_size(const char *text);

#endif
