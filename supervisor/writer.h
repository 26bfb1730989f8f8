/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - a snapshot of a running session, taken and followed. Single thread; blocks.
 *
 * The VMM forks, and the copy, the writer, writes the file while the session runs on. It says how far it
 * is, and at last how it went, in lines of JSON on a socket that we gave it (lib/proto.h, "snapshot").
 */
#ifndef CLOCHE_SUPERVISOR_WRITER_H
#define CLOCHE_SUPERVISOR_WRITER_H

#include <stdint.h>

#include "supervisor/client.h"
#include "supervisor/command.h"
#include "supervisor/progress.h"

#define WRITER_ID_SIZE 33

/* What was saved. */
struct writer_result {
	char id[WRITER_ID_SIZE];
	uint64_t pause_us;               /* how long the session stood still */
	uint64_t file_bytes;             /* of the file */
	uint64_t zero, lz4, raw, parent; /* chunks of 64 KiB */
	uint64_t ram_bytes, elapsed_ms;
};

/*
 * Saves the session behind @client in @path, as the difference to @parent unless that is NULL; both are
 * absolute. Shows a bar. Returns when the file is there, or with -1: then what was at @path before is
 * there, and the writer has ended. @signal_fd is interrupt_watch()'s.
 */
int writer_save(const struct invocation *inv, struct client *client, const char *path,
                const char *parent, int signal_fd, struct writer_result *out_result,
                struct failure *failure);

/* --- what the writer says; for writer_save() and its tests --- */

struct writer_stream {
	struct wire_parser lines;
	struct progress progress; /* the latest */
	struct writer_result result;
	bool ended; /* the result is there */
};

void writer_stream_init(struct writer_stream *stream);
void writer_stream_finish(struct writer_stream *stream);

/*
 * Takes @size bytes of what the writer says. 0; -1: it says that it failed (in its words), or what it
 * says makes no sense. Lines are bounded (lib/wire.h); what follows the last word is passed over.
 */
int writer_stream_push(struct writer_stream *stream, const void *data, size_t size,
                       struct failure *failure);

#endif
