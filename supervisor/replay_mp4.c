/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_mp4.c - `cloche replay --mp4`: a recording as a film. Single thread.
 *
 * ffmpeg(1) gets the pixels on its stdin, a picture for each moment of the film, and writes the file. It is
 * a program of the host's, given no byte that isn't a pixel; the recording's text never reaches it.
 */
#include "supervisor/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "display/pixels.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"

struct film {
	const struct invocation *inv; /* borrowed */
	struct recording *recording;  /* borrowed */
	struct failure *failure;
	int signal_fd;
	unsigned rate;
	unsigned width, height; /* of all pictures: the largest screen's, even as H.264 wants it */
	uint8_t *rgb;           /* owned: the picture that is shown */
	int fd;                 /* owned: ffmpeg's stdin */
	uint64_t pictures;      /* sent */
};

/* --- ffmpeg ---------------------------------------------------------------------------------- */

static int spawn(struct film *film, const char *path, pid_t *out_pid)
{
	char size[32], rate[16];
	char *argv[] = { (char *)"ffmpeg",
		         (char *)"-hide_banner",
		         (char *)"-loglevel",
		         (char *)"error",
		         (char *)"-nostdin",
		         (char *)"-y",
		         (char *)"-f",
		         (char *)"rawvideo",
		         (char *)"-pixel_format",
		         (char *)"rgb24",
		         (char *)"-video_size",
		         size,
		         (char *)"-framerate",
		         rate,
		         (char *)"-i",
		         (char *)"pipe:0",
		         (char *)"-pix_fmt",
		         (char *)"yuv420p",
		         (char *)"-movflags",
		         (char *)"+faststart",
		         (char *)"-f",
		         (char *)"mp4",
		         NULL,
		         NULL };
	/* What ffmpeg would take for an option or a protocol is a file's name here. */
	cleanup_free char *target = NULL;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int fds[2];

	if (asprintf(&target, "file:%s", path) < 0)
		return failure_set_nomem(film->failure);
	argv[22] = target;
	snprintf(size, sizeof(size), "%ux%u", film->width, film->height);
	snprintf(rate, sizeof(rate), "%u", film->rate);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return failure_set(film->failure, STATUS_FAILED, CODE_HOST, "pipe: %s",
		                   strerror(errno));
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], STDIN_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	int ret = posix_spawnp(out_pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(fds[0]);
	film->fd = fds[1];
	if (ret == ENOENT)
		return failure_set(film->failure, STATUS_FAILED, CODE_HOST,
		                   "ffmpeg isn't installed, and --mp4 needs it; on Debian: "
		                   "apt-get install ffmpeg (or take --html)");
	if (ret)
		return failure_set(film->failure, STATUS_FAILED, CODE_HOST, "cannot run ffmpeg: %s",
		                   strerror(ret));
	return 0;
}

/* Waits for its end. -1: it failed, and has said on stderr why. */
static int reap(pid_t pid, struct failure *failure)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return failure_set(failure, STATUS_FAILED, CODE_HOST, "waitpid: %s",
			                   strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (failure->status)
		return -1;
	return failure_set(failure, STATUS_FAILED, CODE_HOST, "ffmpeg could not write the film");
}

/* --- pictures -------------------------------------------------------------------------------- */

/* The screen as it is now, in the top left corner of the film's. */
static int draw(struct film *film)
{
	const struct picture *picture;
	struct error err = { 0 };

	if (recording_draw(film->recording, &picture, &err))
		return replay_failed(&err, film->failure);
	memset(film->rgb, 0, (size_t)film->width * film->height * 3);
	for (unsigned y = 0; y < picture->grid.height; y++)
		pixels_to_rgb(picture->pixels + (size_t)y * picture->grid.width,
		              picture->grid.width, film->rgb + (size_t)y * film->width * 3);
	return 0;
}

/* Sends the picture for all moments before @time_ns. */
static int show_until(struct film *film, uint64_t time_ns)
{
	uint64_t until = time_ns * film->rate / NS_PER_S;

	for (; film->pictures < until; film->pictures++) {
		if (interrupt_has_come(film->signal_fd))
			return failure_set(film->failure, STATUS_FAILED, CODE_INTERRUPTED,
			                   "interrupted");
		if (output_write(film->fd, film->rgb, (size_t)film->width * film->height * 3,
		                 "to ffmpeg", film->failure) < 0)
			return -1;
		output_progress(film->inv, "%llu s of %llu s",
		                (unsigned long long)(film->pictures / film->rate),
		                (unsigned long long)(recording_info(film->recording)->duration_ns /
		                                     NS_PER_S));
	}
	return 0;
}

static int show_all(struct film *film)
{
	uint64_t end = recording_info(film->recording)->duration_ns;
	struct recording_event event;
	struct error err = { 0 };
	int ret;

	recording_rewind(film->recording);
	while ((ret = recording_next(film->recording, &event, &err)) > 0)
		/* What was shown before it, up to then. */
		if (event.kind == RECORDING_FRAME &&
		    (show_until(film, event.time_ns) < 0 || draw(film) < 0))
			return -1;
	if (ret < 0)
		return replay_failed(&err, film->failure);
	/* The last one, too, for a moment at least. */
	return show_until(film, end + NS_PER_S / film->rate);
}

int replay_mp4(const struct invocation *inv, struct recording *recording, unsigned rate,
               const char *path, int signal_fd, struct failure *failure)
{
	const struct recording_info *info = recording_info(recording);
	struct film film = { .inv = inv,
		             .recording = recording,
		             .failure = failure,
		             .signal_fd = signal_fd,
		             .rate = rate,
		             .width = (info->width + 1) & ~1u,
		             .height = (info->height + 1) & ~1u,
		             .fd = -1 };
	pid_t pid;

	if (info->frames == 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "there is no picture in the recording");
	film.rgb = calloc((size_t)film.width * film.height, 3);
	if (!film.rgb)
		return failure_set_nomem(failure);
	int ret = spawn(&film, path, &pid);
	if (ret == 0) {
		ret = show_all(&film);
		close_fd(&film.fd);
		if (ret < 0)
			kill(pid, SIGTERM);
		ret = reap(pid, failure) < 0 ? -1 : ret;
		output_progress_clear(inv);
	}
	close_fd(&film.fd);
	free(film.rgb);
	return ret;
}
