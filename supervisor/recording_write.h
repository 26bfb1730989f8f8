/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_write.h - a recording being made: appended to, a record at a time (recording_format.h).
 *
 * Each record is one write(2), so what a reader, or the end by kill -9, finds are whole records and at
 * most a part of one. A record that the disk has no room for is taken back. Single thread; blocks on
 * the disk.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_WRITE_H
#define CLOCHE_SUPERVISOR_RECORDING_WRITE_H

#include "supervisor/recording_format.h"

struct recording_writer; /* opaque */

/* What is in the file. */
struct recording_written {
	uint64_t bytes, frames, actions;
	uint64_t tiles, rows; /* that were new */
	uint64_t last_ns;     /* since the beginning */
};

/*
 * Makes @path, mode 0600, which must not exist. 0; -EEXIST, other -errno with @err naming it. The
 * recording begins at header->begun_ns.
 */
int recording_create(const char *path, const struct recording_header *header,
                     struct recording_writer **out_writer, struct error *err);

/*
 * Appends what of @picture is marked as changed, at @realtime_ns; all of it when it has another size
 * than before. A clock that was set back makes no time negative. 0; -EFBIG: the file would be longer
 * than a recording may be; -errno: nothing was appended.
 */
int recording_put_frame(struct recording_writer *writer, uint64_t number, uint64_t realtime_ns,
                        const struct picture *picture, struct error *err);

/* Appends an action; @text is JSON, at most RECORD_ACTION_MAX bytes, and longer is cut off: dropped. */
int recording_put_action(struct recording_writer *writer, uint64_t realtime_ns, const char *text,
                         struct error *err);

struct recording_written recording_written(const struct recording_writer *writer);

/*
 * Ends it at @realtime_ns: END, fsync(2). The writer is gone, whatever is returned; *out_written, likewise,
 * is what is in the file.
 */
int recording_finish(struct recording_writer *writer, uint64_t realtime_ns,
                     struct recording_written *out_written, struct error *err);

/* Leaves it as it is. Takes NULL. */
void recording_abandon(struct recording_writer *writer);

#endif
