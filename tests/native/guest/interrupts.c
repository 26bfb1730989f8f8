/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupts.c - the interrupt controllers, as far as ring 3 can use them.
 *
 * No interrupt is ever delivered to ring 3: it is looked for in the LAPIC's request register, where
 * KVM puts it once it has gone from irqfd through a route. A vector is used once, as a bit that is
 * set stays set.
 */
#include "tests/native/guest/guest.h"

#define LAPIC_SPURIOUS 0xf0u
#define LAPIC_REQUESTS 0x200u
#define LAPIC_ENABLE 0x1ffu
#define IOAPIC_WINDOW 0x10u

void lapic_enable(void)
{
	mmio_write(LAYOUT_LAPIC + LAPIC_SPURIOUS, 4, LAPIC_ENABLE);
}

bool requested(unsigned vector)
{
	uint64_t reg = LAYOUT_LAPIC + LAPIC_REQUESTS + vector / 32 * 0x10;

	return mmio_read(reg, 4) >> vector % 32 & 1;
}

void await_request(unsigned vector)
{
	while (!requested(vector))
		relax();
}

uint32_t ioapic_read(unsigned index)
{
	mmio_write(LAYOUT_IOAPIC, 4, index);
	return (uint32_t)mmio_read(LAYOUT_IOAPIC + IOAPIC_WINDOW, 4);
}

void ioapic_write(unsigned index, uint32_t value)
{
	mmio_write(LAYOUT_IOAPIC, 4, index);
	mmio_write(LAYOUT_IOAPIC + IOAPIC_WINDOW, 4, value);
}

void route_pin(unsigned pin, uint32_t low)
{
	ioapic_write(IOAPIC_REDIRECTION + 2 * pin + 1, 0);
	ioapic_write(IOAPIC_REDIRECTION + 2 * pin, low);
}
