/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.c - a guest that knows what it should be: for snapshots, restores and forks.
 *
 *	test=pattern [seed=N] [mib=N] [holes=no] [then=verify|leave]
 *
 * Fills RAM (all of it, or so many MiB behind the guest) with words that depend on their address and
 * the seed, prints "ready", and waits with a known value in every register. Two things wake it: a new
 * generation (a clone has one), and another balloon target, which is the host's word to a guest that
 * is no clone: END to end, any other to look. Then it checks registers, memory and devices, prints
 *
 *	verified SEED GENERATION TARGET TURN
 *
 * each 16 hex digits, the generation's first half (or "broken …" and what is), writes its turn's
 * pages, one of 509, so that no two of a family stay alike, and waits again. With then=verify a clone
 * ends after its first look, with then=leave at once, having looked at nothing.
 *
 * What it fills: of each two blocks of 64 KiB one can't be compressed and one shrinks to a fifth
 * (each word eight times). But for holes=no, every 16th block of 2 MiB is left untouched.
 */
#include <asm/e820.h>

#include "tests/native/guest/guest.h"
#include "tests/native/guest/memory.h"
#include "tests/native/guest/virtio_regs.h"

#define PAGE 4096ull
#define END_TARGET 256u /* pages of the balloon: 1 MiB */
#define TURNS_KEPT 64
#define TURN_STRIDE 509 /* a prime: some page of nearly every 2 MiB */
#define FIRST_VECTOR 0x40u
#define LAST_VECTOR 0xefu
#define TRIES 200000 /* each leaves the guest: seconds */
#define FLAG_DIRECTION 0x400ull
#define FLAG_ID 0x200000ull

extern char guest_end[];
struct held held_now;

static struct {
	uint64_t start, end;
	uint64_t seed;
	bool holes;
	uint64_t turn;             /* looks taken so far */
	uint64_t keys[TURNS_KEPT]; /* of the pages that turn N, modulo TURNS_KEPT, has written */
	uint64_t generation;
	uint32_t target;
	uint64_t generation_at, target_at; /* registers */
	uint64_t tsc;
	unsigned vector; /* the rng's, not requested yet; 0 once all are used */
} state;

static struct virtio rng;
static struct vring ring;
static uint8_t random_bytes[8];
static struct held wanted;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* --- memory --- */

static uint64_t word_at(uint64_t key, uint64_t address)
{
	return mix(key ^ (address >> 16 & 1 ? address : address & ~63ull));
}

/* False: the page is one of zeros. */
static bool page_key(uint64_t page, uint64_t *out_key)
{
	uint64_t slot = (page / PAGE) % TURN_STRIDE;
	uint64_t kept = state.turn < TURNS_KEPT ? state.turn : TURNS_KEPT;

	*out_key = slot < kept ? state.keys[slot] : state.seed;
	return slot < kept || !state.holes || (page >> 21) % 16 != 5;
}

static void write_page(uint64_t page, uint64_t key)
{
	volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)page;

	for (unsigned i = 0; i < PAGE / 8; i++)
		words[i] = word_at(key, page + 8 * i);
}

/* The first word that differs; 0 when none does. */
static uint64_t find_difference(uint64_t page)
{
	const volatile uint64_t *words = (const volatile uint64_t *)(uintptr_t)page;
	uint64_t key;
	bool filled = page_key(page, &key);

	for (unsigned i = 0; i < PAGE / 8; i++)
		if (words[i] != (filled ? word_at(key, page + 8 * i) : 0))
			return page + 8 * i;
	return 0;
}

static void fill_memory(void)
{
	uint64_t key;

	for (uint64_t page = state.start; page < state.end; page += PAGE)
		if (page_key(page, &key))
			write_page(page, key);
}

static bool check_memory(void)
{
	for (uint64_t page = state.start; page < state.end; page += PAGE) {
		uint64_t at = find_difference(page);

		if (at) {
			print_value("broken memory at", at);
			print_value("broken memory has", *(volatile uint64_t *)(uintptr_t)at);
			return false;
		}
	}
	return true;
}

/* What was looked at becomes another's: key and pages of this turn alone. */
static void write_turn(void)
{
	uint64_t slot = state.turn % TURNS_KEPT;

	state.keys[slot] =
		mix(state.seed ^ mix(state.generation) ^ mix(state.target + (state.turn << 32)));
	state.turn++;
	for (uint64_t page = state.start; page < state.end; page += PAGE)
		if (page / PAGE % TURN_STRIDE == slot)
			write_page(page, state.keys[slot]);
}

/* --- registers --- */

static void choose_registers(void)
{
	uint64_t base = mix(state.seed ^ state.turn);

	for (unsigned i = 0; i < 16; i++)
		wanted.general[i] = mix(base + i);
	for (unsigned i = 0; i < 32; i++)
		wanted.xmm[i] = mix(base + 100 + i);
	wanted.general[HELD_RAX / 8] = state.generation;
	wanted.general[HELD_RCX / 8] = (wanted.general[HELD_RCX / 8] << 32) | state.target;
	wanted.general[HELD_RSI / 8] = state.target_at;
	wanted.general[HELD_RDI / 8] = state.generation_at;
	wanted.general[HELD_RSP / 8] >>= 20; /* canonical */
	wanted.flags = 2 | FLAG_DIRECTION | FLAG_ID;
	wanted.x87 = mix(base) >> 12 | 0x3ff0000000000000ull; /* a number from 1 to 2 */
	wanted.mxcsr = 0x7f80;                                /* rounds towards zero */
	wanted.fcw = 0xc7f;
}

