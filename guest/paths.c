/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paths.c - paths below home and /tmp, and nowhere else.
 */
#include "guest/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

/* The rest of @path below @folder, or NULL when it isn't below it by name. */
static const char *below(const char *folder, const char *path)
{
	size_t length = strlen(folder);

	if (strncmp(path, folder, length) != 0)
		return NULL;
	if (path[length] != '/' && path[length] != '\0')
		return NULL;
	for (path += length; *path == '/'; path++)
		continue;
	return *path ? path : ".";
}

int paths_split(const char *home, const char *path, const char **out_folder, const char **out_rest,
                struct error *err)
{
	const char *rest;

	if (!*path || strlen(path) >= PATH_MAX)
		return error_set(err, -EINVAL, "a path must have 1 to %d characters", PATH_MAX - 1);
	if (*path != '/') {
		*out_folder = home;
		*out_rest = path;
		return 0;
	}
	rest = below(home, path);
	if (rest) {
		*out_folder = home;
		*out_rest = rest;
		return 0;
	}
	rest = below("/tmp", path);
	if (!rest)
		return error_set(err, -EACCES, "%.128s is outside of %.64s and /tmp", path, home);
	*out_folder = "/tmp";
	*out_rest = rest;
	return 0;
}

int paths_open(const char *folder, const char *rest, int flags, unsigned int mode,
               struct error *err)
{
	struct open_how how = {
		.flags = (unsigned int)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_fd int base = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;

	if (base < 0)
		return error_set(err, -errno, "%.128s: %s", folder, strerror(errno));
	fd = syscall(SYS_openat2, base, rest, &how, sizeof(how));
	if (fd >= 0)
		return (int)fd;
	if (errno == EXDEV)
		return error_set(err, -EACCES, "%.128s leads out of %.64s", rest, folder);
	return error_set(err, -errno, "%.128s: %s", rest, strerror(errno));
}

int paths_open_parent(const char *folder, const char *rest, char *out_name, size_t size,
                      struct error *err)
{
	char parent[PATH_MAX];
	size_t end = strlen(rest), start;

	while (end > 0 && rest[end - 1] == '/')
		end--;
	for (start = end; start > 0 && rest[start - 1] != '/'; start--)
		continue;
	if (start == end || end - start >= size || end >= sizeof(parent) ||
	    (end - start == 1 && rest[start] == '.') ||
	    (end - start == 2 && !strncmp(rest + start, "..", 2)))
		return error_set(err, -EINVAL, "%.128s names no file or folder", rest);
	memcpy(out_name, rest + start, end - start);
	out_name[end - start] = '\0';
	if (!start)
		strcpy(parent, ".");
	else
		snprintf(parent, sizeof(parent), "%.*s", (int)start, rest);
	return paths_open(folder, parent, O_RDONLY | O_DIRECTORY, 0, err);
}
