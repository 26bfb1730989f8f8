/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_fake_vcpu.h - vCPUs that only keep what they are given, and the host's KVM that they are of: for
 * units of arch/x86_64 and of whole VMs.
 *
 * Works through vmm_fake_kvm.h's ioctl, once fake_vcpu_reset() was called. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_FAKE_VCPU_H
#define CLOCHE_TESTS_UNIT_VMM_FAKE_VCPU_H

#include <linux/kvm.h>

#include "tests/unit/unit.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "vmm/arch/x86_64/cpuid.h"

#define FAKE_KVM_FD 0x7fffffe0
#define FAKE_VCPU_FD 0x7fffffd0 /* of the first; the others follow */
#define FAKE_VCPUS_MAX 4
#define FAKE_XSAVE_MAX 16384u
#define FAKE_MSRS_MAX 256
#define FAKE_CALLS_MAX 256

struct fake_msr {
	uint32_t index;
	uint64_t value;
	bool unlisted;   /* KVM_GET_MSR_INDEX_LIST doesn't have it */
	bool unreadable; /* of this vCPU */
	bool refuses;    /* to be set */
};

struct fake_vcpu {
	struct cpuid_table cpuid;
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	uint8_t xsave[FAKE_XSAVE_MAX];
	struct fake_msr msrs[FAKE_MSRS_MAX];
	unsigned msr_count;
	uint32_t tsc_khz;
	bool has_kvmclock;
	unsigned clock_ctrls; /* KVM_KVMCLOCK_CTRL */
};

struct fake_host {
	struct cpuid_table supported;
	struct kvm_cpuid_entry2 added; /* .function != 0: what KVM_SET_CPUID2 adds by itself */
	int xsave_size;                /* KVM_CAP_XSAVE2; 0: KVM is older */
	bool no_scaling;               /* of the TSC */
	uint64_t clock;
	unsigned long refused; /* the request that fails with EINVAL; 0: none */
	/* What was set and read, in order, as much as there is room for. */
	unsigned long calls[FAKE_CALLS_MAX];
	unsigned call_count;
	uint32_t set_msrs[FAKE_MSRS_MAX]; /* in order */
	unsigned set_msr_count;
	struct fake_vcpu vcpus[FAKE_VCPUS_MAX];
};

extern struct fake_host fake_host;

/* All as new: zeros everywhere, no MSRs, one CPUID leaf, the TSC at 2 GHz. */
void fake_vcpu_reset(void);

/* A new MSR of @vcpu's; the caller may change what it is like. */
struct fake_msr *fake_vcpu_add_msr(struct fake_vcpu *vcpu, uint32_t index, uint64_t value);

/* The value of one that it has. */
uint64_t fake_vcpu_msr(const struct fake_vcpu *vcpu, uint32_t index);

/* Fills all of it with bytes that depend on @seed: what a state may hold, whether a CPU could or not. */
void fake_vcpu_fill(struct fake_vcpu *vcpu, unsigned seed);

/* The number of the first call of @request among those that were made; fails if it wasn't. */
unsigned fake_vcpu_call(unsigned long request);

#endif
