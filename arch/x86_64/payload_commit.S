// SPDX-License-Identifier: LGPL-2.1-or-later
// Commit code that runs in the target: verify, decide, execute the log, and each thread's gate.
// The gate uses no stack: a thread is sent there with any stack pointer. r15 is its record.
#include "arch/x86_64/payload.h"
#include "arch/x86_64/restore_state.inc"

#define SYS_futex 202

	.section .rodata.payload_commit, "a"
	.balign 16
	.globl payload_commit, payload_commit_end
	.hidden payload_commit, payload_commit_end
payload_commit:
.Lcode:
	.set header, .Lcode + PAYLOAD_PAGE

// r15: this thread's record. Everything else may be used.
.Lgate:
	lea header(%rip), %r14
	// The first thread that comes through an undecided gate makes "no" final: a helper that is
	// still verifying must not decide "yes" once a thread has left.
	mov CH_WORD(%r14), %r12
	xor %eax, %eax
	mov $COMMIT_ABORTED, %ecx
	lock cmpxchg %ecx, (%r12)
	cmp $COMMIT_DECIDED, %eax
	je .Lgate_new
	cmp $COMMIT_UNDOING, %eax
	je .Lgate_undo
.Lgate_old:
	lea CR_OLD(%r15), %r13
	jmp .Lrestore
.Lgate_new:
	xor %r12d, %r12d
	lea CR_NEW(%r15), %r13
	lea .Lserialize(%rip), %rbp
	jmp .Lensure
.Lgate_undo:
	mov $1, %r12d
	lea CR_OLD(%r15), %r13
	lea .Lserialize(%rip), %rbp
	jmp .Lensure

.Lserialize: // another core may have written the code that this one goes to
	xor %eax, %eax
	cpuid
.Lrestore: // r13: the state. A pending signal may be delivered in here: its stack must be right first
	restore_state CR_LEFT

// Makes sure that the log was executed in direction r12 (0 redo, 1 undo) once; returns to rbp.
// r14: header. Keeps r13, r15.
.Lensure:
	xor %eax, %eax
	mov $1, %ecx
	lock cmpxchg %ecx, CH_LOCK(%r14,%r12,8)
	jnz .Lensure_wait
	mov CH_NLOG(%r14), %ebx
	mov CH_LOG(%r14), %r8
	add %r14, %r8
	mov $CL_SIZE, %r9d
	mov $CL_NEW, %r10d
	test %r12d, %r12d
	jz 1f
	mov %ebx, %eax // backwards, from the last entry, with the old bytes
	shl $5, %rax
	lea -CL_SIZE(%r8,%rax), %r8
	neg %r9
	mov $CL_OLD, %r10d
1:	test %ebx, %ebx
	jz 9f
2:	mov CL_ADDR(%r8), %rdi
	lea (%r8,%r10), %rsi
	mov CL_LEN(%r8), %ecx
	test $8, %cl
	jz 3f
	mov (%rsi), %rax
	mov %rax, (%rdi)
	jmp 6f
3:	test $4, %cl
	jz 4f
	mov (%rsi), %eax
	mov %eax, (%rdi)
	add $4, %rsi
	add $4, %rdi
4:	test $2, %cl
	jz 5f
	mov (%rsi), %ax
	mov %ax, (%rdi)
	add $2, %rsi
	add $2, %rdi
5:	test $1, %cl
	jz 6f
	mov (%rsi), %al
	mov %al, (%rdi)
6:	add %r9, %r8
	dec %ebx
	jnz 2b
9:	mov $1, %eax
	xchg %eax, CH_DONE(%r14,%r12,8)
	cmpl $0, CH_WAITERS(%r14) // each system call costs the tool two stops
	je 1f
	mov $SYS_futex, %eax
	lea CH_DONE(%r14,%r12,8), %rdi
	mov $1, %esi // FUTEX_WAKE
	mov $0x7fffffff, %edx
	syscall
1:	jmp *%rbp
.Lensure_wait:
	lock incl CH_WAITERS(%r14)
2:
	// No timeout: a futex wait with one would overwrite the restart block of the interrupted
	// nanosleep this thread goes back to. The executor always wakes.
	cmpl $0, CH_DONE(%r14,%r12,8)
	jne 1f
	mov $SYS_futex, %eax
	lea CH_DONE(%r14,%r12,8), %rdi
	xor %esi, %esi // FUTEX_WAIT
	xor %edx, %edx
	xor %r10d, %r10d
	syscall
	jmp 2b
