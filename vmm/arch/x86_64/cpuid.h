/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.h - the CPU as the guest sees it. Main thread, before the first vCPU runs.
 */
#ifndef CLOCHE_VMM_ARCH_X86_64_CPUID_H
#define CLOCHE_VMM_ARCH_X86_64_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "lib/error.h"

#define CPUID_ENTRIES_MAX 256

struct cpuid_table {
	struct kvm_cpuid2 header; /* .nent entries follow */
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/* What this host's KVM can give (KVM_GET_SUPPORTED_CPUID). 0 or -errno. */
int cpuid_load_supported(int kvm_fd, struct cpuid_table *out_table, struct error *err);

/*
 * Makes @table that of vCPU @index of @cpus: APIC ids, topology, hypervisor bit, the TSC-deadline
 * timer when @tsc_deadline says that KVM has it.
 */
void cpuid_patch(struct cpuid_table *table, unsigned index, unsigned cpus, bool tsc_deadline);

/*
 * Can this host's KVM run a guest that has seen @table? @vcpu_fd is a fresh vCPU, which has this host's
 * CPUID afterwards. 0; -ENOTSUP, naming the vendor or the leaf whose features this host lacks; -errno.
 */
int cpuid_check(int kvm_fd, int vcpu_fd, const struct cpuid_table *table, struct error *err);

#endif
