/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_read.h - a recording being looked at (recording_format.h).
 *
 * The file is not trusted. Opening it reads all of it once and checks every record; what a frame brings
 * is unpacked when it is drawn, and checked again then. Memory: 16 bytes a record that brings tiles, a
 * record at a time, and what was unpacked last, up to 128 MiB. Only regular files; never mapped, so one
 * that shrinks is an error like any other. Single thread.
 *
 *	recording_open()
 *	recording_next()…     events in their order, from the beginning
 *	recording_draw()      whenever the screen is wanted as it is after the last one
 *	recording_rewind()    to begin anew
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_READ_H
#define CLOCHE_SUPERVISOR_RECORDING_READ_H

#include "supervisor/recording_format.h"

struct recording; /* opaque */

/* What all of it holds. */
struct recording_info {
	struct recording_header header;
	bool whole;           /* it has an end; else whoever recorded was killed */
	uint64_t duration_ns; /* up to the last record that is whole */
	uint64_t bytes;       /* up to there */
	uint64_t frames, actions, tiles, rows;
	unsigned width, height; /* of the largest screen; 0: there is none */
};

enum recording_event_kind { RECORDING_SCREEN, RECORDING_FRAME, RECORDING_ACTION };

struct recording_event {
	enum recording_event_kind kind;
	uint64_t time_ns;
	uint64_t number;        /* FRAME: the VMM's */
	unsigned width, height; /* SCREEN */
	const char *text; /* ACTION: borrowed until the next event is read or the screen drawn */
	size_t text_size;
	/* FRAME: what has changed; place and tile of each by turns. Borrowed until the next event. */
	const uint32_t *places;
	size_t place_count;
	struct frame_fields fields; /* FRAME */
};

/* 0; -errno with @err, which names the file: no recording, damaged, another version. */
int recording_open(const char *path, struct recording **out_recording, struct error *err);

/* Takes NULL. */
void recording_close(struct recording *recording);
#define cleanup_recording __attribute__((cleanup(recording_close_pointer)))

static inline void recording_close_pointer(struct recording **recording)
{
	recording_close(*recording);
}

const struct recording_info *recording_info(const struct recording *recording);

void recording_rewind(struct recording *recording);

/* 1: the next event; 0: there is none; -errno. */
int recording_next(struct recording *recording, struct recording_event *out_event,
                   struct error *err);

/*
 * The screen as it is now; *out_picture is borrowed until the next event, its .changed are the tiles
 * that aren't as in the last one that was drawn. -ENODATA: no screen yet; -EBADMSG and the like.
 */
int recording_draw(struct recording *recording, const struct picture **out_picture,
                   struct error *err);

/*
 * What the frame of the last event brings: tiles as runs, and rows. NULL in *out_content: nothing.
 * Borrowed until the next event.
 */
int recording_get_content(struct recording *recording, const struct recording_content **out_content,
                          struct error *err);

#endif
