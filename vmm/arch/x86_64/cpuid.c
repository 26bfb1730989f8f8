/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - one package, one thread a core, APIC id = vCPU index.
 *
 * KVM reports the host's topology and leaves the per-CPU fields to us. Linux compares APIC ids of
 * leaf 1, leaf 0xB and the device tree, so all must agree (Intel SDM vol. 2, CPUID; AMD APM vol. 3,
 * appendix E).
 */
#include "vmm/arch/x86_64/cpuid.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#define LEAF1_EBX_LOGICAL_SHIFT 16
#define LEAF1_EBX_APIC_SHIFT 24
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF1_EDX_HTT (1u << 28)
#define LEVEL_SMT 1u
#define LEVEL_CORE 2u

int cpuid_load_supported(int kvm_fd, struct cpuid_table *out_table, struct error *err)
{
	memset(out_table, 0, sizeof(*out_table));
	out_table->header.nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &out_table->header))
		return error_set(err, -errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	return 0;
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

/* Leaves 0xB and 0x1F: subleaf 0 is the thread level, 1 the core level, 2 ends the list. */
static void patch_extended_topology(struct kvm_cpuid_entry2 *e, unsigned index, unsigned cpus)
{
	e->edx = index;
	e->ecx = e->index & 0xff;
	e->eax = 0;
	e->ebx = 0;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= LEVEL_SMT << 8;
	} else if (e->index == 1) {
		e->eax = bits_for(cpus);
		e->ebx = cpus;
		e->ecx |= LEVEL_CORE << 8;
	}
}

/* KVM may list subleaf 0 alone; the core level needs an entry of its own. */
static void add_core_level(struct cpuid_table *table, unsigned function)
{
	struct kvm_cpuid_entry2 *first = NULL;

	for (unsigned i = 0; i < table->header.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function != function)
			continue;
		if (e->index == 1)
			return;
		if (e->index == 0)
			first = e;
	}
	if (!first || table->header.nent == CPUID_ENTRIES_MAX)
		return;
	struct kvm_cpuid_entry2 *added = &table->entries[table->header.nent++];
	*added = *first;
	added->index = 1;
}

