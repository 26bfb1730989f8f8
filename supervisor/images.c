/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * images.c - see images.h. No state, single thread.
 */
#include "supervisor/images.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define KERNEL_FILE "vmlinux"
#define INITRAMFS_FILE "initramfs.cpio"
#define IMAGE_FILE "root.erofs"

void images_finish(struct images *images)
{
	free(images->kernel);
	free(images->initramfs);
	free(images->image);
	free(images->folder);
	*images = (struct images){ 0 };
}

/* The folder that this program lies in. Owned by the caller; NULL when nobody knows. */
static char *program_folder(void)
{
	char path[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (size < 0)
		return NULL;
	path[size] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return strdup(path);
}

/* "@folder/@rest" with links and dots resolved, or NULL. Owned by the caller. */
static char *resolve(const char *folder, const char *rest)
{
	cleanup_free char *joined = NULL;

	if (!folder || asprintf(&joined, "%s/%s", folder, rest) < 0) {
		joined = NULL;
		return NULL;
	}
	return realpath(joined, NULL);
}

/* 0 when @path is a regular file that we may read, else -errno. */
static int check_readable(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

/* A file that the user named. */
static int find_named(const char *option, const char *named, char **out_path,
                      struct failure *failure)
{
	cleanup_free char *path = realpath(named, NULL);
	int rc = path ? check_readable(path) : -errno;

	if (rc < 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--%s: cannot use %.200s: %s",
		                   option, named,
		                   rc == -EINVAL ? "not a regular file" : strerror(-rc));
	*out_path = steal_pointer(&path);
	return 0;
}

/* The folder of the images: $CLOCHE_IMAGES or the first of ours that exists. May be NULL. */
static char *find_folder(void)
{
	const char *named = getenv("CLOCHE_IMAGES");
	cleanup_free char *program = program_folder();
	char *found;

	if (named && *named)
		return strdup(named);
	found = resolve(program, "../images");
	if (!found)
		found = resolve(program, "../share/cloche/images");
	return found;
}

static int find_one(const char *folder, const char *option, const char *named, const char *file,
                    char **out_path, struct failure *failure)
{
	cleanup_free char *path = NULL;
	int rc;

	if (named)
		return find_named(option, named, out_path, failure);
	path = resolve(folder, file);
	rc = path ? check_readable(path) : -errno;
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "the guest's %s is not in %.200s (%s); build it with `make "
		                   "images`, or set CLOCHE_IMAGES or --%s",
		                   file, folder ? folder : "any known place", strerror(-rc),
		                   option);
	*out_path = steal_pointer(&path);
	return 0;
}

int images_find(const char *kernel, const char *initramfs, const char *image,
                struct images *out_images, struct failure *failure)
{
	cleanup_free char *folder = find_folder();
	cleanup_images struct images found = { 0 };

	if (find_one(folder, "kernel", kernel, KERNEL_FILE, &found.kernel, failure) < 0 ||
	    find_one(folder, "initramfs", initramfs, INITRAMFS_FILE, &found.initramfs, failure) <
	            0 ||
	    find_one(folder, "image", image, IMAGE_FILE, &found.image, failure) < 0)
		return -1;
	found.folder = steal_pointer(&folder);
	*out_images = found;
	found = (struct images){ 0 };
	return 0;
}

static char *executable_at(const char *folder, const char *rest)
{
	char *path = resolve(folder, rest);

	if (path && access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *search_path(const char *program)
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t size = strcspn(at, ":");
		cleanup_free char *folder = strndup(at, size);
		/* Only absolute folders: what lies in the current one is not ours to start. */
		char *path = folder && *folder == '/' ? executable_at(folder, program) : NULL;

		if (path)
			return path;
		at += size + (at[size] == ':');
	}
	return NULL;
}

/* A program that comes with this one: beside it, in its libexec, in PATH. */
static int find_program(const char *name, const char *advice, char **out_path,
                        struct failure *failure)
{
	cleanup_free char *folder = program_folder();
	char libexec[64];
	char *path = executable_at(folder, name);

	snprintf(libexec, sizeof(libexec), "../libexec/cloche/%s", name);
	if (!path)
		path = executable_at(folder, libexec);
	if (!path)
		path = search_path(name);
	if (!path)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "%s is neither beside cloche nor in PATH; build it with "
		                   "`make`%s",
		                   name, advice);
	*out_path = path;
	return 0;
}

int images_find_vmm(char **out_path, struct failure *failure)
{
	const char *named = getenv("CLOCHE_VMM");
	char *path;

	if (named && *named) {
		path = realpath(named, NULL);
		if (!path || access(path, X_OK) < 0) {
			free(path);
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "CLOCHE_VMM names no program: %.200s", named);
		}
		*out_path = path;
		return 0;
	}
	return find_program("cloche-vmm", ", or set CLOCHE_VMM", out_path, failure);
}

int images_find_view(char **out_path, struct failure *failure)
{
	return find_program("cloche-view", "", out_path, failure);
}