1:	jmp *%rbp

// The functions called by the helper thread, on its stack. rax: RUN_*.
	.macro enter
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	lea header(%rip), %r14
	.endm
.Lleave:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

// run(mode): verify, decide (unless RUN_VERIFY_ONLY) and execute the log (unless RUN_DECIDE_ONLY).
.Lrun:
	enter
	mov %edi, %r15d
	mov CH_WORD(%r14), %rbp
	cmpl $COMMIT_UNDECIDED, (%rbp)
	jne .Lrun_not_ours
	xor %ebx, %ebx
	mov CH_LOG(%r14), %r13
	add %r14, %r13
	xor %r12d, %r12d
3:	cmp CH_NLOG(%r14), %ebx
	jae 8f
	mov CL_ADDR(%r13), %rdi
	lea CL_OLD(%r13), %rsi
	mov CL_LEN(%r13), %ecx
	// A page that cannot be written must show now, while nothing is decided: the tool gets the
	// fault as an answer.
	lea -1(%rdi,%rcx), %rax
	mov %rdi, %rdx
	xor %r12, %rdx
	xor %rax, %r12
	or %rdx, %r12
	shr $12, %r12
	jz 1f
	lock orb $0, (%rdi)
	lock orb $0, (%rax)
1:	mov %rax, %r12
	test $8, %cl
	jz 4f
	mov (%rsi), %rax
	cmp %rax, (%rdi)
	jne .Lrun_mismatch
	jmp 7f
4:	test $4, %cl
	jz 5f
	mov (%rsi), %eax
	cmp %eax, (%rdi)
	jne .Lrun_mismatch
	add $4, %rsi
	add $4, %rdi
5:	test $2, %cl
	jz 6f
	mov (%rsi), %ax
	cmp %ax, (%rdi)
	jne .Lrun_mismatch
	add $2, %rsi
	add $2, %rdi
6:	test $1, %cl
	jz 7f
	mov (%rsi), %al
	cmp %al, (%rdi)
	jne .Lrun_mismatch
7:	add $CL_SIZE, %r13
	inc %ebx
	jmp 3b
8:	xor %eax, %eax
	cmp $RUN_VERIFY_ONLY, %r15d
	je .Lleave
	mov $COMMIT_DECIDED, %ecx
	lock cmpxchg %ecx, (%rbp) // the commit point
	jnz .Lrun_not_ours
	xor %eax, %eax
	cmp $RUN_DECIDE_ONLY, %r15d
	je .Lleave
.Lexecute_redo:
	xor %r12d, %r12d
	lea .Lexecuted(%rip), %rbp
	jmp .Lensure
.Lexecuted:
	xor %eax, %eax
	jmp .Lleave
.Lrun_mismatch:
	mov $RUN_MISMATCH, %eax
	mov %ebx, CH_FAILED(%r14)
	jmp .Lleave
.Lrun_not_ours:
	mov $RUN_NOT_OURS, %eax
	jmp .Lleave

// touch(first range | number << 32): a write fault in each page, by an atomic no-op, so that it races with
// no store of the program.
.Ltouch:
	enter
	mov %edi, %eax
	shr $32, %rdi
	imul $CG_SIZE, %rax, %rax
	mov CH_RANGES(%r14), %r13
	add %r14, %r13
	add %rax, %r13
1:	test %edi, %edi
	jz .Lexecuted
	mov CG_ADDR(%r13), %rsi
	mov CG_LEN(%r13), %rcx
2:	lock orb $0, (%rsi)
	add $PAYLOAD_PAGE, %rsi
	sub $PAYLOAD_PAGE, %rcx
	ja 2b
	add $CG_SIZE, %r13
	dec %edi
	jmp 1b

.Lredo:
	enter
	jmp .Lexecute_redo
.Lundo:
	enter
	mov $1, %r12d
	lea .Lexecuted(%rip), %rbp
	jmp .Lensure
payload_commit_end:

	.section .rodata.payload_commit_offsets, "a"
	.balign 4
	.macro offset name, label
	.globl \name
	.hidden \name
	.type \name, @object
	.size \name, 4
\name:	.long \label - .Lcode
	.endm
	offset payload_commit_gate, .Lgate
	offset payload_commit_run, .Lrun
	offset payload_commit_redo, .Lredo
	offset payload_commit_touch, .Ltouch
	offset payload_commit_undo, .Lundo

	.section .note.GNU-stack, "", @progbits
