/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.h - what the files of the x86_64 boot path share. Main thread, before the first vCPU runs.
 */
#ifndef CLOCHE_VMM_ARCH_X86_64_BOOT_H
#define CLOCHE_VMM_ARCH_X86_64_BOOT_H

#include <stdint.h>

#include "lib/error.h"

/* Where struct setup_header lies in a bzImage and in boot_params (boot.rst). */
#define BOOT_SETUP_HEADER_OFFSET 0x1f1

/* Reads exactly @size bytes at @offset of @fd. 0, or -errno with @err naming @path. */
int boot_read_at(int fd, const char *path, void *buffer, uint64_t size, uint64_t offset,
                 struct error *err);

#endif
