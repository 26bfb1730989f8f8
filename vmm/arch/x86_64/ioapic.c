/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic.c - 24 edge pins, MSI routes.
 *
 * Only what can become a route is honoured: edge or level triggered alike are sent as edges (no
 * device of ours is level triggered), delivery fixed or lowest priority, vector 16 or above.
 * Anything else counts as masked. Rebuilding the routes costs the kernel a grace period, so it
 * is done only when a visible route changes.
 */
#include "vmm/arch/x86_64/ioapic.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/log.h"
#include "vmm/arch/x86_64/layout.h"

#define VERSION 0x11
#define REDIR_VECTOR 0xffull
#define REDIR_DELIVERY_SHIFT 8
#define REDIR_DELIVERY (7ull << REDIR_DELIVERY_SHIFT)
#define REDIR_LOGICAL (1ull << 11)
#define REDIR_TRIGGER (1ull << 15)
#define REDIR_MASKED (1ull << 16)
#define REDIR_DEST_SHIFT 56
/* Delivery status (12) and remote IRR (14) are read-only, 17 to 55 reserved. */
#define REDIR_WRITABLE (0xff0000000001afffull)

#define DELIVERY_LOWEST 1u
#define VECTOR_MIN 16u
#define MSI_LOGICAL (1u << 2)
#define MSI_REDIRECTION_HINT (1u << 3)
#define MSI_DEST_SHIFT 12
#define MSI_DELIVERY_SHIFT 8

void ioapic_init(struct ioapic *ioapic, int vm_fd)
{
	*ioapic = (struct ioapic){ .vm_fd = vm_fd, .complaints = LOG_LIMIT_INIT };
	pthread_mutex_init(&ioapic->lock, NULL);
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		ioapic->redirection[i] = REDIR_MASKED;
}

void ioapic_finish(struct ioapic *ioapic)
{
	pthread_mutex_destroy(&ioapic->lock);
}

void ioapic_wire(struct ioapic *ioapic, struct irq_line *line)
{
	ASSERT(line->pin < IOAPIC_PINS && !ioapic->lines[line->pin]);
	ioapic->lines[line->pin] = line;
}

static bool has_route(uint64_t entry)
{
	uint64_t delivery = (entry & REDIR_DELIVERY) >> REDIR_DELIVERY_SHIFT;

	return !(entry & REDIR_MASKED) && delivery <= DELIVERY_LOWEST &&
	       (entry & REDIR_VECTOR) >= VECTOR_MIN;
}

void ioapic_routes(const struct ioapic *ioapic, struct ioapic_routing *out_routing)
{
	memset(out_routing, 0, sizeof(*out_routing));
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->redirection[pin];
		uint32_t delivery = (uint32_t)((entry & REDIR_DELIVERY) >> REDIR_DELIVERY_SHIFT);

		if (!has_route(entry))
			continue;
		struct kvm_irq_routing_entry *route =
			&out_routing->entries[out_routing->header.nr++];
		route->gsi = pin;
		route->type = KVM_IRQ_ROUTING_MSI;
		route->u.msi.address_lo = LAYOUT_LAPIC |
		                          (uint32_t)(entry >> REDIR_DEST_SHIFT) << MSI_DEST_SHIFT |
		                          (entry & REDIR_LOGICAL ? MSI_LOGICAL : 0) |
		                          (delivery == DELIVERY_LOWEST ? MSI_REDIRECTION_HINT : 0);
		route->u.msi.data =
			(uint32_t)(entry & REDIR_VECTOR) | delivery << MSI_DELIVERY_SHIFT;
	}
}

static void publish_routes(struct ioapic *ioapic)
{
	struct ioapic_routing routing;

	if (ioapic->vm_fd < 0)
		return;
	ioapic_routes(ioapic, &routing);
	/* Every entry was checked above; a refusal would be a bug of ours or no memory. */
	if (ioctl(ioapic->vm_fd, KVM_SET_GSI_ROUTING, &routing.header))
		log_warn_limited(&ioapic->complaints, "KVM_SET_GSI_ROUTING with %u routes: %s",
		                 routing.header.nr, strerror(errno));
}

static void write_redirection(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
	uint64_t old = ioapic->redirection[pin];
	uint64_t wanted = high ? (old & 0xffffffffull) | (uint64_t)value << 32
	                       : (old & ~0xffffffffull) | value;
	uint64_t entry = wanted & REDIR_WRITABLE;

	ioapic->redirection[pin] = entry;
	if (entry == old || (!has_route(old) && !has_route(entry)))
		return;
	publish_routes(ioapic);
	if (has_route(entry) && !has_route(old) && ioapic->lines[pin])
		irq_line_resend(ioapic->lines[pin]);
}

static uint32_t read_indirect(const struct ioapic *ioapic)
{
	unsigned index = ioapic->select;

	switch (index) {
	case IOAPIC_IND_ID:
	case IOAPIC_IND_ARBITRATION:
		return (uint32_t)ioapic->id << 24;
	case IOAPIC_IND_VERSION:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		break;
	}
	if (index < IOAPIC_IND_REDIRECTION || index >= IOAPIC_IND_REDIRECTION + 2 * IOAPIC_PINS)
		return 0;
	uint64_t entry = ioapic->redirection[(index - IOAPIC_IND_REDIRECTION) / 2];

	return (uint32_t)(index & 1 ? entry >> 32 : entry);
}

uint64_t ioapic_read(void *device, uint64_t offset, unsigned size)
{
	const struct ioapic *ioapic = device;

	if (size != 4)
		return 0;
	if (offset == IOAPIC_REG_SELECT)
		return ioapic->select;
	if (offset == IOAPIC_REG_WINDOW)
		return read_indirect(ioapic);
	return 0;
}

void ioapic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *ioapic = device;
	unsigned index = ioapic->select;

	if (size != 4)
		return;
	if (offset == IOAPIC_REG_SELECT) {
		ioapic->select = (uint8_t)value;
		return;
	}
	if (offset != IOAPIC_REG_WINDOW)
		return;
	if (index == IOAPIC_IND_ID)
		ioapic->id = (uint8_t)(value >> 24) & 0x0f;
	else if (index >= IOAPIC_IND_REDIRECTION &&
	         index < IOAPIC_IND_REDIRECTION + 2 * IOAPIC_PINS)
		write_redirection(ioapic, (index - IOAPIC_IND_REDIRECTION) / 2, index & 1,
		                  (uint32_t)value);
}

void ioapic_save(const struct ioapic *ioapic, struct wire_writer *out)
{
	wire_put_u8(out, ioapic->select);
	wire_put_u8(out, ioapic->id);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		wire_put_u64(out, ioapic->redirection[pin]);
}

int ioapic_restore(struct ioapic *ioapic, struct wire_reader *in, struct error *err)
{
	ioapic->select = wire_get_u8(in);
	ioapic->id = wire_get_u8(in) & 0x0f;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redirection[pin] = wire_get_u64(in) & (REDIR_WRITABLE);
	if (!wire_reader_ended(in))
		return error_set(err, -EINVAL, "ioapic: its state has not the length it should");
	publish_routes(ioapic);
	return 0;
}
