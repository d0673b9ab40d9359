// SPDX-License-Identifier: LGPL-2.1-or-later
// The interpreter of system calls that stopped threads are sent to; see ask.h. It uses no stack: a thread is sent there with
// any stack pointer. r15 is its record.
#include "arch/x86_64/ask.h"
#include "arch/x86_64/restore_state.inc"

#define SYS_exit 60
#define SYS_futex 202
#define SYS_clone3 435

	.section .rodata.payload_ask, "a"
	.balign 16
	.globl payload_ask, payload_ask_end
	.hidden payload_ask, payload_ask_end
payload_ask:
.Lcode:
	.set header, .Lcode + PAYLOAD_PAGE

	.macro wake offset
	mov $SYS_futex, %eax
	lea \offset(%r14), %rdi
	mov $1, %esi // FUTEX_WAKE, not private: the tool waits in its own mapping
	mov $0x7fffffff, %edx
	syscall
	.endm
	// No timeout: that would overwrite the restart block of the call the thread goes back to.
	.macro wait_while_edx offset
	mov $SYS_futex, %eax
	lea \offset(%r14), %rdi
	xor %esi, %esi // FUTEX_WAIT
	xor %r10d, %r10d
	syscall
	.endm

.Lentry:
	lea header(%rip), %r14
	cmpl $ASK_DECIDED, AH_DECISION(%r14)
	je .Ldecided
	xor %eax, %eax
	xchg %eax, AR_GO(%r15)
	test %eax, %eax
	jz .Lidle
	lea AR_RUN(%r15), %rbp
	lea .Lran(%rip), %r12
	jmp .Lrun
.Lran:
	lea .Lidle(%rip), %r12
.Ltell: // goes on at r12
	movl $1, AR_TOLD(%r15)
	lock decl AH_PENDING(%r14)
	jnz 1f
	wake AH_PENDING
1:	jmp *%r12
.Lidle:
	mov AH_ALIVE(%r14), %edx
	test %edx, %edx
	jz .Lgone
	wait_while_edx AH_ALIVE
	jmp .Lentry
.Lgone:
	wake AH_ALIVE // the kernel wakes one only
	cmpl $ASK_DECIDED, AH_DECISION(%r14)
	je .Ldecided
	testl $ASK_FIRST, AR_ROLE(%r15)
	jnz 2f
1:	mov AH_HOLD(%r14), %edx
	test %edx, %edx
	jz 2f
	wait_while_edx AH_HOLD
	jmp 1b
2:	lea AR_UNDO(%r15), %rbp
	lea 1f(%rip), %r12
	jmp .Lrun
1:	testl $ASK_FIRST, AR_ROLE(%r15)
	jz 1f
	movl $0, AH_HOLD(%r14)
	wake AH_HOLD
1:	testl $ASK_MADE, AR_ROLE(%r15)
	jnz .Lend
	lea AR_OLD(%r15), %r13
	jmp .Lrestore
.Lend:
	movl $1, AR_LEFT(%r15)
	mov $SYS_exit, %eax
	xor %edi, %edi
	syscall

.Ldecided:
	cmpl $0, AR_DONE(%r15)
	jne .Lwait_new
	testl $ASK_ENDS, AR_ROLE(%r15)
	jnz .Lleave
	testl $ASK_FIRST, AR_ROLE(%r15)
	jz .Lother
1:	mov AH_LEAVING(%r14), %edx
	test %edx, %edx
	jz 2f
	wait_while_edx AH_LEAVING
	jmp 1b
2:	lea AR_FINISH(%r15), %rbp
	lea 1f(%rip), %r12
	jmp .Lrun
1:	movl $1, AH_FINISHED(%r14)
	wake AH_FINISHED
	jmp .Lfinished
.Lother:
	xor %edx, %edx
	cmp %edx, AH_FINISHED(%r14)
	jne 1f
	wait_while_edx AH_FINISHED
	jmp .Lother
1:	lea AR_FINISH(%r15), %rbp
	lea .Lfinished(%rip), %r12
	jmp .Lrun
.Lfinished:
	mov AR_XSTATE(%r15), %rsi
	test %rsi, %rsi
	jz 1f
	mov $-1, %eax
	mov $-1, %edx
	xrstor64 (%rsi)
1:	movl $1, AR_DONE(%r15)
	lea .Lwait_new(%rip), %r12
	jmp .Ltell
.Lwait_new:
	mov AH_ALIVE(%r14), %edx
	test %edx, %edx
	jz 1f
	wait_while_edx AH_ALIVE
	jmp .Lwait_new
1:	wake AH_ALIVE
	lea AR_NEW(%r15), %r13
	jmp .Lrestore
.Lleave:
	lea AR_FINISH(%r15), %rbp
	lea 1f(%rip), %r12
	jmp .Lrun
1:	lea 1f(%rip), %r12
	jmp .Ltell
1:	lock decl AH_LEAVING(%r14)
	jnz .Lend
	wake AH_LEAVING
	jmp .Lend

.Lrestore: // r13: the state. A pending signal may be delivered in here: its stack must be right first
	restore_state AR_LEFT

// The list rbp; returns to r12. Uses rbx and r13.
.Lrun:
	mov AL_ADDR(%rbp), %r13
	mov AL_N(%rbp), %ebx
.Lnext:
	test %ebx, %ebx
	jz .Lrun_end
	mov AQ_NR(%r13), %rax
	mov AQ_ARGS(%r13), %rdi
	mov AQ_ARGS+8(%r13), %rsi
	mov AQ_ARGS+16(%r13), %rdx
	mov AQ_ARGS+24(%r13), %r10
	mov AQ_ARGS+32(%r13), %r8
	mov AQ_ARGS+40(%r13), %r9
	test $ASK_INDIRECT, %eax
	jz 1f
	movslq (%rdi), %rdi
	xor $ASK_INDIRECT, %eax
1:	cmp $ASK_COPY, %eax
	je .Lcopy
	cmp $ASK_SPAWN, %eax
	je .Lspawn
	syscall
.Lcalled:
	mov %rax, AQ_RET(%r13)
	incl AL_DONE(%rbp)
	test %rax, %rax
	jns 1f
	cmpl $0, AL_ALL(%rbp)
	je .Lrun_end
1:	add $AQ_SIZE, %r13
	dec %ebx
	jmp .Lnext
.Lrun_end:
	jmp *%r12
.Lcopy:
	mov %rdx, %rcx
	rep movsb
	xor %eax, %eax
	jmp .Lcalled
.Lspawn:
	mov %rdx, %r9 // not an argument of clone3; the new thread has it too
	mov $SYS_clone3, %eax
	syscall
	test %rax, %rax
	jnz .Lcalled
	mov %r9, %r15
	jmp .Lentry
payload_ask_end:

	.section .rodata.payload_ask_offsets, "a"
	.balign 4
	.macro offset name, label
	.globl \name
	.hidden \name
	.type \name, @object
	.size \name, 4
\name:	.long \label - .Lcode
	.endm
	offset payload_ask_entry, .Lentry
	offset payload_ask_end_thread, .Lend

	.section .note.GNU-stack, "", @progbits
