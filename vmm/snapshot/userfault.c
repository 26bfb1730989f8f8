/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/memory.h"

#define DEVICE "/dev/userfaultfd"
#define READ_MAX 16u

/* headers before Linux 6.1 */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define RANGE_IOCTLS (1ull << _UFFDIO_COPY | 1ull << _UFFDIO_ZEROPAGE | 1ull << _UFFDIO_WAKE)

/*
 * The call is for whoever has CAP_SYS_PTRACE, or for all with vm.unprivileged_userfaultfd; the
 * device (Linux 6.1) for whoever may open it.
 */
static int get_fd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || (errno != EPERM && errno != ENOSYS))
		return fd >= 0 ? fd : -errno;
	cleanup_fd int device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -errno;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : -errno;
}

int userfault_open(int *out_fd, struct error *err)
{
	struct uffdio_api api = { .api = UFFD_API };
	cleanup_fd int fd = get_fd();

	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return error_set(err, fd, "userfaultfd: %s", strerror(-fd));
	if (fd < 0)
		return error_set(err, -ENOTSUP,
		                 "userfaultfd isn't for this user (access to " DEVICE
		                 " or sysctl vm.unprivileged_userfaultfd=1 allows it): %s",
		                 strerror(-fd));
	if (ioctl(fd, UFFDIO_API, &api) || !(api.ioctls & 1ull << _UFFDIO_REGISTER))
		return error_set(err, -ENOTSUP, "this kernel's userfaultfd has another interface");
	*out_fd = steal_fd(&fd);
	return 0;
}

int userfault_register(int fd, void *at, uint64_t size, struct error *err)
{
	struct uffdio_register range = { .range = { .start = (uintptr_t)at, .len = size },
		                         .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (ioctl(fd, UFFDIO_REGISTER, &range))
		return error_set(err, -errno, "userfaultfd can't have the guest's memory: %s",
		                 strerror(errno));
	if ((range.ioctls & RANGE_IOCTLS) != RANGE_IOCTLS)
		return error_set(err, -ENOTSUP, "this kernel's userfaultfd can't copy pages");
	return 0;
}

int userfault_unregister(int fd, void *at, uint64_t size)
{
	struct uffdio_range range = { .start = (uintptr_t)at, .len = size };

	return ioctl(fd, UFFDIO_UNREGISTER, &range) ? -errno : 0;
}

int userfault_read(int fd, void **out_addresses, size_t room)
{
	struct uffd_msg messages[READ_MAX];
	size_t wanted = room < READ_MAX ? room : READ_MAX;
	int count = 0;

	ssize_t got = read(fd, messages, wanted * sizeof(messages[0]));
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < (size_t)got / sizeof(messages[0]); i++) {
		/* Others must be asked for, and aren't. */
		ASSERT(messages[i].event == UFFD_EVENT_PAGEFAULT);
		out_addresses[count++] = (void *)(uintptr_t)messages[i].arg.pagefault.address;
	}
	return count;
}

/* One call of the kernel's: bytes that it has put there (> 0) or -errno. */
static int64_t put_some(int fd, uintptr_t to, const uint8_t *from, size_t size)
{
	if (from) {
		struct uffdio_copy copy = { .dst = to, .src = (uintptr_t)from, .len = size };

		if (ioctl(fd, UFFDIO_COPY, &copy) == 0)
			return (int64_t)size;
		return copy.copy ? copy.copy : -errno;
	}
	struct uffdio_zeropage zero = { .range = { .start = to, .len = size } };

	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0)
		return (int64_t)size;
	return zero.zeropage ? zero.zeropage : -errno;
}

/*
 * The kernel stops at the first page that is there already. Who put it there will wake its waiters,
 * but may be a thread that gets no processor for long.
 */
int userfault_put(int fd, void *to, const void *from, size_t size)
{
	bool wake = false;

	for (size_t done = 0; done < size;) {
		const uint8_t *rest = from ? (const uint8_t *)from + done : NULL;
		int64_t put = put_some(fd, (uintptr_t)to + done, rest, size - done);

		if (put == -EEXIST) {
			put = GUEST_PAGE_SIZE;
			wake = true;
		} else if (put == -EAGAIN) {
			put = 0;
		} else if (put < 0) {
			return (int)put;
		}
		done += (size_t)put;
	}
	if (wake)
		userfault_wake(fd, to, size);
	return 0;
}

void userfault_wake(int fd, void *at, size_t size)
{
	struct uffdio_range range = { .start = (uintptr_t)at, .len = size };

	ioctl(fd, UFFDIO_WAKE, &range);
}
