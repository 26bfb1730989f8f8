/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * entry.c - the state in which the first vCPU starts, and what KVM needs to know of the machine.
 *
 * A Linux kernel gets what boot.rst asks for at the 64-bit entry: long mode, the first 4 GiB mapped
 * one to one, flat segments at selectors 0x10 and 0x18, interrupts off, RSI = boot_params.
 *
 * A ring-3 test guest gets the same with user segments and user pages, and a TSS whose I/O bitmap
 * lets it use every port: on hosts whose KVM interprets ring 0, ring 3 still runs at full speed.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/log.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/ioapic.h"

#define PTE_PRESENT 0x01ull
#define PTE_WRITE 0x02ull
#define PTE_USER 0x04ull
#define PTE_HUGE 0x80ull

#define CR0_PE 0x1ull
#define CR0_MP 0x2ull
#define CR0_ET 0x10ull
#define CR0_NE 0x20ull
#define CR0_WP 0x10000ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define CR4_OSFXSR 0x200ull
#define CR4_OSXMMEXCPT 0x400ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define RFLAGS_FIXED 0x2ull

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS 0x20
#define RPL_USER 3
#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */
#define SEGMENT_TSS 0xb  /* 64-bit TSS, busy */
#define TSS_SIZE 0x68
#define TSS_IOMAP_OFFSET 0x66
#define IO_BITMAP_SIZE 8193 /* 65536 ports and the closing byte */
#define TSS_LIMIT (TSS_SIZE + IO_BITMAP_SIZE - 1)

#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE_WRITE_BACK 0x806ull
#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1ull

int arch_vm_init(int vm_fd, struct error *err)
{
	uint64_t identity = LAYOUT_KVM_IDENTITY;
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };

	/* Both are for Intel's real-mode emulation and harmless elsewhere. */
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) && errno != EINVAL &&
	    errno != ENOTTY)
		return error_set(err, -errno, "KVM_SET_IDENTITY_MAP_ADDR: %s", strerror(errno));
	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, LAYOUT_KVM_TSS) && errno != EINVAL && errno != ENOTTY)
		return error_set(err, -errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &split))
		return error_set(err, -errno, "KVM_CAP_SPLIT_IRQCHIP: %s", strerror(errno));
	return 0;
}

static uint64_t *table_at(const struct guest_memory *memory, uint64_t gpa, uint64_t size)
{
	uint64_t *table = guest_memory_at(memory, GPA(gpa), size, GUEST_WRITE);

	ASSERT(table);
	return table;
}

/* Maps the first 4 GiB one to one by 2 MiB pages. */
static void write_page_tables(const struct guest_memory *memory, uint64_t flags)
{
	uint64_t *pml4 = table_at(memory, LAYOUT_PML4, 4096);
	uint64_t *pdpt = table_at(memory, LAYOUT_PDPT, 4096);
	uint64_t *pd = table_at(memory, LAYOUT_PD, 4096 * 4);

	pml4[0] = LAYOUT_PDPT | flags;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (LAYOUT_PD + i * 4096) | flags;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = (i << 21) | PTE_HUGE | flags;
}

/* The descriptor in memory that a segment register stands for (Intel SDM vol. 3, 3.4.5). */
static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | (uint64_t)s->type << 40 |
	       (uint64_t)s->s << 44 | (uint64_t)s->dpl << 45 | (uint64_t)s->present << 47 |
	       (limit & 0xf0000) << 32 | (uint64_t)s->l << 53 | (uint64_t)s->db << 54 |
	       (uint64_t)s->g << 55 | (s->base & 0xff000000) << 32;
}

