/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_scan_bed.h - a screen to watch, and a clock of its own, for units that stand on vmm/scan.c.
 *
 * Wraps clock_gettime and ppoll: the scan's thread doesn't sleep, its clock moves on instead.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_SCAN_BED_H
#define CLOCHE_TESTS_UNIT_VMM_SCAN_BED_H

#include "tests/unit/xwd_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "display/tiles.h"
#include "lib/clock.h"
#include "tests/unit/vmm_shown_screen.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define WIDTH 256u
#define HEIGHT 96u
#define COLUMNS 4u
#define TILES 12u

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t size);
static atomic_ullong virtual_ns;
static void (*time_has_passed)(void); /* on the scan's thread; may be NULL */

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	uint64_t now = atomic_load(&virtual_ns);

	(void)clock;
	*out = (struct timespec){ .tv_sec = (time_t)(now / NS_PER_S),
		                  .tv_nsec = (long)(now % NS_PER_S) };
	return 0;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
	const struct timespec none = { 0 };
	int ready = __real_ppoll(fds, count, &none, mask);

	if (ready == 0)
		atomic_fetch_add(&virtual_ns,
		                 (uint64_t)timeout->tv_sec * NS_PER_S + (uint64_t)timeout->tv_nsec);
	if (time_has_passed)
		time_has_passed();
	return ready;
}

/* The same, as a hardened build calls it. */
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                       const sigset_t *mask, size_t size)
{
	(void)size;
	return __wrap_ppoll(fds, count, timeout, mask);
}

/* --- the screen ------------------------------------------------------------------------------ */

static inline void show(struct framebuffer *fb)
{
	pthread_mutex_lock(&shown.lock);
	struct framebuffer *before = shown.fb;
	shown.fb = fb;
	pthread_mutex_unlock(&shown.lock);
	framebuffer_destroy(before);
}

static inline struct framebuffer *open_screen(struct xwd_fixture *file, unsigned width,
                                              unsigned height)
{
	struct framebuffer *fb;

	xwd_fixture_open(file, width, height, 160, 0, 4 * width);
	assert_int_equal(framebuffer_create(file->pages, file->count, width, height, &fb, NULL), 0);
	return fb;
}

/* The guest paints in tile number @tile of @file, or takes that back. */
static inline void paint_tile(struct xwd_fixture *file, unsigned tile)
{
	size_t x = tile % COLUMNS * TILE_WIDTH, y = tile / COLUMNS * TILE_HEIGHT;

	*xwd_byte(file, file->offset + y * file->stride + 4 * x) ^= 1;
}

#endif
