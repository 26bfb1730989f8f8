/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - the registers that hold.S fills and reads back. For assembler too.
 */
#ifndef CLOCHE_TESTS_NATIVE_MEMORY_H
#define CLOCHE_TESTS_NATIVE_MEMORY_H

/* Byte offsets in struct held; general registers by their number. */
#define HELD_RAX 0
#define HELD_RCX 8
#define HELD_RDX 16
#define HELD_RBX 24
#define HELD_RSP 32
#define HELD_RBP 40
#define HELD_RSI 48
#define HELD_RDI 56
#define HELD_FLAGS 128
#define HELD_X87 136
#define HELD_MXCSR 144
#define HELD_FCW 148
#define HELD_XMM 152

#ifndef __ASSEMBLER__

#include <stdint.h>

struct held {
	uint64_t general[16];
	uint64_t flags;
	uint64_t x87; /* a double, in the one register of the stack that is used */
	uint32_t mxcsr;
	uint32_t fcw;
	uint64_t xmm[32];
};

_Static_assert(__builtin_offsetof(struct held, flags) == HELD_FLAGS, "hold.S");
_Static_assert(__builtin_offsetof(struct held, x87) == HELD_X87, "hold.S");
_Static_assert(__builtin_offsetof(struct held, mxcsr) == HELD_MXCSR, "hold.S");
_Static_assert(__builtin_offsetof(struct held, fcw) == HELD_FCW, "hold.S");
_Static_assert(__builtin_offsetof(struct held, xmm) == HELD_XMM, "hold.S");

extern struct held held_now;

/*
 * Loads all of @load and waits, without touching memory, until the 64 bits at the address in its RDI
 * differ from its RAX or the 32 bits at the one in its RSI from its ECX. Then held_now has what the
 * registers hold.
 */
void hold_registers(const struct held *load);

#endif
#endif
