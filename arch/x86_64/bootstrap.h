// SPDX-License-Identifier: LGPL-2.1-or-later
// Two pieces of code that run in the target: the stub that makes the helper thread, and the
// helper thread's own page. Read by C and by the assembler; all offsets are from a piece's start.
#pragma once

// The thread that runs the stub gets back these registers from the data behind its code. The
// others it never touches.
#define BD_BLOCKED 0 // signal mask while the stub runs: all
#define BD_MASK 8    // signal mask of the thread
#define BD_FLAGS 16  // low byte: OF, next byte: the flags that sahf loads
#define BD_RAX 24
#define BD_RCX 32
#define BD_RDX 40
#define BD_RSI 48
#define BD_RDI 56
#define BD_R8 64
#define BD_R10 72
#define BD_R11 80
#define BD_RIP 88
#define BD_NAME 96 // name of the memfd of the helper's area
#define BD_SIZE 112

#define HELPER_MARK 39 // getpid: the system call by which a called function comes back

// Behind the helper's page: the threads whose scheduling it puts back when it ends without the
// tool. A count of 8 bytes, then entries: thread id in 8 bytes, struct sched_attr.
#define HELPER_TABLE 4096
#define HELPER_TABLE_SIZE 65536
#define HELPER_TABLE_ENTRY 56

#ifndef __ASSEMBLER__

#include <stdint.h>

struct bootstrap_data {
	uint64_t blocked, mask, flags;
	uint64_t rax, rcx, rdx, rsi, rdi, r8, r10, r11, rip;
	char name[16];
};

_Static_assert(sizeof(struct bootstrap_data) == BD_SIZE,
	       "layout shared with bootstrap.S");

extern const uint8_t bootstrap_start[], bootstrap_end[];
extern const uint32_t bootstrap_data_offset; // of struct bootstrap_data
// Where the helper thread makes a system call and then ends, unless it is stopped before.
extern const uint32_t bootstrap_syscall_offset;

extern const uint8_t helper_page_start[], helper_page_end[];
extern const uint32_t helper_syscall_offset;
// Calls the function in rax with rdi, and comes back by HELPER_MARK with the result in rdi.
extern const uint32_t helper_function_offset;

#endif
