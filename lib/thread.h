/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread.h - how each of our threads begins: named, without the signals that are the main thread's
 * affair, and on a small stack.
 *
 * The stack is small for what it costs, not for want of addresses: where huge pages are "always" on,
 * glibc's 8 MiB come with 2 MiB of memory at the first touch.
 */
#ifndef CLOCHE_LIB_THREAD_H
#define CLOCHE_LIB_THREAD_H

#include <pthread.h>

#define THREAD_STACK_SIZE (256u << 10) /* bytes */
#define THREAD_NAME_MAX 15             /* pthread_setname_np(3); longer names are cut */

/*
 * Runs @run(@arg) in a new thread called @name, in which only @signal (0: none) is not blocked.
 * 0 or -errno; *out_thread is the caller's to join. Any thread.
 */
int thread_start(pthread_t *out_thread, const char *name, int signal, void *(*run)(void *),
                 void *arg);

#endif
