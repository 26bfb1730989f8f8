/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/arch/x86_64/msrs.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#define MSRS_MAX 512 /* KVM lists some 150 */
#define MSR_TSC 0x10u
#define MSR_TSC_DEADLINE 0x6e0u

/*
 * What a guest may have changed and would miss (Intel SDM vol. 4; AMD APM vol. 2, appendix A; KVM
 * msr.rst). What KVM_SET_SREGS restores (APIC base, EFER), what describes the host (microcode,
 * machine checks, performance counters) and what belongs to nested guests is left out.
 */
static const struct msr_range {
	uint32_t first, last;
} saved_msrs[] = {
	{ MSR_TSC, MSR_TSC },
	{ 0x3b, 0x3b },   /* TSC_ADJUST */
	{ 0x48, 0x48 },   /* SPEC_CTRL */
	{ 0xe1, 0xe1 },   /* UMWAIT_CONTROL */
	{ 0x122, 0x122 }, /* TSX_CTRL */
	{ 0x140, 0x140 }, /* MISC_FEATURES_ENABLES */
	{ 0x174, 0x176 }, /* SYSENTER */
	{ 0x1a0, 0x1a0 }, /* MISC_ENABLE */
	{ 0x1c4, 0x1c5 }, /* XFD, XFD_ERR */
	{ 0x200, 0x21f }, /* variable MTRRs */
	{ 0x250, 0x250 }, /* fixed MTRRs */
	{ 0x258, 0x259 },
	{ 0x268, 0x26f },
	{ 0x277, 0x277 }, /* PAT */
	{ 0x2ff, 0x2ff }, /* MTRR default type */
	{ MSR_TSC_DEADLINE, MSR_TSC_DEADLINE },
	{ 0xda0, 0xda0 },           /* XSS */
	{ 0x4b564d00, 0x4b564dff }, /* KVM's own: clock, steal time, async page faults */
	{ 0xc0000081, 0xc0000084 }, /* STAR, LSTAR, CSTAR, SFMASK */
	{ 0xc0000100, 0xc0000103 }, /* FS, GS, KERNEL_GS, TSC_AUX */
	{ 0xc0010015, 0xc0010015 }, /* HWCR */
	{ 0xc001011f, 0xc001011f }, /* VIRT_SPEC_CTRL */
	{ 0xc0011029, 0xc0011029 }, /* DE_CFG */
};

struct msr_list {
	struct kvm_msrs header; /* .nmsrs entries follow */
	struct kvm_msr_entry entries[MSRS_MAX];
};

static bool is_saved(uint32_t index)
{
	for (size_t i = 0; i < sizeof(saved_msrs) / sizeof(saved_msrs[0]); i++)
		if (index >= saved_msrs[i].first && index <= saved_msrs[i].last)
			return true;
	return false;
}

/* Those of the list that this KVM has. 0 or -errno. */
static int list_msrs(int kvm_fd, struct msr_list *out_list, struct error *err)
{
	struct {
		struct kvm_msr_list header;
		uint32_t indices[MSRS_MAX];
	} known = { .header.nmsrs = MSRS_MAX };

	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, &known.header))
		return error_set(err, -errno, "KVM_GET_MSR_INDEX_LIST: %s", strerror(errno));
	out_list->header = (struct kvm_msrs){ 0 };
	for (uint32_t i = 0; i < known.header.nmsrs; i++)
		if (is_saved(known.indices[i]))
			out_list->entries[out_list->header.nmsrs++] =
				(struct kvm_msr_entry){ .index = known.indices[i] };
	return 0;
}

/* The entries from @first on as a list of their own, to be handed to KVM. */
static void copy_from(const struct msr_list *list, uint32_t first, struct msr_list *out_part)
{
	out_part->header = (struct kvm_msrs){ .nmsrs = list->header.nmsrs - first };
	memcpy(out_part->entries, list->entries + first,
	       out_part->header.nmsrs * sizeof(out_part->entries[0]));
}

