/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq.h - a device's interrupt line: an edge pin of the interrupt controller, raised by irqfd.
 *
 * Any thread may raise and clear. An edge on a masked pin isn't delivered; the line remembers that
 * the device still asserts it, and the controller raises it again when the pin is unmasked.
 */
#ifndef CLOCHE_VMM_IRQ_H
#define CLOCHE_VMM_IRQ_H

#include <stdatomic.h>
#include <stdbool.h>

#include "lib/error.h"

struct irq_line {
	int fd; /* owned eventfd, or -1 */
	unsigned pin;
	atomic_bool asserted;
};

/* Binds a new line to @pin of the VM (KVM_IRQFD). 0 or -errno; on failure fd is -1. */
int irq_line_init(struct irq_line *line, int vm_fd, unsigned pin, struct error *err);

/* Closes the eventfd; takes a line whose fd is -1. */
void irq_line_finish(struct irq_line *line);

/* Asserts the line and sends an edge. The device's status must be visible to the guest before. */
void irq_line_raise(struct irq_line *line);

/* The guest has acknowledged all there was. */
void irq_line_clear(struct irq_line *line);

/* Sends the edge again if the line is still asserted. */
void irq_line_resend(struct irq_line *line);

#endif
