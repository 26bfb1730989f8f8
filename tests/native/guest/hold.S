/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.S - waits with a known value in every register that ring 3 has.
 *
 *	void hold_registers(const struct held *load)	fills held_now (memory.h)
 *
 * The loop leaves the guest twice a turn, by reads of (RDI) and (RSI), and needs no other register
 * than those it compares. There is no stack in it: RSP holds a value like the rest.
 */
#include "tests/native/guest/memory.h"

	.text
	.globl	hold_registers
hold_registers:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, kept_stack(%rip)

	fninit
	fldcw	HELD_FCW(%rdi)
	fldl	HELD_X87(%rdi)
	ldmxcsr	HELD_MXCSR(%rdi)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	HELD_XMM + 16 * \n(%rdi), %xmm\n
	.endr
	pushq	HELD_FLAGS(%rdi)
	popfq
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	movq	8 * \n(%rdi), %r\n
	.endr
	movq	HELD_RAX(%rdi), %rax
	movq	HELD_RCX(%rdi), %rcx
	movq	HELD_RDX(%rdi), %rdx
	movq	HELD_RBX(%rdi), %rbx
	movq	HELD_RSP(%rdi), %rsp
	movq	HELD_RBP(%rdi), %rbp
	movq	HELD_RSI(%rdi), %rsi
	movq	HELD_RDI(%rdi), %rdi

1:	cmpq	%rax, (%rdi)
	jne	2f
	cmpl	%ecx, (%rsi)
	je	1b

2:	movq	%rax, held_now + HELD_RAX(%rip)
	movq	%rcx, held_now + HELD_RCX(%rip)
	movq	%rdx, held_now + HELD_RDX(%rip)
	movq	%rbx, held_now + HELD_RBX(%rip)
	movq	%rsp, held_now + HELD_RSP(%rip)
	movq	%rbp, held_now + HELD_RBP(%rip)
	movq	%rsi, held_now + HELD_RSI(%rip)
	movq	%rdi, held_now + HELD_RDI(%rip)
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%r\n, held_now + 8 * \n(%rip)
	.endr
	movq	kept_stack(%rip), %rsp
	pushfq
	popq	held_now + HELD_FLAGS(%rip)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	%xmm\n, held_now + HELD_XMM + 16 * \n(%rip)
	.endr
	stmxcsr	held_now + HELD_MXCSR(%rip)
	fstpl	held_now + HELD_X87(%rip)
	fnstcw	held_now + HELD_FCW(%rip)

	cld
	fninit
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.bss
	.balign	8
kept_stack:
	.skip	8

	.section .note.GNU-stack, "", @progbits
