/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template.c - a file that is either complete or not there.
 *
 * The lock is flock(2) on the folder itself: nothing is left of it when its holder dies. The file
 * has no name (O_TMPFILE) until all of it is written, so a template can be taken into use without
 * the lock, and without a look at its RAM.
 */
#include "vmm/snapshot/template.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/full_io.h"
#include "lib/log.h"
#include "vmm/snapshot/template_trailer.h"

#define LOCK_PATIENCE_NS (60 * NS_PER_S)
#define LOCK_PAUSE_NS (2 * NS_PER_MS)

struct template_names {
	char file[SNAPSHOT_ID_HEX_SIZE + sizeof(".mem")];
	char partial[sizeof(".") + SNAPSHOT_ID_HEX_SIZE + sizeof(".partial")];
};

static struct template_names names_of(const struct snapshot_file *file)
{
	struct template_names names;
	char hex[SNAPSHOT_ID_HEX_SIZE];

	snapshot_id_to_hex(snapshot_file_id(file), hex);
	snprintf(names.file, sizeof(names.file), "%s.mem", hex);
	snprintf(names.partial, sizeof(names.partial), ".%s.partial", hex);
	return names;
}

static uint64_t file_size(const struct snapshot_file *file)
{
	uint64_t ram_size = snapshot_file_ram_size(file);

	return ram_size + template_trailer_size(ram_size);
}

/* Whoever may write to the folder could give the guest any memory. */
static int open_folder(const char *folder, int *out_fd, struct error *err)
{
	cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return error_set(err, -errno, "cannot open the folder of templates %s: %s", folder,
		                 strerror(errno));
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, -EPERM,
		                 "the folder of templates %s must be yours, and writable by nobody "
		                 "else",
		                 folder);
	*out_fd = steal_fd(&fd);
	return 0;
}

/* --- taking into use ------------------------------------------------------------------------- */

static int check(int fd, const struct snapshot_file *file, struct block_set *out_blocks,
                 struct error *err)
{
	uint64_t ram_size = snapshot_file_ram_size(file);
	size_t size = template_trailer_size(ram_size);
	uint8_t trailer[TEMPLATE_TRAILER_MAX];
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "it is no regular file");
	if (st.st_uid != geteuid())
		return error_set(err, -EBADMSG, "it belongs to another user");
	if ((st.st_mode & 07777) != S_IRUSR)
		return error_set(err, -EBADMSG, "its mode is %04o, not 0400", st.st_mode & 07777);
	if ((uint64_t)st.st_size != file_size(file))
		return error_set(err, -EBADMSG, "it has %lld bytes, not %llu",
		                 (long long)st.st_size, (unsigned long long)file_size(file));
	ssize_t got = pread(fd, trailer, size, (off_t)ram_size);
	if (got < 0)
		return error_set(err, -errno, "%s", strerror(errno));
	return template_trailer_decode(trailer, (size_t)got, snapshot_file_id(file), ram_size,
	                               out_blocks, err);
}

static int open_in(int folder_fd, const char *folder, const struct snapshot_file *file, int *out_fd,
                   struct block_set *out_blocks, struct error *err)
{
	struct template_names names = names_of(file);
	cleanup_fd int fd =
		openat(folder_fd, names.file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int ret;

	if (fd >= 0)
		ret = check(fd, file, out_blocks, err);
	else if (errno == ELOOP || errno == ENXIO)
		ret = error_set(err, -EBADMSG, "it is no regular file");
	else
		ret = error_set(err, -errno, "%s", strerror(errno));
	if (ret)
		return error_prefix(err, ret, "template %s/%s", folder, names.file);
	*out_fd = steal_fd(&fd);
	return 0;
}

int template_open(const char *folder, const struct snapshot_file *file, int *out_fd,
                  struct block_set *out_blocks, struct error *err)
{
	cleanup_fd int folder_fd = -1;

