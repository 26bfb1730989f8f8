/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.c - see output.h. No state, single thread.
 */
#include "supervisor/output.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"

json_t *output_answer_new(void)
{
	json_t *answer = json_pack("{s:b}", "ok", 1);

	if (!answer) {
		fputs("cloche: out of memory\n", stderr);
		exit(STATUS_FAILED);
	}
	return answer;
}

void output_answer(json_t *answer)
{
	json_dumpf(answer, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(answer);
}

void output_add_failure(json_t *answer, const struct failure *failure)
{
	json_t *error = json_pack("{s:s,s:s}", "code", failure->code, "message", failure->message);

	/* The message was cut in the middle of a character. */
	if (!error)
		error = json_pack("{s:s}", "code", failure->code);
	json_object_set_new(answer, "ok", json_false());
	json_object_set_new(answer, "error", error);
	json_object_set_new(answer, "exit", json_integer(failure->status));
	if (failure->report)
		json_object_set(answer, "report", failure->report);
}

void output_failure(const struct failure *failure, bool json)
{
	json_t *answer;

	if (!json) {
		fprintf(stderr, "cloche: %s\n", failure->message);
		return;
	}
	answer = output_answer_new();
	output_add_failure(answer, failure);
	output_answer(answer);
}

static bool shows_progress(const struct invocation *inv)
{
	return !inv->json && isatty(STDERR_FILENO);
}

void output_progress(const struct invocation *inv, const char *fmt, ...)
{
	va_list args;

	if (!shows_progress(inv))
		return;
	fputs("\r\033[K", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fflush(stderr);
}

void output_progress_clear(const struct invocation *inv)
{
	if (shows_progress(inv))
		fputs("\r\033[K", stderr);
}

bool output_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int output_write(int fd, const void *data, size_t size, const char *what, struct failure *failure)
{
	int ret = write_full(fd, data, size);

	return ret ? failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot write %s: %s", what,
	                         strerror(-ret))
	           : 0;
}

int output_text(const char *data, size_t size, struct failure *failure)
{
	cleanup_free char *copy = NULL;

	if (fflush(stdout) != 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot write stdout: %s",
		                   strerror(errno));
	if (!isatty(STDOUT_FILENO))
		return output_write(STDOUT_FILENO, data, size, "stdout", failure);
	copy = malloc(size + 1);
	if (!copy)
		return failure_set_nomem(failure);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];
		bool c1 = i > 0 && (unsigned char)data[i - 1] == 0xc2 && c >= 0x80 && c < 0xa0;
		bool plain = c == '\n' || c == '\t' || c == '\r' || (c >= 0x20 && c != 0x7f);

		copy[i] = plain && !c1 ? data[i] : '?';
	}
	return output_write(STDOUT_FILENO, copy, size, "stdout", failure);
}

char *output_base64(const void *bytes, size_t size)
{
	const uint8_t *data = bytes;
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((size + 2) / 3 * 4 + 1);
	char *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)data[i] << 16 |
		                 (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
		                 (left > 2 ? (uint32_t)data[i + 2] : 0);

		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[group & 63] : '=';
	}
	*out = '\0';
	return text;
}

bool output_add_bytes(json_t *object, const char *key, const void *data, size_t size)
{
	cleanup_free char *base64 = NULL;
	json_t *text = NULL;
	char name[64];

	if (size == 0 || !memchr(data, '\0', size))
		text = json_stringn(size ? data : "", size);
	if (text)
		return json_object_set_new(object, key, text) == 0;
	base64 = output_base64(data, size);
	if (!base64)
		return false;
	snprintf(name, sizeof(name), "%s_base64", key);
	return json_object_set_new(object, name, json_string(base64)) == 0;
}
