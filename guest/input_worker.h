/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input_worker.h - the process that owns the X connection.
 *
 * It gets messages {"id":N,"steps":[…]} over a stream socket and answers each, in order, as the
 * verb "input" is answered (lib/proto.h). X may block it: then it is killed, not waited for.
 */
#ifndef CLOCHE_GUEST_INPUT_WORKER_H
#define CLOCHE_GUEST_INPUT_WORKER_H

#include <stdint.h>

/* Serves @fd (owned) on X display number @display until either is gone. Never returns. */
void input_worker(int fd, uint32_t display) __attribute__((noreturn));

#endif
