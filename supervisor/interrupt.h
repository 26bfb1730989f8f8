/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.h - signals that end a command, as a descriptor that its waits watch: an interrupt is a
 * failure like any other (CODE_INTERRUPTED), and leaves as little behind. Single thread.
 *
 * Order of calls: interrupt_watch(); what the command does; when that failed, and all is taken back,
 * interrupt_obey().
 */
#ifndef CLOCHE_SUPERVISOR_INTERRUPT_H
#define CLOCHE_SUPERVISOR_INTERRUPT_H

#include <stdbool.h>

#include "supervisor/failure.h"

/*
 * Blocks SIGINT, SIGTERM and SIGHUP from here on. *out_fd, owned by the caller, can be read once one
 * has come, and stays so: nobody but interrupt_obey() reads it.
 */
int interrupt_watch(int *out_fd, struct failure *failure);

/* True when one has come. Takes -1: none has. */
bool interrupt_has_come(int fd);

/* Sleeps for @ms. -1 with CODE_INTERRUPTED when one has come. */
int interrupt_sleep(int fd, unsigned ms, struct failure *failure);

/* If one has come, the program ends by it, the way it would have without us. Takes -1. */
void interrupt_obey(int fd);

#endif
