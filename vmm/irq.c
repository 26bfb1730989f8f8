/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "lib/cleanup.h"
#include "lib/log.h"

int irq_line_init(struct irq_line *line, int vm_fd, unsigned pin, struct error *err)
{
	*line = (struct irq_line){ .fd = -1, .pin = pin };

	cleanup_fd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = pin };
	if (ioctl(vm_fd, KVM_IRQFD, &irqfd))
		return error_set(err, -errno, "KVM_IRQFD for pin %u: %s", pin, strerror(errno));
	line->fd = steal_fd(&fd);
	return 0;
}

void irq_line_finish(struct irq_line *line)
{
	close_fd(&line->fd);
}

static void send_edge(struct irq_line *line)
{
	uint64_t one = 1;

	/* KVM drains the counter at once; EAGAIN means an edge is under way already. */
	if (write(line->fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN || errno == EINTR);
}

void irq_line_raise(struct irq_line *line)
{
	atomic_store(&line->asserted, true);
	send_edge(line);
}

void irq_line_clear(struct irq_line *line)
{
	atomic_store(&line->asserted, false);
}

void irq_line_resend(struct irq_line *line)
{
	if (atomic_load(&line->asserted))
		send_edge(line);
}
