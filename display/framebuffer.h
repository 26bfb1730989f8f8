/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * framebuffer.h - a guest's screen as it lies in guest memory: the XWD file that `Xvfb -fbdir` keeps
 * up to date, page by page (xwd.h).
 *
 * Knows nothing of KVM: the VMM turns guest page numbers into host pointers, or refuses. Any number of
 * threads may read; each that holds a reference of its own (framebuffer_share()) may keep on reading when
 * others have dropped theirs. The guest is hostile and may be running: the header is copied once,
 * checked, and never looked at again; pixels are only ever read, whatever they are.
 */
#ifndef CLOCHE_DISPLAY_FRAMEBUFFER_H
#define CLOCHE_DISPLAY_FRAMEBUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "display/rectangle.h"
#include "lib/error.h"

#define FRAMEBUFFER_PAGE_SIZE 4096u

struct framebuffer; /* opaque */

/*
 * Makes a framebuffer of @count pages, in file order. Each pointer shows FRAMEBUFFER_PAGE_SIZE bytes
 * and is borrowed for the framebuffer's life; the array is copied. NULL in it is a page that the
 * VMM refused. @width and @height are what was announced and must be what the file says.
 * 0; -EINVAL, with @err saying which: geometry out of range, more or fewer pages than the file
 * takes, a page that comes twice or is NULL, a header that lies; -ENOMEM.
 */
int framebuffer_create(const void *const *pages, size_t count, unsigned width, unsigned height,
                       struct framebuffer **out_fb, struct error *err);

/* @fb once more: it ends with the last framebuffer_destroy(). Any thread that has a reference. */
struct framebuffer *framebuffer_share(struct framebuffer *fb);

/* Drops a reference. The last one frees it, not the guest's pages. Takes NULL. */
void framebuffer_destroy(struct framebuffer *fb);

unsigned framebuffer_width(const struct framebuffer *fb);
unsigned framebuffer_height(const struct framebuffer *fb);

/*
 * Copies the pixels of @area, which lies within the screen, as packed rows of 0x00RRGGBB; each is read once.
 * Can't fail and never blocks, whether the guest runs, is paused or has ended, as long as its pages are
 * mapped. A screen that is being painted is read half-painted.
 */
void framebuffer_read_area(const struct framebuffer *fb, const struct rectangle *area,
                           uint32_t *out_pixels);

#endif
