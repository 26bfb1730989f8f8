/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ending.c - why a session's VMM has ended, from the files that it left; see session.h.
 *
 * report.json and vmm.log are written by a process that reads what a guest sends: both are bounded
 * here, believed only as text, and cleaned before they reach a terminal. No state, single thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "supervisor/session.h"

#define JSON_FILE_MAX ((size_t)1 << 20)
#define LOG_TAIL 4096
#define PANIC_PREFIX "Kernel panic - not syncing: "

static const struct {
	const char *reason, *words;
	bool complete; /* the report's detail would only say it again */
} reasons[] = {
	{ "shutdown", "the guest shut down", true },
	{ "reboot", "the guest rebooted", false },
	{ "quit", "it was told to quit", true },
	{ "ttl", "its time to live ran out", true },
	{ "panic", "the guest's kernel panicked", false },
	{ "triple_fault", "the guest crashed with a triple fault", false },
	{ "internal_error", "KVM could not go on with the guest", false },
	{ "host_error", "the host failed it", false },
};

/* Reads up to @size - 1 bytes from @offset (from the end when negative). Terminated. */
static size_t read_part(const struct session *session, const char *file, off_t offset,
                        char *out_text, size_t size)
{
	cleanup_fd int fd = session_open_file(session, file);
	struct stat st;

	out_text[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (offset < 0)
		offset = st.st_size > -offset ? st.st_size + offset : 0;
	ssize_t n = pread_full(fd, out_text, size - 1, (uint64_t)offset);
	size_t used = n > 0 ? (size_t)n : 0;
	out_text[used] = '\0';
	return used;
}

json_t *session_read_json(const struct session *session, const char *file)
{
	cleanup_free char *text = malloc(JSON_FILE_MAX + 1);
	json_t *object;
	size_t size;

	if (!text)
		return NULL;
	size = read_part(session, file, 0, text, JSON_FILE_MAX + 1);
	object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static void explain_report(const json_t *report, char *out_text, size_t size)
{
	const char *reason = json_string_value(json_object_get(report, "reason"));
	const char *detail = json_string_value(json_object_get(report, "detail"));
	const char *rip = json_string_value(json_object_get(report, "rip"));
	const char *words = reason ? reason : "it ended";
	bool complete = false;
	int n;

	for (size_t i = 0; reason && i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reason, reasons[i].reason) == 0) {
			words = reasons[i].words;
			complete = reasons[i].complete;
		}
	}
	if (detail && strncmp(detail, PANIC_PREFIX, strlen(PANIC_PREFIX)) == 0)
		detail += strlen(PANIC_PREFIX);
	if (complete || !detail || !*detail)
		n = snprintf(out_text, size, "%s", words);
	else
		n = snprintf(out_text, size, "%s: %s", words, detail);
	if (rip && n > 0 && (size_t)n < size)
		snprintf(out_text + n, size - (size_t)n, " (rip %s)", rip);
}

static void explain_log(const struct session *session, char *out_text, size_t size)
{
	char tail[LOG_TAIL + 1];
	size_t end = read_part(session, "vmm.log", -(off_t)LOG_TAIL, tail, sizeof(tail));
	const char *line;

	while (end > 0 && tail[end - 1] == '\0')
		end--;
	tail[end] = '\0';
	line = text_last_words(tail);
	snprintf(out_text, size, "%s", *line ? line : "it ended without a word; was it killed?");
}

void session_explain_end(const struct session *session, char *out_text, size_t size,
                         json_t **out_report)
{
	json_t *report = session_read_json(session, "report.json");

	if (report)
		explain_report(report, out_text, size);
	else
		explain_log(session, out_text, size);
	text_clean(out_text);
	if (out_report)
		*out_report = report;
	else
		json_decref(report);
}
