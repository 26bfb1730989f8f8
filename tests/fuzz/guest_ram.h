/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_ram.h - a small guest memory for fuzz targets: RAM, more RAM behind a hole, and memory that
 * the guest may only read. Each region ends at a page that can't be touched, so whoever leaves it is
 * caught. One thread.
 */
#ifndef CLOCHE_TESTS_FUZZ_GUEST_RAM_H
#define CLOCHE_TESTS_FUZZ_GUEST_RAM_H

#include "vmm/memory.h"

#define RAM_LOW_SIZE 0x20000u
#define RAM_HIGH 0x100000u
#define RAM_HIGH_SIZE 0x2000u
#define ROM 0x200000u
#define ROM_SIZE 0x2000u

/* The memory, zeroed; mapped at the first call and kept. Borrowed. */
const struct guest_memory *guest_ram_reset(void);

#endif
