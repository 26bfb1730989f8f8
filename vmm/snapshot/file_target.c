/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/file_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define MODE 0600
#define ATTEMPTS 100 /* at a name that others come and go under, 10 ms apart */
#define ATTEMPT_NS 10000000l

static int refuse(const struct file_target *t, int code, struct error *err)
{
	return error_set(err, code, "cannot write %s: %s", t->path, strerror(-code));
}

static int refuse_busy(const struct file_target *t, struct error *err)
{
	return error_set(err, -EBUSY, "another snapshot to %s is being written", t->path);
}

/* Splits the path; the folder is opened, so that it stays the same one. */
static int open_folder(struct file_target *t, struct error *err)
{
	const char *slash = strrchr(t->path, '/');
	const char *name = slash ? slash + 1 : t->path;
	char folder[PATH_MAX] = ".";

	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(err, -EINVAL, "'%s' names a folder, not a file", t->path);
	if (slash && snprintf(folder, sizeof(folder), "%.*s", (int)(name - t->path), t->path) >=
	                     (int)sizeof(folder))
		return refuse(t, -ENAMETOOLONG, err);
	if (snprintf(t->partial, sizeof(t->partial), ".%s.partial", name) >=
	    (int)sizeof(t->partial))
		return refuse(t, -ENAMETOOLONG, err);
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->folder < 0 ? refuse(t, -errno, err) : 0;
}

bool file_target_examine(const struct file_target *target, struct stat *out_stat)
{
	return fstatat(target->folder, target->name, out_stat, AT_SYMLINK_NOFOLLOW) == 0;
}

static int check_place(const struct file_target *t, struct error *err)
{
	struct stat st;

	if (file_target_examine(t, &st) && !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is there, and no regular file", t->path);
	return 0;
}

/* Whether ".NAME.partial" is still the file that @fd is open on. */
static bool is_partial(const struct file_target *t, int fd)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 &&
	       fstatat(t->folder, t->partial, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* Removes what a writer that died has left. 0: the name was free or is now; -EBUSY: in use. */
static int remove_stale(const struct file_target *t, struct error *err)
{
	cleanup_fd int fd = openat(t->folder, t->partial,
	                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "cannot write %s: %s is in the way", t->path,
		                 t->partial);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return refuse_busy(t, err);
	/* Its writer may have renamed it before it let go of the lock. */
	if (is_partial(t, fd) && unlinkat(t->folder, t->partial, 0) && errno != ENOENT)
		return refuse(t, -errno, err);
	return 0;
}

static void pause_a_moment(void)
{
	const struct timespec moment = { .tv_nsec = ATTEMPT_NS };

	nanosleep(&moment, NULL);
}

/* The way of file systems without O_TMPFILE: with its name from the start. */
static int open_named(struct file_target *t, struct error *err)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		int ret = remove_stale(t, err);
		if (ret)
			return ret;
		cleanup_fd int fd =
			openat(t->folder, t->partial,
		               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
		if (fd < 0 && errno != EEXIST)
			return refuse(t, -errno, err);
		/* Until it is locked somebody else may take it for stale. */
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_partial(t, fd)) {
			t->fd = steal_fd(&fd);
			t->has_name = true;
			return 0;
		}
		pause_a_moment();
	}
	return refuse_busy(t, err);
}

int file_target_open(struct file_target *target, const char *path, struct error *err)
{
	target->path = path;
	int ret = open_folder(target, err);
	if (ret == 0)
		ret = check_place(target, err);
	if (ret == 0)
		ret = remove_stale(target, err);
	if (ret)
		return ret;
	target->fd = openat(target->folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, MODE);
	if (target->fd >= 0)
		return flock(target->fd, LOCK_EX | LOCK_NB) ? refuse(target, -errno, err) : 0;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
		return open_named(target, err);
	return refuse(target, -errno, err);
}

int file_target_write(const struct file_target *target, struct iovec *iov, unsigned count,
                      uint64_t offset, struct error *err)
{
	while (count > 0) {
		if (iov->iov_len == 0) {
			iov++;
			count--;
			continue;
		}
		ssize_t n = pwritev(target->fd, iov, (int)count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return refuse(target, n < 0 ? -errno : -EIO, err);
		offset += (uint64_t)n;
		for (size_t done = (size_t)n; done > 0;) {
			size_t part = done < iov->iov_len ? done : iov->iov_len;

			iov->iov_base = (char *)iov->iov_base + part;
			iov->iov_len -= part;
			done -= part;
			if (iov->iov_len == 0) {
				iov++;
				count--;
			}
		}
	}
	return 0;
}

void file_target_hasten(const struct file_target *target)
{
	/* Where it can't be done, all is left for the end. */
	sync_file_range(target->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int give_name(struct file_target *t, struct error *err)
{
	char proc[32];
	int ret = 0;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", t->fd);
	for (int i = 0; i < ATTEMPTS; i++) {
		if (linkat(AT_FDCWD, proc, t->folder, t->partial, AT_SYMLINK_FOLLOW) == 0) {
			t->has_name = true;
			return 0;
		}
		if (errno != EEXIST)
			return refuse(t, -errno, err);
		/* Another writer to the same path is right here too: it takes no longer than we do. */
		ret = remove_stale(t, err);
		if (ret == -EBUSY)
			pause_a_moment();
		else if (ret)
			return ret;
	}
	return refuse_busy(t, err);
}

int file_target_commit(struct file_target *target, struct error *err)
{
	if (fsync(target->fd))
		return refuse(target, -errno, err);
	int ret = check_place(target, err);
	if (ret == 0 && !target->has_name)
		ret = give_name(target, err);
	if (ret)
		return ret;
	if (renameat(target->folder, target->partial, target->folder, target->name))
		return refuse(target, -errno, err);
	target->has_name = false;
	/* Some file systems can't sync a folder, and say so. */
	if (fsync(target->folder) && errno != EINVAL)
		return error_set(err, -errno, "%s is written, but its folder can't be synced: %s",
		                 target->path, strerror(errno));
	return 0;
}

void file_target_finish(struct file_target *target)
{
	if (target->has_name)
		unlinkat(target->folder, target->partial, 0);
	close_fd(&target->fd);
	close_fd(&target->folder);
	*target = (struct file_target)FILE_TARGET_INIT;
}
