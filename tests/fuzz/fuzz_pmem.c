/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_pmem.c - vmm/virtio/pmem.c: its requests and its configuration space.
 */
#include "tests/fuzz/driver.h"
#include "tests/fuzz/guest_ram.h"

void fuzz_init(void)
{
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	struct virtio_device *dev = NULL;
	struct error err = { 0 };

	(void)in;
	CHECK(virtio_pmem_create(place, GPA(ROM), ROM_SIZE, &dev, &err) == 0);
	return dev;
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = { .create = create };

	driver_run(&device, in);
}
