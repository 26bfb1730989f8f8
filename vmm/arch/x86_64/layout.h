/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.h - guest-physical addresses of the x86_64 machine. Constants only.
 *
 *	0x0000_0000  RAM, up to 3 GiB
 *	0xc000_0000  hole: device registers, then IOAPIC and LAPIC where a PC has them
 *	0x1_0000_0000  RAM that didn't fit below
 *	 next GiB    root image (virtio-pmem), read-only
 */
#ifndef CLOCHE_VMM_ARCH_X86_64_LAYOUT_H
#define CLOCHE_VMM_ARCH_X86_64_LAYOUT_H

/* Boot structures in the first 640 KiB, which Linux reads before it takes the memory for itself. */
#define LAYOUT_GDT 0x500u
#define LAYOUT_TSS 0x600u /* ring-3 test guests; I/O bitmap of zeros follows */
#define LAYOUT_BOOT_PARAMS 0x7000u
#define LAYOUT_PML4 0x9000u
#define LAYOUT_PDPT 0xa000u
#define LAYOUT_PD 0xb000u /* four pages: 4 GiB in 2 MiB pages */
#define LAYOUT_CMDLINE 0x20000u
#define LAYOUT_CMDLINE_MAX 2048u /* COMMAND_LINE_SIZE of x86, NUL included */
#define LAYOUT_FDT 0x40000u      /* struct setup_data, then the blob */
#define LAYOUT_FDT_MAX 0x10000u
#define LAYOUT_LOW_END 0x9fc00u /* end of conventional memory */
#define LAYOUT_HIGH_START 0x100000u

#define LAYOUT_HOLE_START 0xc0000000u
#define LAYOUT_VIRTIO 0xd0000000u /* one page a device */
#define LAYOUT_SERIAL 0xd0010000u
#define LAYOUT_VMGENID 0xd0011000u
#define LAYOUT_PVPANIC 0xd0012000u
#define LAYOUT_POWER 0xd0013000u
#define LAYOUT_IOAPIC 0xfec00000u
#define LAYOUT_LAPIC 0xfee00000u
#define LAYOUT_KVM_TSS 0xfffbd000u /* three pages that Intel KVM wants for itself */
#define LAYOUT_KVM_IDENTITY 0xfffbc000u
#define LAYOUT_HOLE_END 0x100000000ull

#define LAYOUT_IMAGE_ALIGN ((uint64_t)1 << 30)

/* Interrupt controller pins. 0 to 4 keep away from what a PC wires there. */
#define LAYOUT_PIN_SERIAL 4
#define LAYOUT_PIN_VIRTIO 5 /* and upwards, one a device */
#define LAYOUT_PIN_VMGENID 23

#endif
