/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failure.c - see failure.h. No state, single thread.
 */
#include "supervisor/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/proto.h"

static const struct {
	const char *code;
	int status;
} reply_codes[] = {
	{ PROTO_ERR_BAD_REQUEST, STATUS_USAGE },  { PROTO_ERR_UNKNOWN_VERB, STATUS_FAILED },
	{ PROTO_ERR_NOT_READY, STATUS_TIMEOUT },  { PROTO_ERR_TIMEOUT, STATUS_TIMEOUT },
	{ PROTO_ERR_DENIED, STATUS_FAILED },      { PROTO_ERR_NOT_FOUND, STATUS_FAILED },
	{ PROTO_ERR_TOO_LARGE, STATUS_FAILED },   { PROTO_ERR_BUSY, STATUS_FAILED },
	{ PROTO_ERR_FAILED, STATUS_FAILED },      { PROTO_ERR_GONE, STATUS_DEAD },
	{ PROTO_ERR_STALE_FRAME, STATUS_FAILED }, { PROTO_ERR_CONTROL_TAKEN, STATUS_FAILED },
};

int failure_set(struct failure *failure, int status, const char *code, const char *fmt, ...)
{
	va_list args;

	failure->status = status;
	failure->code = code;
	va_start(args, fmt);
	vsnprintf(failure->message, sizeof(failure->message), fmt, args);
	va_end(args);
	text_clean(failure->message);
	return -1;
}

int failure_set_error(struct failure *failure, int status, const char *code, const char *prefix,
                      const struct error *err)
{
	return failure_set(failure, status, code, "%s%s%s", prefix ? prefix : "",
	                   prefix ? ": " : "", err->msg);
}

int failure_set_nomem(struct failure *failure)
{
	return failure_set(failure, STATUS_FAILED, CODE_HOST, "out of memory");
}

int failure_status_of_code(const char *code, const char **out_code)
{
	for (size_t i = 0; i < sizeof(reply_codes) / sizeof(reply_codes[0]); i++) {
		if (strcmp(code, reply_codes[i].code) == 0) {
			*out_code = reply_codes[i].code;
			return reply_codes[i].status;
		}
	}
	*out_code = PROTO_ERR_FAILED;
	return STATUS_FAILED;
}

/* What the first byte of a UTF-8 character says about its size; 0: it is none. */
static size_t sequence_size(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* How many bytes of a whole UTF-8 character begin at @at; 0 when it is cut or malformed. */
static size_t character_size(const unsigned char *at)
{
	size_t size = sequence_size(*at);

	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return size;
}

void text_clean(char *text)
{
	unsigned char *at = (unsigned char *)text;

	while (*at) {
		size_t size = character_size(at);

		if (size == 0) {
			*at++ = '?';
		} else if (*at < 0x20 || *at == 0x7f) {
			*at++ = ' ';
		} else if (size == 2 && at[0] == 0xc2 && at[1] < 0xa0) {
			/* C1: terminals take U+009B for the start of an escape sequence. */
			*at++ = ' ';
			*at++ = ' ';
		} else {
			at += size;
		}
	}
}

const char *text_last_words(char *text)
{
	static const char *const prefixes[] = { "cloche-vmm: ", "error: " };
	size_t end = strlen(text);
	const char *line;

	while (end > 0 && text[end - 1] == '\n')
		end--;
	text[end] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
			line += strlen(prefixes[i]);
	}
	return line;
}
