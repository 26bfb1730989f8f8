/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start.S - first instruction of the ring-3 test guest: gives it a stack and calls C.
 *
 * Entered as vmm/arch/x86_64/entry.c leaves the vCPU: long mode, CPL 3, the first 4 GiB mapped one
 * to one by user pages, RSI = boot_params, RSP = 0, no IDT, interrupts off.
 */
	.section .text.start, "ax"
	.globl	start
start:
	leaq	stack_top(%rip), %rsp
	xorl	%ebp, %ebp
	movq	%rsi, %rdi
	call	guest_main
1:	jmp	1b

/* The instruction that the fault test dies at; its address goes into the report. */
	.text
	.globl	fault_here
fault_here:
	ud2

/* Reports a panic to the register at RDI. The report has this instruction or the next. */
	.globl	panic_here
panic_here:
	movb	$1, (%rdi)
	ret

	.bss
	.balign	16
	.skip	65536
stack_top:

	.section .note.GNU-stack, "", @progbits
