/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runtime.c - what the test guest has instead of a kernel and a libc.
 *
 * Every register access is one instruction, so that it is one exit and can be counted.
 */
#include "tests/native/guest/guest.h"

#define POWER_OFF 0x34u
#define PTE_PRESENT_WRITE_USER 7ull
#define PTE_HUGE 0x80ull
#define HUGE_PAGE (2ull << 20)
#define GIB (1ull << 30)
#define HIGH_TABLES 8

uint64_t mmio_count, port_count;
static bool failed;
static uint64_t high_pd[HIGH_TABLES][512] __attribute__((aligned(4096)));
static unsigned high_pd_used;

/* The compiler may call these two for struct copies. */
void *memset(void *at, int byte, size_t size)
{
	void *start = at;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return start;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

uint64_t mmio_read(uint64_t address, unsigned size)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	mmio_count++;
	switch (size) {
	case 1:
		__asm__ volatile("movb (%1), %0" : "=q"(v8) : "r"(address) : "memory");
		return v8;
	case 2:
		__asm__ volatile("movw (%1), %0" : "=r"(v16) : "r"(address) : "memory");
		return v16;
	case 4:
		__asm__ volatile("movl (%1), %0" : "=r"(v32) : "r"(address) : "memory");
		return v32;
	default:
		__asm__ volatile("movq (%1), %0" : "=r"(v64) : "r"(address) : "memory");
		return v64;
	}
}

void mmio_write(uint64_t address, unsigned size, uint64_t value)
{
	mmio_count++;
	switch (size) {
	case 1:
		__asm__ volatile("movb %0, (%1)" : : "q"((uint8_t)value), "r"(address) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %0, (%1)" : : "r"((uint16_t)value), "r"(address) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %0, (%1)" : : "r"((uint32_t)value), "r"(address) : "memory");
		break;
	default:
		__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
		break;
	}
}

uint32_t port_read(uint16_t port, unsigned size)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;

	port_count++;
	switch (size) {
	case 1:
		__asm__ volatile("inb %1, %0" : "=a"(v8) : "d"(port));
		return v8;
	case 2:
		__asm__ volatile("inw %1, %0" : "=a"(v16) : "d"(port));
		return v16;
	default:
		__asm__ volatile("inl %1, %0" : "=a"(v32) : "d"(port));
		return v32;
	}
}

void port_write(uint16_t port, unsigned size, uint32_t value)
{
	port_count++;
	switch (size) {
	case 1:
		__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "d"(port));
		break;
	case 2:
		__asm__ volatile("outw %0, %1" : : "a"((uint16_t)value), "d"(port));
		break;
	default:
		__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
		break;
	}
}

static void put(char c)
{
	mmio_write(LAYOUT_SERIAL, 1, (uint8_t)c);
}

void print(const char *text)
{
	while (*text)
		put(*text++);
}

void print_hex(uint64_t value)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 0xf]);
}

void print_bytes(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put("0123456789abcdef"[bytes[i] >> 4]);
		put("0123456789abcdef"[bytes[i] & 0xf]);
	}
}

void print_value(const char *name, uint64_t value)
{
	print(name);
	put(' ');
	print_hex(value);
	put('\n');
}

void check(bool ok, const char *what)
{
	if (ok)
		return;
	failed = true;
	print("FAIL ");
	print(what);
	put('\n');
}

bool checks_failed(void)
{
	return failed;
}

void checks_forget(void)
{
	failed = false;
}

bool streq(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool word_value(const char *cmdline, const char *name, char *out, size_t size)
{
	for (const char *word = cmdline; *word; word++) {
		const char *c = word, *n = name;

		if (word != cmdline && word[-1] != ' ')
			continue;
		while (*n && *c == *n) {
			c++;
			n++;
		}
		if (*n || *c != '=')
			continue;
		c++;
		while (*c && *c != ' ' && size > 1) {
			*out++ = *c++;
			size--;
		}
		*out = '\0';
		return true;
	}
	return false;
}

uint64_t number(const char *cmdline, const char *name, uint64_t fallback)
{
	char text[24];
	uint64_t value = 0;

	if (!word_value(cmdline, name, text, sizeof(text)))
		return fallback;
	for (const char *c = text; *c >= '0' && *c <= '9'; c++)
		value = value * 10 + (uint64_t)(*c - '0');
	return value;
}

void relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

void power_off(void)
{
	mmio_write(LAYOUT_POWER, 4, POWER_OFF);
	spin_forever();
}

void spin_forever(void)
{
	for (;;)
		relax();
}

/*
 * The VMM's page tables lie in guest RAM and are mapped like the rest, so the guest can extend
 * them: an entry that wasn't present needs no flush.
 */
void map_high(uint64_t gpa, uint64_t size)
{
	volatile uint64_t *pdpt = (uint64_t *)(uintptr_t)LAYOUT_PDPT;

	for (uint64_t gib = gpa / GIB; gib <= (gpa + size - 1) / GIB; gib++) {
		if (pdpt[gib])
			continue;
		if (high_pd_used == HIGH_TABLES || gib >= 512) {
			check(false, "map_high: more than there are tables for");
			return;
		}
		volatile uint64_t *pd = high_pd[high_pd_used++];
		for (uint64_t i = 0; i < 512; i++)
			pd[i] = (gib * GIB + i * HUGE_PAGE) | PTE_HUGE | PTE_PRESENT_WRITE_USER;
		pdpt[gib] = (uintptr_t)pd | PTE_PRESENT_WRITE_USER;
	}
}
