/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_fake_vcpu.c - see vmm_fake_vcpu.h.
 */
#include "tests/unit/vmm_fake_vcpu.h"

struct fake_host fake_host;

static struct fake_msr *find_msr(struct fake_vcpu *vcpu, uint32_t index)
{
	for (unsigned i = 0; i < vcpu->msr_count; i++)
		if (vcpu->msrs[i].index == index)
			return &vcpu->msrs[i];
	return NULL;
}

struct fake_msr *fake_vcpu_add_msr(struct fake_vcpu *vcpu, uint32_t index, uint64_t value)
{
	assert_true(vcpu->msr_count < FAKE_MSRS_MAX);
	struct fake_msr *msr = &vcpu->msrs[vcpu->msr_count++];

	*msr = (struct fake_msr){ .index = index, .value = value };
	return msr;
}

uint64_t fake_vcpu_msr(const struct fake_vcpu *vcpu, uint32_t index)
{
	for (unsigned i = 0; i < vcpu->msr_count; i++)
		if (vcpu->msrs[i].index == index)
			return vcpu->msrs[i].value;
	fail_msg("there is no MSR 0x%x", index);
	return 0;
}

unsigned fake_vcpu_call(unsigned long request)
{
	for (unsigned i = 0; i < fake_host.call_count; i++)
		if (fake_host.calls[i] == request)
			return i;
	fail_msg("0x%lx wasn't called", request);
	return 0;
}

/* --- requests -------------------------------------------------------------------------------- */

static int refuse(int code)
{
	errno = code;
	return -1;
}

/* Copies a struct out or in. */
static int move(void *own, void *arg, size_t size, bool out)
{
	memcpy(out ? arg : own, out ? own : arg, size);
	return 0;
}

static int set_cpuid(struct fake_vcpu *vcpu, const struct kvm_cpuid2 *table)
{
	assert_true(table->nent <= CPUID_ENTRIES_MAX);
	vcpu->cpuid.header = (struct kvm_cpuid2){ .nent = table->nent };
	memcpy(vcpu->cpuid.entries, table->entries, table->nent * sizeof(table->entries[0]));
	if (fake_host.added.function && table->nent < CPUID_ENTRIES_MAX)
		vcpu->cpuid.entries[vcpu->cpuid.header.nent++] = fake_host.added;
	return 0;
}

/* Of a table or of the MSRs' indices: as many as there are, if there is room. */
static int get_list(uint32_t *count, void *to, const void *entries, uint32_t have, size_t size)
{
	bool fits = *count >= have;

	*count = have;
	if (!fits)
		return refuse(E2BIG);
	memcpy(to, entries, have * size);
	return 0;
}

static int get_cpuid(const struct cpuid_table *table, struct kvm_cpuid2 *out)
{
	return get_list(&out->nent, out->entries, table->entries, table->header.nent,
	                sizeof(out->entries[0]));
}

static int list_msrs(struct kvm_msr_list *out)
{
	const struct fake_vcpu *vcpu = &fake_host.vcpus[0];
	uint32_t indices[FAKE_MSRS_MAX], count = 0;

	for (unsigned i = 0; i < vcpu->msr_count; i++)
		if (!vcpu->msrs[i].unlisted)
			indices[count++] = vcpu->msrs[i].index;
	return get_list(&out->nmsrs, out->indices, indices, count, sizeof(indices[0]));
}

/* How many were read before one that can't be. */
static int get_msrs(struct fake_vcpu *vcpu, struct kvm_msrs *msrs)
{
	for (uint32_t i = 0; i < msrs->nmsrs; i++) {
		const struct fake_msr *msr = find_msr(vcpu, msrs->entries[i].index);

		if (!msr || msr->unreadable)
			return (int)i;
		msrs->entries[i].data = msr->value;
	}
	return (int)msrs->nmsrs;
}

static int set_msrs(struct fake_vcpu *vcpu, const struct kvm_msrs *msrs)
{
	for (uint32_t i = 0; i < msrs->nmsrs; i++) {
		struct fake_msr *msr = find_msr(vcpu, msrs->entries[i].index);

		if (!msr || msr->refuses)
			return (int)i;
		msr->value = msrs->entries[i].data;
		if (fake_host.set_msr_count < FAKE_MSRS_MAX)
			fake_host.set_msrs[fake_host.set_msr_count++] = msr->index;
	}
	return (int)msrs->nmsrs;
}

static size_t xsave_size(void)
{
	size_t size = fake_host.xsave_size > 4096 ? (size_t)fake_host.xsave_size : 4096;

	assert_true(size <= FAKE_XSAVE_MAX);
	return size;
}

