// SPDX-License-Identifier: LGPL-2.1-or-later
// Code of the return gates. Each gate's stub moves below the red zone, pushes its number and comes here;
// the last instruction returns to the real address with every register as it was.
#include "arch/x86_64/payload.h"

#define SYS_futex 202
#define SYS_clock_gettime 228
#define CLOCK_MONOTONIC 1

	.section .rodata.payload_gates, "a"
	.balign 16
	.globl payload_gates, payload_gates_end
	.hidden payload_gates, payload_gates_end
payload_gates:
.Lcode:
	.set header, .Lcode + PAYLOAD_PAGE
	.set slots, header + GH_SIZE
	.set pushed, 0

	// Each step is noted for gates_held: from here on so many words are on the stack.
	.macro step n, extra=0
	.pushsection .rodata.payload_gates_steps, "a"
	.short .Lstep\@ - .Lcode
	.byte \n, \extra
	.popsection
.Lstep\@:
	.endm
	.macro save reg
	push \reg
	.set pushed, pushed + 1
	step pushed
	.endm
	.macro restore reg
	pop \reg
	.set pushed, pushed - 1
	step pushed
	.endm
	.macro now // rax = CLOCK_MONOTONIC in ns; clobbers rcx, r11, rdi, rsi
	mov $SYS_clock_gettime, %eax
	mov $CLOCK_MONOTONIC, %edi
	mov %rsp, %rsi
	syscall
	imul $1000000000, (%rsp), %rax
	add 8(%rsp), %rax
	.endm

	.pushsection .rodata.payload_gates_steps, "a"
	.balign 4
	.globl payload_gates_steps
	.hidden payload_gates_steps
payload_gates_steps:
	.popsection

.Lcommon:
	step 0
	pushfq
	.set pushed, 1
	step 1
	save %rax
	save %rcx
	save %rdx
	save %rsi
	save %rdi
	save %r8
	save %r9
	save %r10
	save %r11
	lea -16(%rsp), %rsp
	step GATE_SAVED, 16
	cld
	mov (16 + 8 * GATE_SAVED)(%rsp), %eax // the stub's number
	shl $5, %rax
	lea slots(%rip), %r9
	add %rax, %r9
	mov GS_REAL(%r9), %rax
	mov %rax, (16 + 8 * GATE_SAVED)(%rsp)
	mov $GATE_REACHED, %eax
	xchg %eax, GS_STATE(%r9)
	lock incl header + GH_ARRIVALS(%rip)
	mov $SYS_futex, %eax
	lea header + GH_ARRIVALS(%rip), %rdi
	mov $1, %esi // FUTEX_WAKE, not private: the tool waits in its own mapping
	mov $0x7fffffff, %edx
	syscall
	now
	mov %rax, %r8
	add header + GH_HOLD_NS(%rip), %r8
.Lhold:
	cmp header + GH_LEASE(%rip), %rax
	jae .Lleave
	cmp %r8, %rax
	jae .Lleave
	cmpl $1, header + GH_HOLD(%rip)
	jne .Lleave
	mov $SYS_futex, %eax
	lea header + GH_HOLD(%rip), %rdi
	xor %esi, %esi // FUTEX_WAIT
	mov $1, %edx
	lea header + GH_SLICE(%rip), %r10
	syscall
	now
	jmp .Lhold
.Lleave:
	movl $GATE_LEFT, GS_STATE(%r9)
	lea 16(%rsp), %rsp
	step GATE_SAVED
	restore %r11
	restore %r10
	restore %r9
	restore %r8
	restore %rdi
	restore %rsi
	restore %rdx
	restore %rcx
	restore %rax
	popfq
	step 0
	ret $GATE_RED_ZONE
payload_gates_end:

	.pushsection .rodata.payload_gates_steps, "a"
.Lsteps_end:
	.popsection
	.section .rodata.payload_gates_offsets, "a"
	.balign 4
	.globl payload_gates_common, payload_gates_n_steps
	.hidden payload_gates_common, payload_gates_n_steps
payload_gates_common:
	.long .Lcommon - .Lcode
payload_gates_n_steps:
	.long (.Lsteps_end - payload_gates_steps) / 4

	.section .note.GNU-stack, "", @progbits
