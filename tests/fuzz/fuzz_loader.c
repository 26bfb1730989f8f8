/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_loader.c - vmm/arch/x86_64/loader.c and boot_params.c: a kernel file that is anything, and
 * what is written beside it.
 *
 *	u8     flags: initramfs, file longer than its bytes
 *	u8     length of the command line, and its bytes
 *	u16    size of the initramfs in 256 bytes
 *	then   the kernel
 */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/arch/arch.h"

#define MEMORY ((uint64_t)4 << 20)
#define INITRAMFS 1u
#define LONGER 2u

static struct guest_memory memory;
static int kernel = -1, initramfs = -1;

void fuzz_init(void)
{
	struct error err = { 0 };

	kernel = memfd_create("kernel", MFD_CLOEXEC);
	initramfs = memfd_create("initramfs", MFD_CLOEXEC);
	CHECK(kernel >= 0 && initramfs >= 0);
	CHECK(guest_memory_init(&memory, MEMORY, GPA(LAYOUT_HOLE_START), GPA(LAYOUT_HOLE_END),
	                        &err) == 0);
}

static void write_kernel(struct input *in, bool longer)
{
	CHECK(ftruncate(kernel, 0) == 0);
	CHECK(pwrite(kernel, in->data, in->size, 0) == (ssize_t)in->size);
	/* A kernel's body is of no interest to its loader: zeros do. */
	if (longer)
		CHECK(ftruncate(kernel, (off_t)in->size + 0x3000) == 0);
}

void fuzz_one(struct input *in)
{
	static const struct arch_fdt_device console = { "serial", "ns16550a", GPA(LAYOUT_SERIAL), 8,
		                                        LAYOUT_PIN_SERIAL };
	const struct arch_fdt_machine machine = { 1, &console, 1 };
	struct arch_entry entry = { 0 };
	struct gpa end = GPA(0);
	struct error err = { 0 };
	char cmdline[256] = "";
	const uint8_t *bytes;

	CHECK(madvise(memory.ram, memory.ram_size, MADV_DONTNEED) == 0);
	uint8_t flags = input_u8(in);
	size_t taken = input_bytes(in, input_u8(in), &bytes);
	memcpy(cmdline, bytes, taken);
	CHECK(ftruncate(initramfs, 0) == 0);
	CHECK(ftruncate(initramfs, input_u16(in) * 256) == 0);
	write_kernel(in, flags & LONGER);

	if (arch_load_kernel(&memory, kernel, "kernel", &entry, &end, &err)) {
		CHECK(err.code < 0 && err.msg[0]);
		return;
	}
	CHECK(end.value > LAYOUT_HIGH_START && end.value <= MEMORY);
	CHECK(entry.pc.value >= LAYOUT_HIGH_START && entry.pc.value < end.value);
	int ret = arch_write_boot_params(&memory, cmdline, &machine,
	                                 flags & INITRAMFS ? initramfs : -1, "initramfs", end,
	                                 &entry, &err);
	CHECK(ret == 0 || (err.code < 0 && err.msg[0]));
}
