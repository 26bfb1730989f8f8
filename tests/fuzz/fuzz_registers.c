/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_registers.c - the devices that are only registers, through the bus: serial.c, platform.c and
 * the IOAPIC. Every route that the guest makes is one that KVM would take.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/fuzz/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/bus.h"
#include "vmm/platform.h"
#include "vmm/serial.h"

#define STEPS_MAX 1000
/* PC16550D */
#define SERIAL_IER 1u
#define SERIAL_LCR 3u
/* Device numbers that mean something else: a flood of print, a turn of the I/O thread. */
#define FLOOD 14u
#define ROUND 15u

static struct serial serial;

void fuzz_init(void)
{
}

static void count(void *arg)
{
	(*(unsigned *)arg)++;
}

static void build_bus(struct bus *bus, struct ioapic *ioapic, struct platform *platform)
{
	const struct bus_region regions[] = {
		{ "serial", GPA(LAYOUT_SERIAL), SERIAL_SIZE, &serial.lock, &serial, serial_read,
		  serial_write },
		{ "vmgenid", GPA(LAYOUT_VMGENID), VMGENID_SIZE, &platform->lock, platform,
		  vmgenid_read, vmgenid_write },
		{ "pvpanic", GPA(LAYOUT_PVPANIC), PVPANIC_SIZE, &platform->lock, platform,
		  pvpanic_read, pvpanic_write },
		{ "power", GPA(LAYOUT_POWER), POWER_SIZE, &platform->lock, platform, power_read,
		  power_write },
		{ "ioapic", GPA(LAYOUT_IOAPIC), IOAPIC_SIZE, &ioapic->lock, ioapic, ioapic_read,
		  ioapic_write },
	};

	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		CHECK(bus_add(bus, &regions[i]) == 0);
}

/* A few words of what KVM checks: an MSI to the LAPIC, a pin that exists, a vector that may be. */
static void check_routes(const struct ioapic *ioapic)
{
	struct ioapic_routing routing;

	ioapic_routes(ioapic, &routing);
	CHECK(routing.header.nr <= IOAPIC_PINS && routing.header.flags == 0);
	for (unsigned i = 0; i < routing.header.nr; i++) {
		const struct kvm_irq_routing_entry *e = &routing.entries[i];

		CHECK(e->gsi < IOAPIC_PINS && e->type == KVM_IRQ_ROUTING_MSI);
		CHECK((e->u.msi.address_lo & 0xfff00000u) == LAYOUT_LAPIC);
		CHECK((e->u.msi.data & 0xffu) >= 16);
	}
}

static void access_register(struct bus *bus, struct input *in, uint8_t device, uint8_t how)
{
	uint64_t base = bus->regions[device % bus->count].base.value, value;
	unsigned size = 1u << how % 4;
	uint64_t offset = input_u8(in);

	/* Also a bit before the device, and far behind it. */
	if (how & 8)
		offset = input_u16(in) - (uint64_t)16;
	if (how & 4)
		bus_read(bus, GPA(base + offset), size, &value);
	else
		bus_write(bus, GPA(base + offset), size, input_number(in, size));
}

/*
 * More than the ring holds, but not so much that an input takes long: for the same reason without an
 * interrupt a byte, and past the bus.
 */
static void flood(struct bus *bus, unsigned kib, unsigned *budget)
{
	unsigned bytes = kib * 1024 < *budget ? kib * 1024 : *budget;

	*budget -= bytes;
	bus_write(bus, GPA(LAYOUT_SERIAL + SERIAL_LCR), 1, 0);
	bus_write(bus, GPA(LAYOUT_SERIAL + SERIAL_IER), 1, 0);
	pthread_mutex_lock(&serial.lock);
	for (unsigned i = 0; i < bytes; i++)
		serial_write(&serial, 0, 1, i % 80 ? 'x' : '\n');
	pthread_mutex_unlock(&serial.lock);
}

void fuzz_one(struct input *in)
{
	struct error err = { 0 };
	struct bus bus = { 0 };
	struct ioapic ioapic;
	struct platform platform;
	struct irq_line line = { .fd = -1 };
	struct loop *loop = NULL;
	unsigned calls = 0, budget = SERIAL_RING_SIZE + 0x2000;
	char tail[512];
	const struct platform_handlers handlers = { &calls, count, count };

	fake_kvm_reset();
	fuzz_clock_reset();
	CHECK(loop_create(&loop) == 0);
	CHECK(irq_line_init(&line, FAKE_VM_FD, LAYOUT_PIN_SERIAL, &err) == 0);
	CHECK(serial_init(&serial, loop, &line, "/dev/null", &err) == 0);
	CHECK(platform_init(&platform, &handlers, &err) == 0);
	ioapic_init(&ioapic, FAKE_VM_FD);
	ioapic_wire(&ioapic, &line);
	build_bus(&bus, &ioapic, &platform);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
		uint8_t byte = input_u8(in);

		if (byte % 16 == ROUND)
			fake_kvm_rounds(loop, 1);
		else if (byte % 16 == FLOOD)
			flood(&bus, input_u8(in), &budget);
		else
			access_register(&bus, in, byte % 16, byte / 16);
		check_routes(&ioapic);
	}
	serial_tail(&serial, input_u8(in), tail, sizeof(tail));
	CHECK(strlen(tail) < sizeof(tail));
	ioapic_finish(&ioapic);
	platform_finish(&platform);
	serial_finish(&serial);
	irq_line_finish(&line);
	loop_destroy(loop);
}
