/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest.h - the ring-3 test guest: a freestanding program that the VMM boots instead of a kernel.
 *
 * One thread, one CPU, no interrupts, no libc. The kernel command line names the test to run
 * (test=NAME); what it finds goes to the serial console, where tests/native/run.py reads it.
 */
#ifndef CLOCHE_TESTS_NATIVE_GUEST_H
#define CLOCHE_TESTS_NATIVE_GUEST_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/arch/x86_64/layout.h"

/* --- runtime.c: registers, ports, console --- */

void *memset(void *at, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

uint64_t mmio_read(uint64_t address, unsigned size);
void mmio_write(uint64_t address, unsigned size, uint64_t value);
uint32_t port_read(uint16_t port, unsigned size);
void port_write(uint16_t port, unsigned size, uint32_t value);

/* Accesses made so far through the functions above, each of which leaves the guest once. */
extern uint64_t mmio_count, port_count;

void print(const char *text);
void print_hex(uint64_t value); /* 16 digits */
void print_bytes(const uint8_t *bytes, size_t count);
/* "NAME 0123456789abcdef\n" */
void print_value(const char *name, uint64_t value);

/* Prints "FAIL what" and remembers it when @ok is false. */
void check(bool ok, const char *what);
bool checks_failed(void);
void checks_forget(void); /* for a guest that runs several tests */

bool streq(const char *a, const char *b);
/* The value of the word @name=… on @cmdline, copied to @out; false when there is none. */
bool word_value(const char *cmdline, const char *name, char *out, size_t size);
uint64_t number(const char *cmdline, const char *name, uint64_t fallback);

void relax(void); /* one spin of a wait loop */
__attribute__((noreturn)) void power_off(void);
__attribute__((noreturn)) void spin_forever(void);

/* Maps [gpa, gpa + size) above 4 GiB one to one, by 2 MiB pages; at most 8 GiB in all. */
void map_high(uint64_t gpa, uint64_t size);

/* --- interrupts.c: LAPIC and IOAPIC --- */

#define IOAPIC_REDIRECTION 0x10u
#define REDIRECTION_MASKED 0x10000u

void lapic_enable(void);
bool requested(unsigned vector);
void await_request(unsigned vector);
uint32_t ioapic_read(unsigned index);
void ioapic_write(unsigned index, uint32_t value);
/* Edge, fixed, to APIC id 0; @low is the vector and perhaps the mask. */
void route_pin(unsigned pin, uint32_t low);

/* --- virtio.c: a driver for one queue of one device --- */

#define RING_SIZE 16

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring {
	struct vring_desc desc[RING_SIZE];
	struct {
		uint16_t flags, idx, ring[RING_SIZE], event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[RING_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(16)));

struct virtio {
	uint64_t base;
	unsigned pin;
	struct vring *ring; /* of queue 0 */
};

/* Finds the device with @id and fills @out_dev; false when there is none. */
bool virtio_find(uint32_t id, struct virtio *out_dev);
/* Resets, negotiates, makes queue 0 ready over @ring, sets DRIVER_OK. The status afterwards. */
uint32_t virtio_start(struct virtio *dev, struct vring *ring);
/* Offers one device-writable buffer and notifies queue 0; doesn't wait. */
void virtio_ask(struct virtio *dev, void *buffer, uint32_t size);
/*
 * Offers one chain of @count descriptors, whose flags and next are filled in, at the ring's start and
 * notifies queue 0; for one request at a time.
 */
void virtio_ask_chain(struct virtio *dev, const struct vring_desc *chain, unsigned count);
/* Waits until all that was asked is in the used ring; bytes written by the last one. */
uint32_t virtio_wait(struct virtio *dev);

/* --- the tests: basic.c, devices.c, memory.c --- */

struct guest_test {
	const char *name;
	void (*run)(const struct boot_params *bp, const char *cmdline);
};

/* Each ends with a NULL name. */
extern const struct guest_test basic_tests[], device_tests[], memory_tests[];

#endif
