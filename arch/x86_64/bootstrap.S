// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes the helper thread inside the target; see bootstrap.h. Whatever becomes of the tool at
// any instruction, the thread that runs the stub goes on as it was and the new thread ends. No
// stack is used (red zone), no vector register and no restart_block is touched.
#include "arch/x86_64/bootstrap.h"

#define SYS_rt_sigprocmask 14
#define SYS_clone	   56
#define SYS_exit	   60
#define SYS_sched_setattr  314
#define SIG_SETMASK	   2
#define CLONE_VM	   0x100
#define CLONE_SIGHAND	   0x800
#define CLONE_THREAD	   0x10000

	.section .rodata.bootstrap, "a"
	.balign 16
	.globl bootstrap_start, bootstrap_end
	.hidden bootstrap_start, bootstrap_end
bootstrap_start:
	mov $SYS_rt_sigprocmask, %eax
	mov $SIG_SETMASK, %edi
	lea .Ldata + BD_BLOCKED(%rip), %rsi
	xor %edx, %edx
	mov $8, %r10d
	syscall
	// Without CLONE_FILES and CLONE_FS: the helper has its own descriptors and folder. The
	// stack stays the caller's and is never used.
	mov $SYS_clone, %eax
	mov $(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD), %edi
	xor %esi, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	xor %r8d, %r8d
	syscall
	test %rax, %rax
	jz .Lexit

	mov $SYS_rt_sigprocmask, %eax
	mov $SIG_SETMASK, %edi
	lea .Ldata + BD_MASK(%rip), %rsi
	xor %edx, %edx
	mov $8, %r10d
	syscall
	mov .Ldata + BD_RCX(%rip), %rcx
	mov .Ldata + BD_RDX(%rip), %rdx
	mov .Ldata + BD_RSI(%rip), %rsi
	mov .Ldata + BD_RDI(%rip), %rdi
	mov .Ldata + BD_R8(%rip), %r8
	mov .Ldata + BD_R10(%rip), %r10
	mov .Ldata + BD_R11(%rip), %r11
	// popf needs a stack: an addition that overflows makes OF, sahf loads the others.
	mov .Ldata + BD_FLAGS(%rip), %eax
	addb $0x7f, %al
	sahf
	mov .Ldata + BD_RAX(%rip), %rax
	jmp *.Ldata + BD_RIP(%rip)

.Lsyscall:
	syscall
.Lexit:
	mov $SYS_exit, %eax
	xor %edi, %edi
	syscall
	.balign 8
.Ldata:
	.skip BD_SIZE
bootstrap_end:

	.balign 16
	.set .Ltable, .Lhelper_syscall + HELPER_TABLE
	.globl helper_page_start, helper_page_end
	.hidden helper_page_start, helper_page_end
helper_page_start:
.Lhelper_syscall:
	syscall
.Lhelper_exit:
	mov .Ltable(%rip), %r12
	lea .Ltable + 8(%rip), %rbx
.Lput_back:
	test %r12, %r12
	jz .Lhelper_end
	mov (%rbx), %edi
	lea 8(%rbx), %rsi
	xor %edx, %edx
	mov $SYS_sched_setattr, %eax
	syscall
	add $HELPER_TABLE_ENTRY, %rbx
	dec %r12
	jmp .Lput_back
.Lhelper_end:
	mov $SYS_exit, %eax
	xor %edi, %edi
	syscall
.Lhelper_function:
	// The vector state is that of the thread the helper was made from.
	cld
	fninit
	ldmxcsr .Lmxcsr(%rip)
	xor %ebp, %ebp
	call *%rax
	mov %rax, %rdi
	mov $HELPER_MARK, %eax
	syscall
	jmp .Lhelper_exit
	.balign 4
.Lmxcsr:
	.long 0x1f80
helper_page_end:

	.balign 4
	.globl bootstrap_data_offset, bootstrap_syscall_offset
	.globl helper_syscall_offset, helper_function_offset
	.hidden bootstrap_data_offset, bootstrap_syscall_offset
	.hidden helper_syscall_offset, helper_function_offset
bootstrap_data_offset:
	.long .Ldata - bootstrap_start
bootstrap_syscall_offset:
	.long .Lsyscall - bootstrap_start
helper_syscall_offset:
	.long .Lhelper_syscall - helper_page_start
helper_function_offset:
	.long .Lhelper_function - helper_page_start

	.section .note.GNU-stack, "", @progbits
