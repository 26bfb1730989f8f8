/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * basic.c - tests of boot data, exits and memory, and the ways in which a guest ends.
 */
#include <asm/e820.h>

#include "tests/native/guest/guest.h"

#define PAGE 4096ull
#define PATTERN 0x5aa55aa5c3c33c3cull
#define NOWHERE (LAYOUT_POWER + 0x10000ull) /* in the hole, no device */

extern char guest_end[];
void fault_here(void);
void panic_here(uint64_t address);

static void run_hello(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print("hello from ring 3\n");
}

static uint32_t big_endian(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What a Linux kernel would find. */
static void run_boot(const struct boot_params *bp, const char *cmdline)
{
	const struct setup_data *data = (const void *)(uintptr_t)bp->hdr.setup_data;

	print_value("version", bp->hdr.version);
	print_value("ramdisk", (uint64_t)bp->hdr.ramdisk_image << 32 | bp->hdr.ramdisk_size);
	for (unsigned i = 0; i < bp->e820_entries; i++) {
		print_value("e820.start", bp->e820_table[i].addr);
		print_value("e820.size", bp->e820_table[i].size);
		check(bp->e820_table[i].type == E820_RAM, "e820 type");
	}
	check(data && data->type == SETUP_DTB && data->next == 0, "setup_data is one device tree");
	if (data) {
		check(big_endian(data->data) == 0xd00dfeed, "device tree magic");
		check(big_endian(data->data + 4) == data->len, "device tree size");
	}
	if (bp->hdr.ramdisk_size) {
		print("initramfs ");
		print_bytes((const uint8_t *)(uintptr_t)bp->hdr.ramdisk_image, 16);
		print("\n");
	}
	print("cmdline ");
	print(cmdline);
	print("\n");
}

/* Ports float, whatever their width; what is written goes nowhere. */
static void run_pio(const struct boot_params *bp, const char *cmdline)
{
	static const uint16_t ports[] = { 0x0, 0x20, 0x60, 0x80, 0x3f8, 0xcf8, 0xcfc, 0xfffc };
	uint8_t bytes[64];
	void *to = bytes;
	const void *from = bytes;
	uint64_t count = sizeof(bytes);

	(void)bp;
	(void)cmdline;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		for (unsigned size = 1; size <= 4; size *= 2)
			port_write(ports[i], size, 0);
		check(port_read(ports[i], 1) == 0xff, "inb floats");
		check(port_read(ports[i], 2) == 0xffff, "inw floats");
		check(port_read(ports[i], 4) == 0xffffffff, "inl floats");
	}
	check(port_read(0x64, 1) == 0, "the keyboard controller isn't busy");
	port_write(0x64, 1, 0xfd);
	memset(bytes, 0, sizeof(bytes));
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"((uint16_t)0x80) : "memory");
	for (size_t i = 0; i < sizeof(bytes); i++)
		check(bytes[i] == 0xff, "rep insb floats");
	count = sizeof(bytes);
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)0x80) : "memory");
}

static uint64_t ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

static void run_mmio(const struct boot_params *bp, const char *cmdline)
{
	static const uint64_t nobody[] = { NOWHERE, LAYOUT_HOLE_START, LAYOUT_VIRTIO + 0x8000ull,
		                           LAYOUT_SERIAL + 8, LAYOUT_HOLE_END - 16 };

	(void)bp;
	(void)cmdline;
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
		for (unsigned size = 1; size <= 8; size *= 2) {
			mmio_write(nobody[i], size, 0);
			check(mmio_read(nobody[i], size) == ones(size), "nobody answers: all ones");
		}
	/* The panic register has two bytes: a wider access runs out of it and reaches nobody. */
	mmio_write(LAYOUT_PVPANIC, 4, 1);
	check(mmio_read(LAYOUT_PVPANIC, 4) == 0xffffffff, "an access beyond a device floats");
	/* The power register takes one value, as 32 bits. */
	mmio_write(LAYOUT_POWER, 4, 0x33);
	mmio_write(LAYOUT_POWER, 1, 0x34);
	mmio_write(LAYOUT_POWER, 2, 0x34);
	check(mmio_read(LAYOUT_SERIAL + 5, 1) == 0x60, "the transmitter is empty");
	check(mmio_read(LAYOUT_SERIAL + 5, 4) == 0xffffffff,
	      "a wide access runs out of the serial");
}