static void patch_entry(struct kvm_cpuid_entry2 *e, unsigned index, unsigned cpus,
                        bool tsc_deadline)
{
	switch (e->function) {
	case 0x1:
		e->ebx &= 0xffff;
		e->ebx |= cpus << LEAF1_EBX_LOGICAL_SHIFT | index << LEAF1_EBX_APIC_SHIFT;
		e->ecx |= LEAF1_ECX_HYPERVISOR;
		if (tsc_deadline)
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
		if (cpus > 1)
			e->edx |= LEAF1_EDX_HTT;
		else
			e->edx &= ~LEAF1_EDX_HTT;
		break;
	case 0x4: /* cores in the package; caches shared by no other thread */
		e->eax &= 0x3fff;
		if (e->eax & 0x1f)
			e->eax |= (cpus - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		patch_extended_topology(e, index, cpus);
		break;
	case 0x80000008: /* AMD: cores minus one, and the bits of APIC id that count them */
		e->ecx = (cpus - 1) | bits_for(cpus) << 12;
		break;
	case 0x8000001e: /* AMD: extended APIC id, one thread a core, one node */
		e->eax = index;
		e->ebx = index;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

void cpuid_patch(struct cpuid_table *table, unsigned index, unsigned cpus, bool tsc_deadline)
{
	add_core_level(table, 0xb);
	add_core_level(table, 0x1f);
	for (unsigned i = 0; i < table->header.nent; i++)
		patch_entry(&table->entries[i], index, cpus, tsc_deadline);
}

/* Which registers of which leaves are sets of features that a guest may rely on. */
#define EAX 1u
#define EBX 2u
#define ECX 4u
#define EDX 8u
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define LEAF7_ECX_OSPKE (1u << 4)

static const struct feature_leaf {
	uint32_t function, index;
	uint32_t registers;
	uint32_t ignore_ecx; /* set by us, or as the guest's own CR4 says */
	const char *name;
} feature_leaves[] = {
	{ 0x1, 0, ECX | EDX, LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR | LEAF1_ECX_OSXSAVE,
	  "leaf 1" },
	{ 0x7, 0, EBX | ECX | EDX, LEAF7_ECX_OSPKE, "leaf 7" },
	{ 0x7, 1, EAX, 0, "leaf 7, subleaf 1" },
	{ 0xd, 0, EAX, 0, "leaf 0xd (extended state)" },
	{ 0xd, 1, EAX, 0, "leaf 0xd, subleaf 1" },
	{ 0x80000001, 0, ECX | EDX, 0, "leaf 0x80000001" },
	{ 0x80000008, 0, EBX, 0, "leaf 0x80000008" },
};

static const struct kvm_cpuid_entry2 *find_leaf(const struct cpuid_table *table, uint32_t function,
                                                uint32_t index)
{
	for (uint32_t i = 0; i < table->header.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

/* What of @seen this host lacks, over the registers of @leaf. */
static uint32_t lacking(const struct feature_leaf *leaf, const struct kvm_cpuid_entry2 *seen,
                        const struct kvm_cpuid_entry2 *host)
{
	uint32_t lacks = 0;

	if (leaf->registers & EAX)
		lacks |= seen->eax & ~host->eax;
	if (leaf->registers & EBX)
		lacks |= seen->ebx & ~host->ebx;
	if (leaf->registers & ECX)
		lacks |= seen->ecx & ~host->ecx & ~leaf->ignore_ecx;
	if (leaf->registers & EDX)
		lacks |= seen->edx & ~host->edx & ~(leaf->function == 1 ? LEAF1_EDX_HTT : 0);
	return lacks;
}

/* What a guest of this host sees: some KVMs add to what they are given. */
static int load_seen(int kvm_fd, int vcpu_fd, struct cpuid_table *out_table, struct error *err)
{
	int ret = cpuid_load_supported(kvm_fd, out_table, err);

	if (ret)
		return ret;
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, &out_table->header))
		return error_set(err, -errno, "KVM_SET_CPUID2: %s", strerror(errno));
	out_table->header.nent = CPUID_ENTRIES_MAX;
	if (ioctl(vcpu_fd, KVM_GET_CPUID2, &out_table->header))
		return error_set(err, -errno, "KVM_GET_CPUID2: %s", strerror(errno));
	return 0;
}

int cpuid_check(int kvm_fd, int vcpu_fd, const struct cpuid_table *table, struct error *err)
{
	static const struct kvm_cpuid_entry2 nothing;
	struct cpuid_table host;

	int ret = load_seen(kvm_fd, vcpu_fd, &host, err);
	if (ret)
		return ret;
	const struct kvm_cpuid_entry2 *a = find_leaf(table, 0, 0), *b = find_leaf(&host, 0, 0);
	if (!a || !b || a->ebx != b->ebx || a->ecx != b->ecx || a->edx != b->edx)
		return error_set(err, -ENOTSUP,
		                 "it was taken on a processor of another vendor: a guest can't be "
		                 "moved between them");
	for (size_t i = 0; i < sizeof(feature_leaves) / sizeof(feature_leaves[0]); i++) {
		const struct feature_leaf *leaf = &feature_leaves[i];
		const struct kvm_cpuid_entry2 *seen = find_leaf(table, leaf->function, leaf->index);
		const struct kvm_cpuid_entry2 *has = find_leaf(&host, leaf->function, leaf->index);
		uint32_t lacks = seen ? lacking(leaf, seen, has ? has : &nothing) : 0;

		if (lacks)
			return error_set(err, -ENOTSUP,
			                 "its guest uses processor features that this host lacks: "
			                 "CPUID %s, bits 0x%x",
			                 leaf->name, lacks);
	}
	return 0;
}
