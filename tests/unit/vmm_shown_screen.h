/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_shown_screen.h - the screen of a unit that stands on vmm/scan.c: one that the test shows, and may replace
 * while the scan's thread reads it.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_SHOWN_SCREEN_H
#define CLOCHE_TESTS_UNIT_VMM_SHOWN_SCREEN_H

#include <pthread.h>

#include "display/framebuffer.h"
#include "vmm/screen.h"

static struct {
	pthread_mutex_t lock;
	struct framebuffer *fb;
} shown = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct framebuffer *screen_framebuffer(struct screen *screen)
{
	(void)screen;
	pthread_mutex_lock(&shown.lock);
	struct framebuffer *fb = shown.fb ? framebuffer_share(shown.fb) : NULL;
	pthread_mutex_unlock(&shown.lock);
	return fb;
}

#endif