static int answer_vcpu(struct fake_vcpu *vcpu, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_CPUID2:
		return get_cpuid(&vcpu->cpuid, arg);
	case KVM_SET_CPUID2:
		return set_cpuid(vcpu, arg);
	case KVM_GET_MSRS:
		return get_msrs(vcpu, arg);
	case KVM_SET_MSRS:
		return set_msrs(vcpu, arg);
	case KVM_GET_XSAVE:
		return move(vcpu->xsave, arg, 4096, true);
	case KVM_GET_XSAVE2:
		return move(vcpu->xsave, arg, xsave_size(), true);
	case KVM_SET_XSAVE:
		return move(vcpu->xsave, arg, xsave_size(), false);
#define BOTH(name, member)                                                                         \
	case KVM_GET_##name:                                                                       \
	case KVM_SET_##name:                                                                       \
		return move(&vcpu->member, arg, sizeof(vcpu->member), request == KVM_GET_##name)
		BOTH(MP_STATE, mp_state);
		BOTH(REGS, regs);
		BOTH(SREGS, sregs);
		BOTH(XCRS, xcrs);
		BOTH(DEBUGREGS, debugregs);
		BOTH(LAPIC, lapic);
		BOTH(VCPU_EVENTS, events);
#undef BOTH
	case KVM_GET_TSC_KHZ:
		return (int)vcpu->tsc_khz;
	case KVM_SET_TSC_KHZ:
		if (fake_host.no_scaling)
			return refuse(EINVAL);
		vcpu->tsc_khz = (uint32_t)(uintptr_t)arg;
		return 0;
	case KVM_KVMCLOCK_CTRL:
		vcpu->clock_ctrls++;
		return vcpu->has_kvmclock ? 0 : refuse(EINVAL);
	default:
		fail_msg("the fake vCPU knows no ioctl 0x%lx", request);
		return -1;
	}
}

static int answer_host(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		assert_int_equal((uintptr_t)arg, KVM_CAP_XSAVE2);
		return fake_host.xsave_size;
	case KVM_GET_SUPPORTED_CPUID:
		return get_cpuid(&fake_host.supported, arg);
	case KVM_GET_MSR_INDEX_LIST:
		return list_msrs(arg);
	default:
		fail_msg("the fake KVM knows no ioctl 0x%lx", request);
		return -1;
	}
}

static bool answer(int fd, unsigned long request, void *arg, int *out_ret)
{
	bool clock = fd == FAKE_VM_FD && (request == KVM_GET_CLOCK || request == KVM_SET_CLOCK);
	bool vcpu = fd >= FAKE_VCPU_FD && fd < FAKE_VCPU_FD + FAKE_VCPUS_MAX;

	if (!clock && !vcpu && fd != FAKE_KVM_FD)
		return false;
	if (fake_host.call_count < FAKE_CALLS_MAX)
		fake_host.calls[fake_host.call_count++] = request;
	if (request == fake_host.refused)
		*out_ret = refuse(EINVAL);
	else if (vcpu)
		*out_ret = answer_vcpu(&fake_host.vcpus[fd - FAKE_VCPU_FD], request, arg);
	else if (clock)
		*out_ret = move(&fake_host.clock, &((struct kvm_clock_data *)arg)->clock,
		                sizeof(fake_host.clock), request == KVM_GET_CLOCK);
	else
		*out_ret = answer_host(request, arg);
	return true;
}

void fake_vcpu_reset(void)
{
	memset(&fake_host, 0, sizeof(fake_host));
	fake_host.supported.header.nent = 1;
	for (unsigned i = 0; i < FAKE_VCPUS_MAX; i++)
		fake_host.vcpus[i].tsc_khz = 2000000;
	fake_kvm_more = answer;
}

/* --- contents -------------------------------------------------------------------------------- */

static void fill(void *to, size_t size, uint32_t *noise)
{
	for (size_t i = 0; i < size; i++) {
		*noise = *noise * 1664525u + 1013904223u;
		((uint8_t *)to)[i] = (uint8_t)(*noise >> 24);
	}
}

void fake_vcpu_fill(struct fake_vcpu *vcpu, unsigned seed)
{
	static const uint32_t indices[] = { 0x10,       0x1a0,      0x277,      0x6e0,
		                            0x4b564d00, 0xc0000081, 0xc0000102, 0xc0000103 };
	uint32_t noise = seed;

	fill(vcpu, offsetof(struct fake_vcpu, msrs), &noise);
	vcpu->cpuid.header = (struct kvm_cpuid2){ .nent = 5 };
	vcpu->xcrs.nr_xcrs = 2;
	vcpu->msr_count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++)
		fill(&fake_vcpu_add_msr(vcpu, indices[i], 0)->value, 8, &noise);
	vcpu->tsc_khz = 2000000;
}
