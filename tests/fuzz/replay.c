/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - a fuzz target's main without libFuzzer: replay FILE|FOLDER…
 *
 * Each input is a test and runs in a process of its own, so one that crashes or hangs is counted and
 * named and the others still run. Any compiler will do; a sanitizer's verdict is a crash too. The
 * last line is what scripts/run-tests counts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

/* Long beyond what an input takes, sanitizers and a busy machine included. */
#define SECONDS_MAX 60
#define INPUT_MAX ((size_t)16 << 20)

static unsigned passed, failed;

/* 0, or 1 when the file can't be read: then it says so. */
static int run_input(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size > INPUT_MAX) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return 1;
	}
	/* A block of exactly the input's size, so that a sanitizer sees who reads behind it. */
	size_t size = (size_t)st.st_size;
	cleanup_free uint8_t *data = malloc(size);
	if ((!data && size) || read(fd, data, size) != (ssize_t)size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return 1;
	}
	return LLVMFuzzerTestOneInput(data, size) != 0;
}

static void run_file(const char *path)
{
	int status = 0;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int argc = 0;
		char **argv = NULL;

		alarm(SECONDS_MAX);
		LLVMFuzzerInitialize(&argc, &argv);
		/* exit() and not _exit(): the leak checker looks then. */
		exit(run_input(path));
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		passed++;
		return;
	}
	failed++;
	if (pid > 0 && WIFSIGNALED(status))
		printf("FAIL %s: signal %d (%s)\n", path, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else
		printf("FAIL %s: status %d\n", path, pid < 0 ? -errno : WEXITSTATUS(status));
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_visible, alphasort);

	for (int i = 0; i < count; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		run_file(file);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed || passed == 0;
}