int msrs_save(int kvm_fd, int vcpu_fd, struct wire_writer *out, struct error *err)
{
	struct msr_list list, part, got = { 0 };
	int ret = list_msrs(kvm_fd, &list, err);

	if (ret)
		return ret;
	/* KVM stops at one that this vCPU doesn't have: it is stepped over. */
	for (uint32_t at = 0; at < list.header.nmsrs;) {
		copy_from(&list, at, &part);
		int count = ioctl(vcpu_fd, KVM_GET_MSRS, &part.header);
		if (count < 0)
			return error_set(err, -errno, "KVM_GET_MSRS: %s", strerror(errno));
		memcpy(got.entries + got.header.nmsrs, part.entries,
		       (size_t)count * sizeof(part.entries[0]));
		got.header.nmsrs += (uint32_t)count;
		at += (uint32_t)count + 1;
	}
	wire_put_u32(out, got.header.nmsrs);
	for (uint32_t i = 0; i < got.header.nmsrs; i++) {
		wire_put_u32(out, got.entries[i].index);
		wire_put_u64(out, got.entries[i].data);
	}
	return 0;
}

/* 0 when the vCPU has the value already: some KVMs list what can't be set. */
static int excuse(int vcpu_fd, const struct kvm_msr_entry *wanted, struct error *err)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} now = { .header.nmsrs = 1, .entry.index = wanted->index };

	if (ioctl(vcpu_fd, KVM_GET_MSRS, &now.header) == 1 && now.entry.data == wanted->data)
		return 0;
	return error_set(err, -EINVAL, "this KVM refuses to set MSR 0x%x to 0x%llx", wanted->index,
	                 (unsigned long long)wanted->data);
}

static int set_all(int vcpu_fd, const struct msr_list *list, struct error *err)
{
	struct msr_list part;

	for (uint32_t at = 0; at < list->header.nmsrs;) {
		copy_from(list, at, &part);
		int count = ioctl(vcpu_fd, KVM_SET_MSRS, &part.header);
		if (count < 0)
			return error_set(err, -errno, "KVM_SET_MSRS: %s", strerror(errno));
		at += (uint32_t)count;
		if (at == list->header.nmsrs)
			break;
		int ret = excuse(vcpu_fd, &list->entries[at], err);
		if (ret)
			return ret;
		at++;
	}
	return 0;
}

static int read_msrs(struct wire_reader *in, struct msr_list *out_list,
                     struct msr_list *out_deadline, struct error *err)
{
	uint64_t tsc = 0;
	uint32_t count = wire_get_u32(in);

	if (in->failed || count > MSRS_MAX)
		return error_set(err, -EINVAL, "a vCPU's state has %u MSRs", count);
	out_list->header = out_deadline->header = (struct kvm_msrs){ 0 };
	for (uint32_t i = 0; i < count; i++) {
		struct kvm_msr_entry entry = { .index = wire_get_u32(in) };

		entry.data = wire_get_u64(in);
		if (in->failed || !is_saved(entry.index))
			return error_set(err, -EINVAL, "a vCPU's state has MSR 0x%x", entry.index);
		if (entry.index == MSR_TSC)
			tsc = entry.data;
		struct msr_list *list = entry.index == MSR_TSC_DEADLINE ? out_deadline : out_list;
		if (list->header.nmsrs == MSRS_MAX)
			return error_set(err, -EINVAL, "a vCPU's state has too many MSRs");
		list->entries[list->header.nmsrs++] = entry;
	}
	/* 0: disarmed, or expired with its interrupt still under way. One interrupt too many is harmless. */
	for (uint32_t i = 0; i < out_deadline->header.nmsrs; i++)
		if (out_deadline->entries[i].data == 0)
			out_deadline->entries[i].data = tsc;
	return 0;
}

int msrs_restore(int vcpu_fd, struct wire_reader *in, struct error *err)
{
	struct msr_list list, deadline;
	int ret = read_msrs(in, &list, &deadline, err);

	if (ret == 0)
		ret = set_all(vcpu_fd, &list, err);
	if (ret == 0)
		ret = set_all(vcpu_fd, &deadline, err);
	return ret;
}
