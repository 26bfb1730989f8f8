/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic.h - the interrupt controller that the split irqchip leaves to us (Intel 82093AA).
 *
 * Its registers are accessed by vCPU threads through the bus, under the IOAPIC's own lock. What
 * the guest writes into the redirection table becomes KVM's GSI routing: pin N is GSI N, an MSI
 * to a LAPIC. Interrupts then go from a device's irqfd through that route inside the kernel and
 * never pass here.
 */
#ifndef CLOCHE_VMM_ARCH_X86_64_IOAPIC_H
#define CLOCHE_VMM_ARCH_X86_64_IOAPIC_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/log.h"
#include "lib/wire_fields.h"
#include "vmm/irq.h"

#define IOAPIC_PINS 24
#define IOAPIC_SIZE 0x1000

/* Register offsets in the window, and the indirect registers behind it (82093AA, 3.0). */
#define IOAPIC_REG_SELECT 0x00
#define IOAPIC_REG_WINDOW 0x10
#define IOAPIC_IND_ID 0x00
#define IOAPIC_IND_VERSION 0x01
#define IOAPIC_IND_ARBITRATION 0x02
#define IOAPIC_IND_REDIRECTION 0x10

struct ioapic {
	pthread_mutex_t lock;
	int vm_fd; /* borrowed; -1 keeps the routes to ourselves (tests) */
	uint8_t select;
	uint8_t id;
	uint64_t redirection[IOAPIC_PINS];
	struct irq_line *lines[IOAPIC_PINS]; /* borrowed; NULL: nothing is wired to the pin */
	struct log_limit complaints;
};

struct ioapic_routing {
	struct kvm_irq_routing header; /* .nr entries follow */
	struct kvm_irq_routing_entry entries[IOAPIC_PINS];
};

/* All pins masked, as after reset. */
void ioapic_init(struct ioapic *ioapic, int vm_fd);
void ioapic_finish(struct ioapic *ioapic);

/* Says which line hangs on its pin, so that unmasking can send a lost edge again. */
void ioapic_wire(struct ioapic *ioapic, struct irq_line *line);

/* Bus handlers (vmm/bus.h); the caller holds the lock. Only aligned 32-bit accesses do anything. */
uint64_t ioapic_read(void *device, uint64_t offset, unsigned size);
void ioapic_write(void *device, uint64_t offset, unsigned size, uint64_t value);

/* The registers. Restoring publishes the routes; what breaks a rule of the registers is cut off. */
void ioapic_save(const struct ioapic *ioapic, struct wire_writer *out);
int ioapic_restore(struct ioapic *ioapic, struct wire_reader *in, struct error *err);

/* The KVM routes that the redirection table asks for; unusable and masked pins have none. */
void ioapic_routes(const struct ioapic *ioapic, struct ioapic_routing *out_routing);

#endif
