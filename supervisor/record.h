/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - a session recorded into a file, until something ends it (cmd_record.c). Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_RECORD_H
#define CLOCHE_SUPERVISOR_RECORD_H

#include "supervisor/client.h"
#include "supervisor/command.h"
#include "supervisor/recording_write.h"

struct record_options {
	const char *file;
	uint64_t max_bytes;
	uint64_t duration_ms; /* 0: without end */
	bool with_text;
};

struct record_result {
	struct recording_written written;
	uint64_t elapsed_ms;
	const char *reason; /* static: why it ended */
};

/*
 * Records, and shows how it goes. 0 when it ended as it should: interrupted by @signal_fd, by its limits or
 * with the session; the file is whole then. -1: it couldn't begin, or the disk is full; what there is can be
 * read.
 */
int record_run(const struct invocation *inv, struct client *client,
               const struct record_options *options, int signal_fd,
               struct record_result *out_result, struct failure *failure);

#endif
