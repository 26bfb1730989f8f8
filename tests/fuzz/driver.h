/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.h - a virtio device under an input that plays its driver: registers, rings, notifications,
 * resets, time, and what happens on the host's side of the device. One thread.
 *
 * A target that links driver.c wraps ioctl and clock_gettime, and hands its inputs to driver_run().
 */
#ifndef CLOCHE_TESTS_FUZZ_DRIVER_H
#define CLOCHE_TESTS_FUZZ_DRIVER_H

#include "tests/fuzz/fuzz.h"
#include "vmm/virtio/virtio.h"

#define DRIVER_BASE 0xd0000000u

struct driver_device {
	/* Makes the device; @in may choose its options. Must not fail. */
	struct virtio_device *(*create)(const struct virtio_place *place, struct input *in);
	/* One act of the host's side. NULL: there is none. */
	void (*host)(struct input *in);
	/* Before the device is destroyed, and after. Either may be NULL. */
	void (*close)(void);
	void (*destroyed)(void);
};

/*
 * Plays one input. When it ends, and nothing was poked into the rings, every used element has been
 * checked (rings.h); then the device is reset and must be ready for an honest driver again.
 */
void driver_run(const struct driver_device *device, struct input *in);

/* Lets what is ready on the device's loop run. */
void driver_loop(void);

/* That loop, while an input is played. */
struct loop *driver_loop_of_bed(void);

#endif
