/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * residents.c - see residents.h. No state, single thread.
 */
#include "supervisor/residents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define FOLDER ".templates"
#define ID_DIGITS (TEMPLATE_ID_SIZE - 1)
/* One part in so many of the file system stays free: sockets and logs of sessions live there too. */
#define SPARE_PART 8

void residents_close(struct residents *residents)
{
	close_fd(&residents->fd);
	free(residents->path);
	residents->path = NULL;
}

int residents_open(struct residents *out_residents, struct failure *failure)
{
	cleanup_residents struct residents residents = RESIDENTS_INIT;
	cleanup_fd int root_fd = -1;
	cleanup_free char *root = NULL;

	if (session_open_root(true, &root_fd, &root, failure) < 0)
		return -1;
	if (asprintf(&residents.path, "%s/" FOLDER, root) < 0) {
		residents.path = NULL;
		return failure_set_nomem(failure);
	}
	if (mkdirat(root_fd, FOLDER, 0700) < 0 && errno != EEXIST)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot make %.200s: %s",
		                   residents.path, strerror(errno));
	residents.fd = openat(root_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (residents.fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot open %.200s as a folder: %s", residents.path,
		                   strerror(errno));
	if (session_check_folder(residents.fd, residents.path, failure) < 0)
		return -1;
	*out_residents = residents;
	residents = (struct residents)RESIDENTS_INIT;
	return 0;
}

bool residents_can_hold(const struct residents *residents, const char *id, uint64_t bytes)
{
	char name[ID_DIGITS + sizeof(".mem")];
	struct statvfs fs;
	uint64_t all;
	uint64_t free_bytes;

	snprintf(name, sizeof(name), "%.*s.mem", ID_DIGITS, id);
	if (faccessat(residents->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	if (fstatvfs(residents->fd, &fs) < 0)
		return false;
	/* A ramfs counts nothing. */
	all = (uint64_t)fs.f_blocks * fs.f_frsize;
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return all == 0 || (bytes <= free_bytes && free_bytes - bytes >= all / SPARE_PART);
}

/* What a builder holds its lock on isn't stale. */
static bool is_locked(int folder_fd, const char *name)
{
	cleanup_fd int fd =
		openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void residents_prune(const struct residents *residents, const struct template_folder *folder)
{
	int own = openat(residents->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	const struct dirent *entry;

	if (!dir)
		close_fd(&own);
	while (dir && (entry = readdir(dir))) {
		/* "ID.mem", "ID.lock"; and with a dot before it what a builder left. */
		const char *at = entry->d_name + (entry->d_name[0] == '.');
		char id[TEMPLATE_ID_SIZE];

		if (strspn(at, "0123456789abcdef") != ID_DIGITS)
			continue;
		memcpy(id, at, ID_DIGITS);
		id[ID_DIGITS] = '\0';
		if (!template_uses(folder, id) && !is_locked(residents->fd, entry->d_name))
			unlinkat(residents->fd, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}