	int ret = open_folder(folder, &folder_fd, err);
	return ret ? ret : open_in(folder_fd, folder, file, out_fd, out_blocks, err);
}

/* --- building -------------------------------------------------------------------------------- */

static int lock_folder(int folder_fd, const char *folder, struct error *err)
{
	const struct timespec pause = { .tv_nsec = (long)LOCK_PAUSE_NS };
	uint64_t until = clock_now_ns() + LOCK_PATIENCE_NS;

	while (flock(folder_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(err, -errno, "cannot lock %s: %s", folder,
			                 strerror(errno));
		if (clock_now_ns() > until)
			return error_set(err, -EBUSY,
			                 "another process builds a template in %s and doesn't get "
			                 "done",
			                 folder);
		nanosleep(&pause, NULL);
	}
	return 0;
}

struct build {
	const struct snapshot_file *file;
	int fd;
};

/* Written, not mapped: a page that is written as a whole needn't be cleared first. */
static int write_chunk(void *arg, uint64_t index, struct error *err)
{
	const struct build *build = arg;
	cleanup_free uint8_t *bytes = malloc(SNAPSHOT_CHUNK_SIZE);

	if (!bytes)
		return error_set(err, -ENOMEM, "no memory for a chunk");
	int ret = snapshot_file_read_chunk(build->file, index, bytes, err);
	if (ret)
		return ret;
	ret = pwrite_full(build->fd, bytes, snapshot_file_chunk_size(build->file, index),
	                  index * SNAPSHOT_CHUNK_SIZE);
	return ret ? error_set(err, ret, "%s", strerror(-ret)) : 0;
}

static int write_template(int fd, const struct snapshot_file *file, struct error *err)
{
	uint64_t ram_size = snapshot_file_ram_size(file);
	uint8_t trailer[TEMPLATE_TRAILER_MAX];
	struct build build = { .file = file, .fd = fd };
	struct block_set blocks;

	if (ftruncate(fd, (off_t)file_size(file)))
		return error_set(err, -errno, "%s", strerror(errno));
	int ret = blocks_each_chunk(file, write_chunk, &build, err);
	if (ret)
		return ret;
	blocks_of_file(file, &blocks);
	ret = template_trailer_encode(snapshot_file_id(file), ram_size, &blocks, trailer);
	if (ret == 0)
		ret = pwrite_full(fd, trailer, template_trailer_size(ram_size), ram_size);
	/* Nothing on a tmpfs; elsewhere a power cut mustn't leave holes behind a good trailer. */
	if (ret == 0 && (fdatasync(fd) || fchmod(fd, S_IRUSR)))
		ret = -errno;
	return ret ? error_set(err, ret, "%s", strerror(-ret)) : 0;
}

/* A file without a name, or with the partial one: *out_named. */
static int create(int folder_fd, const struct template_names *names, int *out_fd, bool *out_named)
{
	int fd = openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);

	*out_named = false;
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
		unlinkat(folder_fd, names->partial, 0);
		fd = openat(folder_fd, names->partial, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
		            S_IRUSR | S_IWUSR);
		*out_named = true;
	}
	*out_fd = fd;
	return fd < 0 ? -errno : 0;
}

static int give_name(int fd, int folder_fd, const struct template_names *names, bool named)
{
	char path[sizeof("/proc/self/fd/") + 11];

	if (named)
		return renameat(folder_fd, names->partial, folder_fd, names->file) ? -errno : 0;
	/* A link doesn't replace; whoever looks meanwhile finds none. */
	unlinkat(folder_fd, names->file, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, folder_fd, names->file, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

static int build_in(int folder_fd, const struct snapshot_file *file, struct error *err)
{
	struct template_names names = names_of(file);
	cleanup_fd int fd = -1;
	bool named;

	int ret = create(folder_fd, &names, &fd, &named);
	if (ret)
		return error_set(err, ret, "%s", strerror(-ret));
	ret = write_template(fd, file, err);
	if (ret == 0) {
		ret = give_name(fd, folder_fd, &names, named);
		if (ret)
			error_set(err, ret, "%s", strerror(-ret));
	}
	if (ret && named)
		unlinkat(folder_fd, names.partial, 0);
	return ret;
}

int template_build(const char *folder, const struct snapshot_file *file, struct error *err)
{
	cleanup_fd int folder_fd = -1, fd = -1;
	struct block_set blocks;
	struct error found = { 0 };

	int ret = open_folder(folder, &folder_fd, err);
	if (ret == 0)
		ret = lock_folder(folder_fd, folder, err);
	if (ret)
		return ret;
	/* Maybe it was built while we waited. */
	ret = open_in(folder_fd, folder, file, &fd, &blocks, &found);
	if (ret == 0)
		return 0;
	if (ret != -ENOENT)
		log_warn("%s: it is built anew", found.msg);
	ret = build_in(folder_fd, file, err);
	return ret ? error_prefix(err, ret, "cannot make a template in %s", folder) : 0;
}