/* Stays in the guest for good, having said how often it left it: "status" must say the same. */
static void run_count(const struct boot_params *bp, const char *cmdline)
{
	static const char line[] = "count 0123456789abcdef 0123456789abcdef\n";

	(void)bp;
	(void)cmdline;
	for (unsigned i = 0; i < 100; i++) {
		port_write(0x80, 1, i);
		mmio_read(NOWHERE, 4);
	}
	uint64_t mmio = mmio_count + sizeof(line) - 1;
	print("count ");
	print_hex(mmio);
	print_value("", port_count);
	spin_forever();
}

/* First and last word of a page. */
static void stamp(uint64_t page, bool verify)
{
	volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)page;

	if (verify) {
		check(words[0] == (page ^ PATTERN), "first word of a page");
		check(words[511] == ~(page ^ PATTERN), "last word of a page");
	} else {
		words[0] = page ^ PATTERN;
		words[511] = ~(page ^ PATTERN);
	}
}

static void walk_ram(const struct boot_params *bp, uint64_t stride, bool verify)
{
	for (unsigned i = 0; i < bp->e820_entries; i++) {
		uint64_t start = bp->e820_table[i].addr;
		uint64_t end = start + bp->e820_table[i].size;

		if (end <= LAYOUT_HIGH_START)
			continue;
		if (start < (uintptr_t)guest_end)
			start = ((uintptr_t)guest_end + PAGE - 1) & ~(PAGE - 1);
		if (end > LAYOUT_HOLE_END)
			map_high(start, end - start);
		for (uint64_t page = start; page < end; page += stride)
			stamp(page, verify);
		stamp(end - PAGE, verify);
		if (verify)
			print_value("ram to", end);
	}
}

/* Every page's pattern is written before the first is read: aliases would show. */
static void run_memory(const struct boot_params *bp, const char *cmdline)
{
	uint64_t stride = number(cmdline, "stride_kib", 4) << 10;

	walk_ram(bp, stride, false);
	walk_ram(bp, stride, true);
	uint64_t first_end = bp->e820_table[1].addr + bp->e820_table[1].size;
	check(mmio_read(first_end, 8) == UINT64_MAX, "nothing behind the RAM");
}

/* Leaves the guest again and again, so that "exits" shows whether it runs. */
static void run_tick(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print("ticking\n");
	for (;;)
		port_write(0x80, 1, 0);
}

/* Never leaves the guest at all: whoever wants it to end must take it out. */
static void run_spin(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print("spinning\n");
	spin_forever();
}

static void run_reset(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print("pulling the reset line\n");
	port_write(0x64, 1, 0xfe);
	spin_forever();
}

static void run_fault(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print_value("faulting at", (uintptr_t)fault_here);
	fault_here();
}

/* An instruction fetched from a device: KVM has nothing to run there. */
static void run_fetch(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print_value("jumping to", NOWHERE);
	__asm__ volatile("jmp *%0" : : "r"(NOWHERE));
}

static void run_panic(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print_value("panicking at", (uintptr_t)panic_here);
	print("Kernel panic - not syncing: the test wants it\n");
	panic_here(LAYOUT_PVPANIC);
	spin_forever();
}

static void run_flood(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	for (uint64_t i = number(cmdline, "lines", 0); i > 0; i--)
		print("a flood of lines that nobody reads, each of them quite short\n");
	print("the flood is over\n");
}

const struct guest_test basic_tests[] = {
	{ "hello", run_hello }, { "boot", run_boot },   { "pio", run_pio },
	{ "mmio", run_mmio },   { "count", run_count }, { "memory", run_memory },
	{ "tick", run_tick },   { "spin", run_spin },   { "reset", run_reset },
	{ "fault", run_fault }, { "fetch", run_fetch }, { "panic", run_panic },
	{ "flood", run_flood }, { NULL, NULL },
};
