/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_fake_kvm.h - a VM fd that only remembers what it was asked, for units of devices.
 *
 * A unit that links vmm_fake_kvm.c wraps ioctl: calls on FAKE_VM_FD end here, all others go on to
 * the kernel. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_FAKE_KVM_H
#define CLOCHE_TESTS_UNIT_VMM_FAKE_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"
#include "vmm/irq.h"

#define FAKE_VM_FD 0x7ffffff0
#define FAKE_ROUTES_MAX 24
#define FAKE_IOEVENTFDS_MAX 16

struct fake_kvm {
	unsigned long refused;                 /* the request that fails with ENOSPC; 0: none */
	unsigned irqfds, ioeventfds, routings; /* how often each was asked for */
	struct kvm_ioeventfd ioeventfd[FAKE_IOEVENTFDS_MAX];
	unsigned route_count; /* the routes as they were set last */
	struct kvm_irq_routing_entry routes[FAKE_ROUTES_MAX];
};

extern struct fake_kvm fake_kvm;

/*
 * Asked before all else, if it is set (vmm_fake_vcpu.h). True: *out_ret is what ioctl returns, and errno
 * is set if that is -1.
 */
extern bool (*fake_kvm_more)(int fd, unsigned long request, void *arg, int *out_ret);

/* Forgets all. */
void fake_kvm_reset(void);

/* Edges sent on @line since the last call. */
uint64_t fake_kvm_edges(const struct irq_line *line);

/* One guest write to a queue-notify register: @value at guest-physical @address. */
void fake_kvm_notify(uint64_t address, uint32_t value);

/* Lets everything that is ready on @loop run, @rounds times. */
void fake_kvm_rounds(struct loop *loop, unsigned rounds);

#endif
