/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cleanup.h - ownership that is visible in locals.
 *
 *	cleanup_fd int fd = open(...);      closed at the end of the scope
 *	cleanup_free char *s = strdup(...); freed at the end of the scope
 *	return steal_fd(&fd);               unless it is handed on
 *
 * Any thread; no state.
 */
#ifndef CLOCHE_LIB_CLEANUP_H
#define CLOCHE_LIB_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes *@fd when it is >= 0 and sets it to -1. errno is kept. */
void close_fd(int *fd);

static inline void cleanup_free_pointer(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_file_pointer(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define cleanup_fd __attribute__((cleanup(close_fd)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_file __attribute__((cleanup(cleanup_file_pointer)))

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define steal_pointer(pp)                                                                          \
	({                                                                                         \
		__typeof__(*(pp)) taken_ = *(pp);                                                  \
		*(pp) = NULL;                                                                      \
		taken_;                                                                            \
	})

#endif
