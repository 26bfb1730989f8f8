/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen_pages.h - the agent's reply to "display" (lib/proto.h), checked: which guest pages the
 * screen lies in. No state; any thread that may read @memory.
 */
#ifndef CLOCHE_VMM_SCREEN_PAGES_H
#define CLOCHE_VMM_SCREEN_PAGES_H

#include <jansson.h>
#include <stddef.h>

#include "display/framebuffer.h"
#include "lib/error.h"
#include "vmm/memory.h"

/*
 * Makes a framebuffer of what @reply and its @blob, both a hostile guest's, say of width, height and
 * page frame numbers. Its pages are @memory's and live as long as that. 0; -EINVAL with what is
 * wrong; -ENOMEM.
 */
int screen_pages_attach(const struct guest_memory *memory, const json_t *reply, const void *blob,
                        size_t blob_size, struct framebuffer **out_fb, struct error *err);

#endif
