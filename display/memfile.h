/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memfile.h - bytes as a sealed memfd: handed to a client, it can be mapped and trusted not to
 * change, and it is gone when the last fd is closed. Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_MEMFILE_H
#define CLOCHE_DISPLAY_MEMFILE_H

#include <stddef.h>

#include "lib/error.h"

/*
 * Writes @data into a new memfd called @name (shown in /proc only) and seals it against writing,
 * growing, shrinking and unsealing; its file offset is 0.
 * 0 with *out_fd owned by the caller (O_CLOEXEC), or -errno with @err filled.
 */
int memfile_create(const char *name, const void *data, size_t size, int *out_fd, struct error *err);

#endif
