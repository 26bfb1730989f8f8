/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arch.h - what the rest of the VMM asks of an architecture. Everything here is called by the main
 * thread before the first vCPU runs, unless it says otherwise; nothing is kept between calls but
 * in the structs that the caller owns. x86_64 implements it; an aarch64 would too.
 */
#ifndef CLOCHE_VMM_ARCH_ARCH_H
#define CLOCHE_VMM_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/wire_fields.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/memory.h"

#define ARCH_CPUS_MAX 8

/* What the guest writes to the power register to end (syscon-poweroff). */
#define ARCH_POWER_OFF 0x34u

/* Where the first vCPU starts. */
struct arch_entry {
	struct gpa pc;
	struct gpa boot_params; /* of a Linux kernel */
	uint32_t init_size;     /* a bzImage's: what it needs to unpack itself; 0 for an ELF */
	bool ring3;             /* start at CPL 3 over user pages: freestanding test guests only */
};

/* A node of the device tree, apart from CPUs and interrupt controllers. */
struct arch_fdt_device {
	const char *node;       /* "virtio", "serial": the unit address is added */
	const char *compatible; /* the binding's name */
	struct gpa base;
	uint64_t size;
	int pin; /* interrupt controller pin, edge, or -1 */
};

struct arch_fdt_machine {
	unsigned cpus;
	const struct arch_fdt_device *devices; /* borrowed */
	unsigned device_count;
};

/*
 * Loads a kernel, ELF vmlinux or bzImage (Documentation/arch/x86/boot.rst, 64-bit entry), from the
 * open @fd named @path into @memory. The file is not trusted: every offset is checked against
 * its size and guest RAM. *out_kernel_end is the first byte above the kernel and what it needs to
 * unpack itself. 0, or -errno with one line that says what to do.
 */
int arch_load_kernel(const struct guest_memory *memory, int fd, const char *path,
                     struct arch_entry *out_entry, struct gpa *out_kernel_end, struct error *err);

/*
 * Writes what a Linux kernel reads at entry: boot_params, command line, memory map, device tree,
 * and the initramfs (@initramfs_fd, or -1) as high as it may lie and above @kernel_end.
 * @entry->boot_params is filled. 0 or -errno.
 */
int arch_write_boot_params(const struct guest_memory *memory, const char *cmdline,
                           const struct arch_fdt_machine *machine, int initramfs_fd,
                           const char *initramfs_path, struct gpa kernel_end,
                           struct arch_entry *entry, struct error *err);

/*
 * Builds the flattened device tree (Devicetree Specification 0.4) in @buffer.
 * 0, or -ENOSPC when @size is too small.
 */
int arch_fdt_build(const struct arch_fdt_machine *machine, void *buffer, size_t size,
                   struct error *err);

/* Sets up interrupt controllers and fixed addresses; before the first vCPU is created. */
int arch_vm_init(int vm_fd, struct error *err);

/*
 * Gives vCPU @index of @cpus its CPUID, MSRs and, for the first, registers and the tables that
 * @entry needs (written to @memory). The others wait for INIT/SIPI. 0 or -errno.
 */
int arch_vcpu_init(int kvm_fd, int vcpu_fd, unsigned index, unsigned cpus,
                   const struct guest_memory *memory, const struct arch_entry *entry,
                   struct error *err);

/*
 * Encodes the whole state of a vCPU that isn't running, CPUID included. 0 or -errno. Any thread that
 * owns the vCPU.
 */
int arch_vcpu_save(int kvm_fd, int vcpu_fd, struct wire_writer *out, struct error *err);

/*
 * Gives a fresh vCPU the state that @in has, all of which is used. With @foreign, for what may come
 * from another host, a CPU that lacks a feature the guest has seen is refused, by name. 0 or -errno.
 */
int arch_vcpu_restore(int kvm_fd, int vcpu_fd, struct wire_reader *in, bool foreign,
                      struct error *err);

/*
 * The VM's own state: its clock, and the rate of the TSC, which all vCPUs have in common (@vcpu_fd is
 * any of them). Restoring: the rate for each vCPU before its state, the VM after them. 0 or -errno.
 */
int arch_vm_save(int vm_fd, int vcpu_fd, struct wire_writer *out, struct error *err);
int arch_vm_restore_rate(int vcpu_fd, struct wire_reader in, struct error *err);
int arch_vm_restore(int vm_fd, struct wire_reader in, struct error *err);

/* The instruction pointer of a vCPU that isn't running, for reports; 0 when it can't be had. */
uint64_t arch_vcpu_pc(int vcpu_fd);

#endif
