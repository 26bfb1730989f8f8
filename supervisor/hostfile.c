/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostfile.c - see hostfile.h. No state, single thread.
 */
#include "supervisor/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

#define NAME_TRIES 16

void hostfile_finish(struct hostfile *file)
{
	if (file->temporary)
		unlinkat(file->folder_fd, file->temporary, 0);
	close_fd(&file->fd);
	close_fd(&file->folder_fd);
	free(file->temporary);
	free(file->path);
	*file = (struct hostfile)HOSTFILE_INIT;
}

static int cannot_write(const char *path, int rc, struct failure *failure)
{
	return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot write %.300s: %s", path,
	                   strerror(-rc));
}

/* A temporary name that nobody else takes at this moment; owned by the caller. */
static char *make_name(int try)
{
	char *name;

	if (asprintf(&name, ".cloche-%d-%llx-%d", (int)getpid(), (unsigned long long)clock_now_ns(),
	             try) < 0)
		return NULL;
	return name;
}

/* Opens the unnamed file, or a temporary one. 0 or -errno. */
static int open_temporary(struct hostfile *file)
{
	file->fd = openat(file->folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return file->fd >= 0 ? 0 : -errno;
	for (int try = 0; try < NAME_TRIES; try++) {
		file->temporary = make_name(try);
		if (!file->temporary)
			return -ENOMEM;
		file->fd = openat(file->folder_fd, file->temporary,
		                  O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (file->fd >= 0)
			return 0;
		free(file->temporary);
		file->temporary = NULL;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_folder(struct hostfile *file)
{
	const char *base = base_name(file->path);
	cleanup_free char *folder = strndup(file->path, (size_t)(base - file->path));

	if (!folder)
		return -ENOMEM;
	file->folder_fd = open(*folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file->folder_fd >= 0 ? 0 : -errno;
}

int hostfile_begin(const char *path, struct hostfile *out_file, struct failure *failure)
{
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;
	struct stat st;
	bool exists = stat(path, &st) == 0;
	int rc;

	if (!*path || (exists && S_ISDIR(st.st_mode)))
		return cannot_write(path, *path ? -EISDIR : -ENOENT, failure);
	file.path = exists ? realpath(path, NULL) : strdup(path);
	if (!file.path)
		return cannot_write(path, -errno, failure);
	if (exists && !S_ISREG(st.st_mode)) {
		file.fd = open(file.path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		rc = file.fd >= 0 ? 0 : -errno;
	} else {
		rc = open_folder(&file);
		if (rc == 0)
			rc = open_temporary(&file);
	}
	if (rc < 0)
		return cannot_write(path, rc, failure);
	*out_file = file;
	file = (struct hostfile)HOSTFILE_INIT;
	return 0;
}

/* Gives an unnamed file a temporary name: linkat(2) can't replace, rename(2) can. 0 or -errno. */
static int name_file(struct hostfile *file)
{
	char source[32];

	snprintf(source, sizeof(source), "/proc/self/fd/%d", file->fd);
	for (int try = 0; try < NAME_TRIES; try++) {
		char *name = make_name(try);

		if (!name)
			return -ENOMEM;
		if (linkat(AT_FDCWD, source, file->folder_fd, name, AT_SYMLINK_FOLLOW) == 0) {
			file->temporary = name;
			return 0;
		}
		free(name);
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int hostfile_commit(struct hostfile *file, mode_t mode, struct failure *failure)
{
	int rc = 0;

	if (file->folder_fd < 0)
		return 0;
	if (fchmod(file->fd, mode) < 0)
		rc = -errno;
	if (rc == 0 && !file->temporary)
		rc = name_file(file);
	if (rc == 0 &&
	    renameat(file->folder_fd, file->temporary, file->folder_fd, base_name(file->path)) < 0)
		rc = -errno;
	if (rc < 0)
		return cannot_write(file->path, rc, failure);
	free(file->temporary);
	file->temporary = NULL;
	return 0;
}

mode_t hostfile_default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}
