/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * userfault.h - userfaultfd(2) for private anonymous memory: who touches a page that is missing
 * waits until it is put there.
 *
 * Faults inside system calls and KVM_RUN count, too, so the kernel must allow more than user-mode
 * faults. Any thread may use the fd at once; none of the memory that is registered may be touched by
 * a thread that serves it. Pages are whole; addresses and sizes are multiples of the page size.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_USERFAULT_H
#define CLOCHE_VMM_SNAPSHOT_USERFAULT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/*
 * *out_fd is non-blocking and close-on-exec; readable when somebody waits. 0; -ENOTSUP with @err:
 * this kernel doesn't have it, or not for this user; -errno.
 */
int userfault_open(int *out_fd, struct error *err);

/* From now on pages of [at, at+size) that are missing are waited for. 0 or -errno with @err. */
int userfault_register(int fd, void *at, uint64_t size, struct error *err);

/* Ends that; those who wait go on, and what is missing then reads as zeros. 0 or -errno. */
int userfault_unregister(int fd, void *at, uint64_t size);

/*
 * The addresses that are waited for: up to @room, and how many; 0 when there are none just now.
 * -errno. An address that is put there meanwhile may still come.
 */
int userfault_read(int fd, void **out_addresses, size_t room);

/*
 * Puts the bytes of @from (zeros when it is NULL) at [to, to+size), apart from pages that are there
 * already, which stay as they are; wakes who waits. 0: all pages are there. -errno: -ENOMEM; -ENOENT:
 * no longer registered.
 */
int userfault_put(int fd, void *to, const void *from, size_t size);

/* Wakes who waits for pages of [at, at+size): for pages that are there. */
void userfault_wake(int fd, void *at, size_t size);

#endif
