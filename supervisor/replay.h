/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.h - what becomes of a recording: a picture, a list, a page, a film. Single thread.
 *
 * Each function reads the recording from its beginning. It is not trusted (recording_read.h).
 */
#ifndef CLOCHE_SUPERVISOR_REPLAY_H
#define CLOCHE_SUPERVISOR_REPLAY_H

#include "supervisor/command.h"
#include "supervisor/recording_read.h"

/* What a file of ours that couldn't be read is told as. Returns -1. */
int replay_failed(const struct error *err, struct failure *failure);

/* The screen as it was @at_ns after the beginning, as a PNG at @path ("-": stdout). */
int replay_picture(struct recording *recording, uint64_t at_ns, const char *path, json_t *answer,
                   struct failure *failure);

/*
 * A page that needs nothing but itself: pictures, actions, and the script that shows them
 * (replay_page.html has how).
 */
int replay_html(const struct invocation *inv, struct recording *recording, const char *path,
                struct failure *failure);

/* A film of @rate pictures a second, made by ffmpeg(1), which must be installed. */
int replay_mp4(const struct invocation *inv, struct recording *recording, unsigned rate,
               const char *path, int signal_fd, struct failure *failure);

#endif
