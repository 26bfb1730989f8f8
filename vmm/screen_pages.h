/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen_pages.h - which guest pages the screen lies in, as the agent's reply to "display"
 * (lib/proto.h) or a saved state says; both are a hostile guest's. No state; any thread that may read
 * the memory.
 */
#ifndef CLOCHE_VMM_SCREEN_PAGES_H
#define CLOCHE_VMM_SCREEN_PAGES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "display/framebuffer.h"
#include "lib/error.h"
#include "vmm/memory.h"

struct screen_pages {
	unsigned width, height;
	uint64_t *list; /* owned: page frame numbers, little-endian */
	size_t count;
};

/* Takes one that is zeroed. */
void screen_pages_finish(struct screen_pages *pages);

/* What @reply and its @blob say, copied. 0; -EINVAL with what is wrong; -ENOMEM. */
int screen_pages_read(const json_t *reply, const void *blob, size_t blob_size,
                      struct screen_pages *out_pages, struct error *err);

/* Fills in .list and .count only, from @size bytes of frame numbers. Likewise. */
int screen_pages_copy(const void *blob, size_t size, struct screen_pages *pages, struct error *err);

/*
 * Makes a framebuffer of them. The pages are @memory's and live as long as that. 0; -EINVAL: they
 * aren't all in RAM, or hold no picture of that size; -ENOMEM.
 */
int screen_pages_attach(const struct guest_memory *memory, const struct screen_pages *pages,
                        struct framebuffer **out_fb, struct error *err);

#endif