static bool same_register(const char *name, uint64_t has, uint64_t should)
{
	if (has == should)
		return true;
	print("broken register ");
	print(name);
	print(" ");
	print_hex(has);
	print_value(" not", should);
	return false;
}

static bool check_registers(void)
{
	static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
		                               "rsi", "rdi", "r8",  "r9",  "r10", "r11",
		                               "r12", "r13", "r14", "r15" };
	const uint64_t flags = FLAG_DIRECTION | FLAG_ID;
	bool same = true;

	for (unsigned i = 0; i < 16; i++)
		same &= same_register(names[i], held_now.general[i], wanted.general[i]);
	for (unsigned i = 0; i < 32; i++)
		same &= same_register("xmm", held_now.xmm[i], wanted.xmm[i]);
	same &= same_register("rflags", held_now.flags & flags, wanted.flags & flags);
	same &= same_register("x87", held_now.x87, wanted.x87);
	same &= same_register("mxcsr", held_now.mxcsr, wanted.mxcsr);
	same &= same_register("fcw", held_now.fcw & 0xffff, wanted.fcw);
	return same;
}

/* --- devices --- */

/* The rng's next interrupt, for after the wait. */
static void arm_interrupt(void)
{
	if (!state.vector)
		return;
	mmio_write(rng.base + REG_INTERRUPT_ACK, 4, 3);
	route_pin(rng.pin, state.vector);
}

/* The rng goes on where it was, its interrupt takes the way it had, and so far none is lost. */
static bool check_devices(void)
{
	uint64_t tsc = now();

	virtio_ask(&rng, random_bytes, sizeof(random_bytes));
	bool good = virtio_wait(&rng) == sizeof(random_bytes);
	if (!good)
		print("broken rng\n");
	print("random ");
	print_bytes(random_bytes, sizeof(random_bytes));
	print("\n");
	for (unsigned tries = 0; state.vector && !requested(state.vector) && tries < TRIES; tries++)
		relax();
	for (unsigned vector = FIRST_VECTOR; vector <= state.vector; vector++)
		if (!requested(vector)) {
			print_value("broken interrupt", vector);
			good = false;
		}
	state.vector = state.vector && state.vector < LAST_VECTOR ? state.vector + 1 : 0;
	if (tsc < state.tsc) {
		print_value("broken clock", tsc);
		good = false;
	}
	return good;
}

/* --- the test --- */

static bool look(void)
{
	bool good = check_registers();

	good &= check_memory();
	good &= check_devices();
	check(good, "all is as it was");
	if (!good)
		return false;
	print("verified ");
	print_hex(state.seed);
	print(" ");
	print_hex(state.generation);
	print(" ");
	print_hex(state.target);
	print_value("", state.turn);
	return true;
}

static bool prepare(const struct boot_params *bp, const char *cmdline)
{
	const struct boot_e820_entry *low = &bp->e820_table[1];
	struct virtio balloon;
	char word[8] = "";

	if (!virtio_find(DEVICE_BALLOON, &balloon) || !virtio_find(DEVICE_RNG, &rng) ||
	    virtio_start(&rng, &ring) != STATUS_RUNNING) {
		check(false, "there are a balloon and an rng");
		return false;
	}
	state.generation_at = LAYOUT_VMGENID;
	state.target_at = balloon.base + REG_CONFIG;
	state.generation = mmio_read(state.generation_at, 8);
	state.target = (uint32_t)mmio_read(state.target_at, 4);
	state.seed = number(cmdline, "seed", 1);
	state.holes = !word_value(cmdline, "holes", word, sizeof(word)) || !streq(word, "no");
	state.start = ((uintptr_t)guest_end + PAGE - 1) & ~(PAGE - 1);
	state.end = low->addr + low->size;
	uint64_t mib = number(cmdline, "mib", 0);
	if (mib && mib << 20 < state.end - state.start)
		state.end = state.start + (mib << 20);
	state.vector = FIRST_VECTOR;
	lapic_enable();
	return true;
}

static void run_pattern(const struct boot_params *bp, const char *cmdline)
{
	char then[8] = "";

	word_value(cmdline, "then", then, sizeof(then));
	if (!prepare(bp, cmdline))
		return;
	fill_memory();
	print_value("ready", state.seed);
	for (;;) {
		choose_registers();
		arm_interrupt();
		state.tsc = now();
		hold_registers(&wanted);

		uint64_t generation = mmio_read(state.generation_at, 8);
		bool clone = generation != state.generation;

		state.generation = generation;
		state.target = (uint32_t)mmio_read(state.target_at, 4);
		if ((clone && streq(then, "leave")) || state.target == END_TARGET)
			return;
		if (!look() || (clone && streq(then, "verify")))
			return;
		write_turn();
	}
}

const struct guest_test memory_tests[] = { { "pattern", run_pattern }, { NULL, NULL } };
