/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_blk.c - vmm/virtio/blk*.c: requests of any form to a small disk, read-only or not.
 *
 * Whatever is asked, the file keeps its size; and one that is read-only keeps what is in it.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/driver.h"

#define DISK_SIZE (32 << 10)
#define READ_ONLY 1u

static int disk = -1;
static bool read_only;
static uint8_t contents[DISK_SIZE];

void fuzz_init(void)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	CHECK(disk >= 0 && ftruncate(disk, DISK_SIZE) == 0);
	for (size_t i = 0; i < sizeof(contents); i++)
		contents[i] = (uint8_t)(i / 512);
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	struct virtio_device *dev = NULL;
	struct error err = { 0 };
	char path[32];

	read_only = input_u8(in) & READ_ONLY;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	CHECK(pwrite(disk, contents, DISK_SIZE, 0) == DISK_SIZE);
	CHECK(virtio_blk_create(place, path, read_only, 0, &dev, &err) == 0);
	return dev;
}

static void check_disk(void)
{
	static uint8_t now[DISK_SIZE];
	struct stat st;

	CHECK(fstat(disk, &st) == 0 && st.st_size == DISK_SIZE);
	CHECK(pread(disk, now, DISK_SIZE, 0) == DISK_SIZE);
	CHECK(!read_only || memcmp(now, contents, DISK_SIZE) == 0);
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = { .create = create, .destroyed = check_disk };

	driver_run(&device, in);
}
