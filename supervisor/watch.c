/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.c - see watch.h. Single thread.
 *
 *	           found: told, printed
 *	 looking -------------------------> standing
 *	    ^                                  | a frame in which it isn't there any more:
 *	    `----------------------------------' look at all of the screen, it may stand elsewhere
 *
 * While it stands, no other place is looked for: it was told that it is there.
 */
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "display/png_read.h"
#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "supervisor/output.h"
#include "supervisor/watching.h"

#define ALERT_TIMEOUT_MS 5000u

/* --- the template ---------------------------------------------------------------------------- */

static int read_file(const char *path, uint8_t **out_data, size_t *out_size,
                     struct failure *failure)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "cannot read %s: %s", path,
		                   strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)PNG_READ_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "%s is no regular file of up to %zu MiB", path,
		                   PNG_READ_MAX >> 20);
	cleanup_free uint8_t *data = malloc((size_t)st.st_size + 1);
	if (!data)
		return failure_set_nomem(failure);
	ssize_t n = read_full(fd, data, (size_t)st.st_size);
	if (n < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot read %s: %s", path,
		                   strerror((int)-n));
	*out_data = steal_pointer(&data);
	*out_size = (size_t)n;
	return 0;
}

static int read_png(const char *path, struct png_pixels *out_pixels, struct failure *failure)
{
	cleanup_free uint8_t *data = NULL;
	struct error err = { 0 };
	size_t size = 0;

	if (read_file(path, &data, &size, failure) < 0)
		return -1;
	if (png_read(data, size, out_pixels, &err))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "%s is no sound PNG: %s",
		                   path, err.msg);
	return 0;
}

static int create(const char *path, const struct png_pixels *picture, const struct png_pixels *mask,
                  struct find_template **out_template, struct failure *failure)
{
	struct error err = { 0 };

	if (mask->argb && (mask->width != picture->width || mask->height != picture->height))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "the mask is %ux%u pixels, %s is %ux%u", mask->width,
		                   mask->height, path, picture->width, picture->height);
	if (find_create(picture->argb, mask->argb, picture->width, picture->height, out_template,
	                &err))
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "%s can't be looked for: %s",
		                   path, err.msg);
	return 0;
}

int watch_load(const char *files, struct find_template **out_template, struct failure *failure)
{
	struct png_pixels picture = { 0 }, mask = { 0 };
	cleanup_free char *path = strdup(files);
	char *colon = path ? strrchr(path, ':') : NULL;
	int ret;

	if (!path)
		return failure_set_nomem(failure);
	/* A file that has a colon in its name, and no mask. */
	if (colon && access(path, F_OK) == 0)
		colon = NULL;
	if (colon)
		*colon = '\0';
	ret = read_png(path, &picture, failure);
	if (ret == 0 && colon)
		ret = read_png(colon + 1, &mask, failure);
	if (ret == 0)
		ret = create(path, &picture, &mask, out_template, failure);
	free(picture.argb);
	free(mask.argb);
	return ret;
}

/* --- watching -------------------------------------------------------------------------------- */

struct watcher {
	const struct invocation *inv; /* borrowed */
	const struct watch_options *options;
	struct watching watching;
	struct failure *failure;
	bool standing; /* at .place */
	struct rectangle place;
	uint64_t seen;
};

static int tell_vmm(struct watcher *watcher)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	const struct rectangle *p = &watcher->place;

	return client_call(watcher->watching.client,
	                   json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:b}", "verb", "alert", "name",
	                             watcher->options->name, "x", (int)p->x, "y", (int)p->y,
	                             "width", (int)p->width, "height", (int)p->height, "freeze",
	                             watcher->options->freeze),
	                   NULL, 0, ALERT_TIMEOUT_MS, &reply, watcher->failure);
}

static void print(const struct watcher *watcher, const struct frame_head *head)
{
	const struct rectangle *p = &watcher->place;
	time_t seconds = (time_t)(head->realtime_ns / 1000000000ull);
	char when[32] = "";
	struct tm tm;

	if (watcher->inv->json) {
		json_t *answer = output_answer_new();

		json_object_update_new(answer,
		                       json_pack("{s:s,s:i,s:i,s:i,s:i,s:I,s:I,s:b}", "name",
		                                 watcher->options->name, "x", (int)p->x, "y",
		                                 (int)p->y, "width", (int)p->width, "height",
		                                 (int)p->height, "frame", (json_int_t)head->number,
		                                 "realtime_ns", (json_int_t)head->realtime_ns,
		                                 "frozen", watcher->options->freeze));
		output_answer(answer);
	} else {
		if (localtime_r(&seconds, &tm))
			strftime(when, sizeof(when), "%H:%M:%S", &tm);
		printf("%s  %s  at %u,%u  %ux%u%s\n", when, watcher->options->name, p->x, p->y,
		       p->width, p->height, watcher->options->freeze ? "  frozen" : "");
	}
	fflush(stdout);
}

static int on_frame(struct frames *frames, void *arg)
{
	struct watcher *watcher = arg;
	struct picture *picture = &frames->picture;

	if (watcher->standing) {
		if (find_is_at(watcher->options->template, picture, watcher->place.x,
		               watcher->place.y))
			return 0;
		watcher->standing = false;
		memset(picture->changed, 1, picture_tile_count(picture));
	}
	if (!find_changed(watcher->options->template, picture, &watcher->place))
		return 0;
	watcher->standing = true;
	watcher->seen++;
	if (tell_vmm(watcher) < 0)
		return -1;
	print(watcher, &frames->head);
	return watcher->options->once ? -1 : 0;
}

int watch_run(const struct invocation *inv, struct client *client,
              const struct watch_options *options, int signal_fd, uint64_t *out_seen,
              struct failure *failure)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int ret;

	if (!watcher)
		return failure_set_nomem(failure);
	*watcher = (struct watcher){ .inv = inv, .options = options, .failure = failure };
	/* What is there for a moment only is to be seen as well: the screen is looked at 30 times a second. */
	watcher->watching = (struct watching){ .client = client,
		                               .signal_fd = signal_fd,
		                               .fast = true,
		                               .frame = on_frame,
		                               .arg = watcher,
		                               .fd = -1 };
	ret = watching_begin(&watcher->watching, failure);
	if (ret == 0)
		ret = watching_run(&watcher->watching, failure);
	*out_seen = watcher->seen;
	watching_finish(&watcher->watching);
	free(watcher);
	return ret < 0 || failure->status ? -1 : 0;
}
