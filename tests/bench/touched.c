/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * touched.c - a guest in ring 3 that has written to much memory, to be copied (native_copies.py).
 *
 *	mib=N	how much it fills behind itself: of two blocks of 64 KiB one can't be compressed, and one
 *		shrinks to about a fifth (each word eight times)
 *	then=leave	a copy ends right after its first exit; by default it does as the original
 *
 * On the runtime of tests/native/guest. Prints "ready" and then leaves the guest again and again by a
 * write to a port that nobody has, so that a copy's first exit comes with its first instruction or so.
 */
#include "tests/native/guest/guest.h"

#define NOBODY 0x80
#define MIB (1ull << 20)

void guest_main(const struct boot_params *bp);
extern char guest_end[];

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void fill(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += 8)
		*(volatile uint64_t *)(uintptr_t)at = mix(at >> 16 & 1 ? at : at & ~63ull);
}

void guest_main(const struct boot_params *bp)
{
	const char *cmdline = (const char *)(uintptr_t)bp->hdr.cmd_line_ptr;
	uint64_t start = ((uintptr_t)guest_end + 7) & ~7ull;
	uint64_t generation = mmio_read(LAYOUT_VMGENID, 8);
	char then[8] = "";

	word_value(cmdline, "then", then, sizeof(then));
	fill(start, start + number(cmdline, "mib", 1) * MIB);
	print("ready\n");
	do
		port_write(NOBODY, 1, 0);
	while (!streq(then, "leave") || mmio_read(LAYOUT_VMGENID, 8) == generation);
	print("guest: passed\n");
	power_off();
}
