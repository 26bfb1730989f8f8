/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_rng.c - vmm/virtio/rng.c, and the transport (mmio.c) as every driver can reach it.
 */
#include "tests/fuzz/driver.h"

void fuzz_init(void)
{
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	struct virtio_device *dev = NULL;
	struct error err = { 0 };

	(void)in;
	CHECK(virtio_rng_create(place, &dev, &err) == 0);
	return dev;
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = { .create = create };

	driver_run(&device, in);
}
