// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes arrays of system calls in a process that is being rebuilt; see interpreter.h. No stack is used, and no register is
// relied on across a system call but the stack pointer.
#include "arch/x86_64/interpreter.h"

#define SYS_futex   202
#define FUTEX_WAIT  0
#define FUTEX_WAKE  1
#define INT_MAX	    0x7fffffff

	.section .rodata.interpreter, "a"
	.balign 16
	.globl interpreter_start, interpreter_end
	.hidden interpreter_start, interpreter_end
interpreter_start:
.Lwait:
	mov SLOT_DONE(%rsp), %edx
	cmp SLOT_ORDERED(%rsp), %edx
	jne .Lbatch
	lea SLOT_ORDERED(%rsp), %rdi
	mov $FUTEX_WAIT, %esi
	xor %r10d, %r10d
	mov $SYS_futex, %eax
	syscall
	jmp .Lwait

.Lbatch:
	movl $0, SLOT_INDEX(%rsp)
.Lnext:
	mov SLOT_INDEX(%rsp), %eax
	cmp SLOT_COUNT(%rsp), %eax
	jae .Ldone
	imul $SLOT_CALL, %rax, %rax
	lea SLOT_CALLS(%rsp, %rax), %rbx
	mov 8(%rbx), %rdi
	mov 16(%rbx), %rsi
	mov 24(%rbx), %rdx
	mov 32(%rbx), %r10
	mov 40(%rbx), %r8
	mov 48(%rbx), %r9
	mov (%rbx), %rax
	syscall
	// A new thread or process begins here, in a slot with a batch of one call under way.
	mov SLOT_INDEX(%rsp), %ecx
	imul $SLOT_CALL, %rcx, %rcx
	mov %rax, SLOT_CALLS + SLOT_RESULT(%rsp, %rcx)
	incl SLOT_INDEX(%rsp)
	test %rax, %rax
	jns .Lnext
	cmpl $0, SLOT_ALL(%rsp)
	jne .Lnext

.Ldone:
	mov SLOT_ORDERED(%rsp), %eax
	mov %eax, SLOT_DONE(%rsp)
	lea SLOT_DONE(%rsp), %rdi
	mov $FUTEX_WAKE, %esi
	mov $INT_MAX, %edx
	mov $SYS_futex, %eax
	syscall
	jmp .Lwait
interpreter_end:

	.section .note.GNU-stack, "", @progbits
