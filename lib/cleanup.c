/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cleanup.c - see cleanup.h. No state, any thread.
 */
#include "lib/cleanup.h"

#include <errno.h>

void close_fd(int *fd)
{
	int saved_errno = errno;

	if (*fd < 0)
		return;
	/* Not repeated after EINTR: Linux has released the number by then. */
	close(*fd);
	*fd = -1;
	errno = saved_errno;
}
