/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xwd.h - the head of an X window dump (XWDFile.h, version 7), as Xvfb -fbdir keeps it. Pure.
 */
#ifndef CLOCHE_GUEST_XWD_H
#define CLOCHE_GUEST_XWD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

struct xwd {
	uint32_t width, height;
	uint32_t stride; /* bytes a row */
};

/* Reads the head of a file of @size bytes. 0, or -EPROTO when it isn't what Xvfb writes. */
int xwd_parse(const void *data, size_t size, struct xwd *out_xwd, struct error *err);

#endif