static void set_segments(const struct guest_memory *memory, bool ring3, struct kvm_sregs *sregs)
{
	uint8_t dpl = ring3 ? RPL_USER : 0;
	uint64_t *gdt = table_at(memory, LAYOUT_GDT, 6 * sizeof(uint64_t));
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = (uint16_t)(SELECTOR_CODE | dpl),
		.type = SEGMENT_CODE,
		.present = 1,
		.dpl = dpl,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = (uint16_t)(SELECTOR_DATA | dpl),
		.type = SEGMENT_DATA,
		.present = 1,
		.dpl = dpl,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_segment tss = {
		.base = LAYOUT_TSS,
		.limit = TSS_LIMIT,
		.selector = SELECTOR_TSS,
		.type = SEGMENT_TSS,
		.present = 1,
	};

	gdt[SELECTOR_CODE / 8] = descriptor(&code);
	gdt[SELECTOR_DATA / 8] = descriptor(&data);
	gdt[SELECTOR_TSS / 8] = descriptor(&tss);
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = 6 * sizeof(uint64_t) - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = tss;
}

/* The bitmap behind the TSS is zero already: fresh RAM. Only its offset and end are written. */
static void write_tss(const struct guest_memory *memory)
{
	uint8_t *tss = guest_memory_at(memory, GPA(LAYOUT_TSS), TSS_LIMIT + 1, GUEST_WRITE);
	uint16_t iomap = TSS_SIZE;

	ASSERT(tss);
	memcpy(tss + TSS_IOMAP_OFFSET, &iomap, sizeof(iomap));
	tss[TSS_LIMIT] = 0xff;
}

static int set_first_registers(int vcpu_fd, const struct guest_memory *memory,
                               const struct arch_entry *entry, struct error *err)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return error_set(err, -errno, "KVM_GET_SREGS: %s", strerror(errno));
	write_page_tables(memory, PTE_PRESENT | PTE_WRITE | (entry->ring3 ? PTE_USER : 0));
	set_segments(memory, entry->ring3, &sregs);
	if (entry->ring3)
		write_tss(memory);
	sregs.cr3 = LAYOUT_PML4;
	sregs.cr4 |= CR4_PAE | (entry->ring3 ? CR4_OSFXSR | CR4_OSXMMEXCPT : 0);
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.efer |= EFER_LME | EFER_LMA;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs))
		return error_set(err, -errno, "KVM_SET_SREGS: %s", strerror(errno));

	struct kvm_regs regs = {
		.rip = entry->pc.value,
		.rsi = entry->boot_params.value,
		.rflags = RFLAGS_FIXED,
	};
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs))
		return error_set(err, -errno, "KVM_SET_REGS: %s", strerror(errno));
	return 0;
}

static int set_msrs(int vcpu_fd, struct error *err)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.header.nmsrs = 2,
		.entries = {
			{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WRITE_BACK },
			{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		},
	};
	int done = ioctl(vcpu_fd, KVM_SET_MSRS, &msrs.header);

	if (done < 0)
		return error_set(err, -errno, "KVM_SET_MSRS: %s", strerror(errno));
	if (done < (int)msrs.header.nmsrs)
		return error_set(err, -EINVAL, "this KVM refuses to set MSR 0x%x",
		                 msrs.entries[done].index);
	return 0;
}

int arch_vcpu_init(int kvm_fd, int vcpu_fd, unsigned index, unsigned cpus,
                   const struct guest_memory *memory, const struct arch_entry *entry,
                   struct error *err)
{
	struct cpuid_table table;
	bool tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;

	int ret = cpuid_load_supported(kvm_fd, &table, err);
	if (ret)
		return ret;
	cpuid_patch(&table, index, cpus, tsc_deadline);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, &table.header))
		return error_set(err, -errno, "KVM_SET_CPUID2: %s", strerror(errno));
	/* A test guest in ring 3 can't use MSRs, and some KVMs that run it can't set these. */
	if (!entry->ring3) {
		ret = set_msrs(vcpu_fd, err);
		if (ret)
			return ret;
	}
	return index == 0 ? set_first_registers(vcpu_fd, memory, entry, err) : 0;
}

uint64_t arch_vcpu_pc(int vcpu_fd)
{
	struct kvm_regs regs;

	return ioctl(vcpu_fd, KVM_GET_REGS, &regs) ? 0 : regs.rip;
}
