/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * full_io.h - read(2) and write(2) that go on after a signal and after a part. For files and what blocks; any
 * thread, no state.
 */
#ifndef CLOCHE_LIB_FULL_IO_H
#define CLOCHE_LIB_FULL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes, fewer than @size only where the file ends, or -errno: then something may have been read. */
ssize_t read_full(int fd, void *out, size_t size);
ssize_t pread_full(int fd, void *out, size_t size, uint64_t offset);

/* 0: all of it; -errno: then a part may have been written. */
int write_full(int fd, const void *data, size_t size);
int pwrite_full(int fd, const void *data, size_t size, uint64_t offset);

#endif
