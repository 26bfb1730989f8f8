/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.h - the guest's screen inside the VMM: where its pages are, and a thread that works on it.
 *
 * The I/O thread's, but for screen_framebuffer(). The display thread exists only while somebody waits for its
 * work (picture.h); it reads guest memory and nothing else of the VM's.
 */
#ifndef CLOCHE_VMM_SCREEN_H
#define CLOCHE_VMM_SCREEN_H

#include <stdbool.h>

#include "display/framebuffer.h"
#include "lib/wire_fields.h"

struct screen; /* opaque */
struct vm;

#define SCREEN_JOBS_MAX 16 /* waiting at once */

/* Something to be done with the screen; embedded in its owner. */
struct screen_job {
	/* On the display thread; may take its time. */
	void (*work)(struct screen_job *job, const struct framebuffer *fb);
	/* On the I/O thread, when that is done. */
	void (*finished)(struct screen_job *job);
	struct screen_job *next;
};

/* 0 or -errno; *out_screen is owned by the caller. */
int screen_create(struct vm *vm, struct screen **out_screen);

/* Waits for the display thread: whoever waits for a job still gets it. Takes NULL. */
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

/*
 * Has @job done, in its turn; also while the guest is paused. 0: both its functions are called, once.
 * Otherwise neither is: -ENODATA, the guest has no screen (yet); -EBUSY, SCREEN_JOBS_MAX wait; or -errno.
 */
int screen_run(struct screen *screen, struct screen_job *job);

#endif
