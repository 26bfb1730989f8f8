/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memfile.c - see memfile.h. No state, any thread.
 *
 * Written, not mapped: a store into a memfd mapping that finds no memory is a SIGBUS, a write is an
 * error that can be told.
 */
#include "display/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif

#define ALL_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

int memfile_create(const char *name, const void *data, size_t size, int *out_fd, struct error *err)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	cleanup_fd int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	int rc;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags); /* a kernel before 6.3 */
	if (fd < 0)
		return error_set(err, -errno, "cannot make a memfd: %s", strerror(errno));
	rc = write_full(fd, data, size);
	if (rc < 0)
		return error_set(err, rc, "cannot write to a memfd: %s", strerror(-rc));
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_set(err, -errno, "cannot seal a memfd: %s", strerror(errno));
	*out_fd = steal_fd(&fd);
	return 0;
}
