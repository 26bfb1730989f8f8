/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_confine.c - see view_confine.h.
 *
 * What reads browsers' bytes is a large library; whoever finds a way in is to find nothing there but
 * tokens, and the connection to one VMM.
 */
#include "supervisor/view_confine.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>

static const int allowed[] = {
	/* the loop */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(restart_syscall),
	/* browsers */
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	/* the VMM: a new viewer, and what is said of it */
	SCMP_SYS(socketpair),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* stdout is asked what it is before the first line */
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	/* the end, a bad one too */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

int view_confine(struct failure *failure)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? 0 : -ENOMEM;

	/* Its memory holds tokens. */
	prctl(PR_SET_DUMPABLE, 0);
	for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot confine the server (seccomp): %s", strerror(-rc));
	return 0;
}
