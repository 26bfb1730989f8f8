/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/arch/arch.h"

/* QEMU docs/specs/pvpanic: bit 0 of the one-byte register. */
#define PVPANIC_PANICKED 1u

int platform_init(struct platform *platform, const struct platform_handlers *handlers,
                  struct error *err)
{
	*platform = (struct platform){ .handlers = *handlers };
	pthread_mutex_init(&platform->lock, NULL);
	if (getrandom(platform->generation, VMGENID_SIZE, 0) != VMGENID_SIZE)
		return error_set(err, -errno, "getrandom: %s", strerror(errno));
	return 0;
}

void platform_finish(struct platform *platform)
{
	pthread_mutex_destroy(&platform->lock);
}

void platform_generation(const struct platform *platform, char out_hex[2 * VMGENID_SIZE + 1])
{
	for (size_t i = 0; i < VMGENID_SIZE; i++)
		snprintf(out_hex + 2 * i, 3, "%02x", platform->generation[i]);
}

uint64_t vmgenid_read(void *device, uint64_t offset, unsigned size)
{
	const struct platform *platform = device;
	uint64_t value = 0;

	memcpy(&value, platform->generation + offset, size);
	return value;
}

void vmgenid_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	/* The guest reads its generation; only the host changes it. */
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

uint64_t pvpanic_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)size;
	return offset == 0 ? PVPANIC_PANICKED : 0;
}

void pvpanic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	const struct platform *platform = device;

	(void)size;
	if (offset == 0 && (value & PVPANIC_PANICKED))
		platform->handlers.panicked(platform->handlers.arg);
}

uint64_t power_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0;
}

void power_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	const struct platform *platform = device;

	if (offset == 0 && size == 4 && value == ARCH_POWER_OFF)
		platform->handlers.powered_off(platform->handlers.arg);
}
