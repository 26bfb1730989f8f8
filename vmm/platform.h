/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * platform.h - the devices that are one register or two: generation id, panic, power.
 *
 * Registers are accessed by vCPU threads under the platform's lock.
 */
#ifndef CLOCHE_VMM_PLATFORM_H
#define CLOCHE_VMM_PLATFORM_H

#include <pthread.h>
#include <stdint.h>

#include "lib/error.h"
#include "vmm/irq.h"

#define VMGENID_SIZE 16
#define PVPANIC_SIZE 2
#define POWER_SIZE 4

struct platform_handlers {
	void *arg;
	void (*panicked)(void *arg); /* on the vCPU's thread; the guest has panicked */
	void (*powered_off)(void *arg);
};

struct platform {
	pthread_mutex_t lock;
	uint8_t generation[VMGENID_SIZE];
	struct platform_handlers handlers;
};

/* Draws a random generation id: each VM has one of its own, a copy of a guest too. 0 or -errno. */
int platform_init(struct platform *platform, const struct platform_handlers *handlers,
                  struct error *err);
void platform_finish(struct platform *platform);

/* The generation id in hexadecimal digits. */
void platform_generation(const struct platform *platform, char out_hex[2 * VMGENID_SIZE + 1]);

/* Bus handlers (vmm/bus.h). @device is the struct platform. */
uint64_t vmgenid_read(void *device, uint64_t offset, unsigned size); /* "microsoft,vmgenid" */
void vmgenid_write(void *device, uint64_t offset, unsigned size, uint64_t value);
uint64_t pvpanic_read(void *device, uint64_t offset, unsigned size); /* "qemu,pvpanic-mmio" */
void pvpanic_write(void *device, uint64_t offset, unsigned size, uint64_t value);
uint64_t power_read(void *device, uint64_t offset, unsigned size); /* "syscon" */
void power_write(void *device, uint64_t offset, unsigned size, uint64_t value);

#endif
