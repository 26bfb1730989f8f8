/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - see replay.h: pictures out of a recording. Single thread.
 */
#include "supervisor/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/png.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/hostfile.h"
#include "supervisor/output.h"

int replay_failed(const struct error *err, struct failure *failure)
{
	return failure_set_error(failure, STATUS_FAILED, CODE_HOST, NULL, err);
}

/* Goes to the last event at or before @at_ns. *out_time_ns is of the last frame. */
static int go_to(struct recording *recording, uint64_t at_ns, uint64_t *out_time_ns,
                 struct error *err)
{
	struct recording_event event;
	int ret;

	recording_rewind(recording);
	*out_time_ns = 0;
	/*
	 * The event behind it has been taken when it is seen to be later, so where to stop is counted in
	 * a first round.
	 */
	uint64_t count = 0;
	while ((ret = recording_next(recording, &event, err)) > 0 && event.time_ns <= at_ns)
		count++;
	recording_rewind(recording);
	while (ret >= 0 && count-- > 0 && (ret = recording_next(recording, &event, err)) > 0)
		if (event.kind == RECORDING_FRAME)
			*out_time_ns = event.time_ns;
	return ret < 0 ? ret : 0;
}

static int encode(const struct picture *picture, void **out_png, size_t *out_size,
                  struct failure *failure)
{
	cleanup_free uint8_t *rgb = malloc((size_t)picture->grid.width * picture->grid.height * 3);
	struct error err = { 0 };

	if (!rgb)
		return failure_set_nomem(failure);
	picture_get_rgb(picture, rgb);
	if (png_encode_rgb(rgb, picture->grid.width, picture->grid.height, out_png, out_size, &err))
		return failure_set_nomem(failure);
	return 0;
}

static int save(const void *png, size_t size, const char *path, struct failure *failure)
{
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;

	if (strcmp(path, "-") == 0)
		return output_write(STDOUT_FILENO, png, size, path, failure);
	if (hostfile_begin(path, &file, failure) < 0 ||
	    output_write(file.fd, png, size, path, failure) < 0)
		return -1;
	return hostfile_commit(&file, hostfile_default_mode(), failure);
}

int replay_picture(struct recording *recording, uint64_t at_ns, const char *path, json_t *answer,
                   struct failure *failure)
{
	const struct picture *picture;
	cleanup_free void *png = NULL;
	struct error err = { 0 };
	uint64_t time_ns;
	size_t size;

	if (go_to(recording, at_ns, &time_ns, &err) || recording_draw(recording, &picture, &err))
		return replay_failed(&err, failure);
	if (encode(picture, &png, &size, failure) < 0 || save(png, size, path, failure) < 0)
		return -1;
	json_object_update_new(answer,
	                       json_pack("{s:s,s:i,s:i,s:I,s:I}", "file", path, "width",
	                                 (int)picture->grid.width, "height",
	                                 (int)picture->grid.height, "size", (json_int_t)size,
	                                 "frame_ms", (json_int_t)(time_ns / NS_PER_MS)));
	return 0;
}
