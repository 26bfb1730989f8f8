/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.c - see interrupt.h. Single thread.
 */
#include "supervisor/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_watch(int *out_fd, struct failure *failure)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot watch signals: %s",
		                   strerror(errno));
	*out_fd = fd;
	return 0;
}

static bool readable_within(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

bool interrupt_has_come(int fd)
{
	return fd >= 0 && readable_within(fd, 0);
}

int interrupt_sleep(int fd, unsigned ms, struct failure *failure)
{
	if (!readable_within(fd, (int)ms))
		return 0;
	return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
}

void interrupt_obey(int fd)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (fd < 0 || read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	signal((int)info.ssi_signo, SIG_DFL);
	raise((int)info.ssi_signo);
	sigfillset(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
