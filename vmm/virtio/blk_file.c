/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_file.c - see blk_file.h. All I/O goes through the host's page cache; the guest says by its
 * flushes what must be on the storage.
 */
#include "vmm/virtio/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/virtio/blk_request.h"

/*
 * An open file description lock over the whole file: unlike a process's it isn't lost when some
 * other fd of the file is closed, and the same file twice in one VMM meets it too. QEMU holds shared
 * locks of the same kind on single bytes of an image that it uses.
 */
static int lock_file(int fd, bool read_only, const char *path, struct error *err)
{
	struct flock lock = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY,
		                 "%s is in use by another session or program%s; give each a "
		                 "disk of its own",
		                 path, read_only ? ", which may write it" : "");
	return error_set(err, -errno, "cannot lock %s: %s", path, strerror(errno));
}

int blk_file_open(const char *path, bool read_only, struct blk_file *out_file, struct error *err)
{
	/* Non-blocking, so that a FIFO in its place can't hold us. */
	cleanup_fd int fd =
		open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return error_set(err, -errno, "cannot open %s (--disk)%s: %s", path,
		                 read_only ? "" : " to write it", strerror(errno));
	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot examine %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, -EINVAL, "%s is neither a file nor a block device (--disk)",
		                 path);
	off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return error_set(err, -errno, "cannot examine %s: %s", path, strerror(errno));
	if (size == 0)
		return error_set(err, -EINVAL,
		                 "%s is empty: give it the size of the disk, as with 'truncate "
		                 "--size=1G %s'",
		                 path, path);
	if (size % BLK_SECTOR_SIZE)
		return error_set(err, -EINVAL,
		                 "the size of %s, %lld bytes, is no multiple of %u (--disk takes "
		                 "raw images)",
		                 path, (long long)size, BLK_SECTOR_SIZE);
	int ret = lock_file(fd, read_only, path, err);
	if (ret)
		return ret;
	*out_file = (struct blk_file){ .fd = steal_fd(&fd),
		                       .read_only = read_only,
		                       .size = (uint64_t)size };
	return 0;
}

void blk_file_close(struct blk_file *file)
{
	close_fd(&file->fd);
}

/* Leaves in @iov what is behind its first @done bytes, and returns how many entries that takes. */
static unsigned advance(struct iovec **iov, unsigned count, size_t done)
{
	while (count > 0 && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		count--;
	}
	if (count > 0) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
	return count;
}

int blk_file_read(const struct blk_file *file, struct iovec *iov, unsigned count, uint64_t offset)
{
	while (count > 0) {
		ssize_t n = preadv(file->fd, iov, (int)count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* 0: somebody has cut the file short */
			return n < 0 ? -errno : -EIO;
		offset += (uint64_t)n;
		count = advance(&iov, count, (size_t)n);
	}
	return 0;
}

int blk_file_write(const struct blk_file *file, struct iovec *iov, unsigned count, uint64_t offset,
                   bool stable)
{
	while (count > 0) {
		ssize_t n =
			pwritev2(file->fd, iov, (int)count, (off_t)offset, stable ? RWF_DSYNC : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		offset += (uint64_t)n;
		count = advance(&iov, count, (size_t)n);
	}
	return 0;
}

int blk_file_flush(const struct blk_file *file)
{
	return fdatasync(file->fd) ? -errno : 0;
}

static int allocate(const struct blk_file *file, int mode, uint64_t offset, uint64_t size)
{
	while (fallocate(file->fd, mode, (off_t)offset, (off_t)size))
		if (errno != EINTR)
			return -errno;
	return 0;
}

int blk_file_discard(const struct blk_file *file, uint64_t offset, uint64_t size)
{
	int ret = allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

static int write_zeros(const struct blk_file *file, uint64_t offset, uint64_t size)
{
	static const uint8_t zeros[64 << 10];
	int ret = 0;

	while (size > 0 && ret == 0) {
		size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);
		struct iovec iov = { .iov_base = (void *)(uintptr_t)zeros, .iov_len = n };

		ret = blk_file_write(file, &iov, 1, offset, false);
		offset += n;
		size -= n;
	}
	return ret;
}

int blk_file_zero(const struct blk_file *file, uint64_t offset, uint64_t size, bool unmap)
{
	int mode = unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	int ret = allocate(file, mode | FALLOC_FL_KEEP_SIZE, offset, size);

	/* A tmpfs has no ZERO_RANGE; a block device wants either aligned to blocks of its own. */
	return ret == -EOPNOTSUPP || ret == -EINVAL ? write_zeros(file, offset, size) : ret;
}
