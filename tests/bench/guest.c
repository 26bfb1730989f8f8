/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest.c - the smallest guest: its first instruction leaves it, then it powers the machine off.
 * Freestanding, for ring 3 (cloche-vmm --ring3); touches no memory. One vCPU.
 */
#include "vmm/arch/arch.h"

void _start(void);

__attribute__((naked)) void _start(void)
{
	__asm__ volatile("out %%al, $0x80\n\t"
	                 "movl %0, %%eax\n\t"
	                 "movl %1, (%%rax)\n"
	                 "1:\n\t"
	                 "pause\n\t"
	                 "jmp 1b"
	                 :
	                 : "i"(LAYOUT_POWER), "i"(ARCH_POWER_OFF));
}
