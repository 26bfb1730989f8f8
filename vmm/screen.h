/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.h - the guest's screen inside the VMM: where its pages are, and pictures of it.
 *
 * The I/O thread's, but for screen_framebuffer(). Pictures are made by the display thread, which exists
 * only while somebody waits for one; it reads guest memory and nothing else of the VM's.
 */
#ifndef CLOCHE_VMM_SCREEN_H
#define CLOCHE_VMM_SCREEN_H

#include <jansson.h>
#include <stdbool.h>

#include "display/framebuffer.h"
#include "display/screenshot.h"
#include "lib/wire_fields.h"

struct screen; /* opaque */
struct vm;

#define SCREEN_SHOTS_MAX 16 /* waiting at once */

/* The end of a request: an ok or error reply without a usable id, owned by the callee, and the
 * picture as a sealed memfd, borrowed, or -1. */
typedef void screen_done(void *arg, json_t *reply, int fd);

/* 0 or -errno; *out_screen is owned by the caller. */
int screen_create(struct vm *vm, struct screen **out_screen);

/* Waits for the display thread: whoever waits for a picture still gets it. Takes NULL. */
void screen_destroy(struct screen *screen);

/* Asks the agent where the framebuffer is; what it says is checked before it is used. */
void screen_attach(struct screen *screen);

/*
 * Where the screen is, for a copy of the guest: no pixels, those are in its memory. Restoring attaches it;
 * a guest that has spoilt its screen since is left without one, with a warning. 0 or -EINVAL.
 */
void screen_save(const struct screen *screen, struct wire_writer *out);
int screen_restore(struct screen *screen, struct wire_reader *in, struct error *err);

/* The size of the attached screen. False: none is attached. */
bool screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height);

/* The same, to read from: a reference that the caller drops, or NULL. Any thread while the screen exists. */
struct framebuffer *screen_framebuffer(struct screen *screen);

/* Takes a picture; @done is called exactly once, later or at once. Works while paused. */
void screen_shoot(struct screen *screen, enum screenshot_format format, screen_done *done,
                  void *arg);

#endif
