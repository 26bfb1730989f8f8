/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.c - UTF-8 (RFC 3629).
 */
#include "guest/text.h"

#include <string.h>

int32_t text_next(const char **text)
{
	static const int32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)*text;
	int32_t value;
	int length;

	if (!*p)
		return 0;
	(*text)++;
	if (*p < 0x80)
		return *p;
	if (*p < 0xc0 || *p > 0xf7)
		return -1;
	length = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	value = *p & (0x7f >> length);
	for (int i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return -1;
	*text += length - 1;
	return value;
}

void text_make_utf8(const char *text, char *out, size_t size)
{
	size_t used = 0;

	for (;;) {
		const char *start = text;
		int32_t value = text_next(&text);
		size_t length = value < 0 ? 3 : (size_t)(text - start);

		if (value == 0 || used + length >= size)
			break;
		memcpy(out + used, value < 0 ? "\xef\xbf\xbd" : start, length);
		used += length;
	}
	out[used] = '\0';
}

size_t text_json_size(const char *text)
{
	size_t size = 0;

	for (; *text; text++)
		size += (unsigned char)*text < 0x20 ? 6 : *text == '"' || *text == '\\' ? 2 : 1;
	return size;
}
