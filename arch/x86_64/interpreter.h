// SPDX-License-Identifier: LGPL-2.1-or-later
// Code that a process being rebuilt runs in the restore area: it waits for orders in its slot, makes the system calls
// that stand there, and waits again. The stack pointer points to the slot, so that a new thread or process that clone3
// makes begins at once with a slot of its own. Read by C and by the assembler.
#pragma once

#define SLOT_ORDERED 0 // futex: batches ordered
#define SLOT_DONE 4    // futex: batches done; the tool waits for it
#define SLOT_INDEX 8   // how many calls of this batch were made
#define SLOT_COUNT 12
#define SLOT_ALL 16 // go on behind a call that failed
#define SLOT_CALLS 64
#define SLOT_CALL 64 // nr, six arguments, result
#define SLOT_RESULT 56
#define SLOT_SIZE 4096
#define SLOT_MAX ((SLOT_SIZE - SLOT_CALLS) / SLOT_CALL)

#ifndef __ASSEMBLER__

#include <stdint.h>

struct slot {
	uint32_t ordered, done, index, count, all;
	uint32_t unused[11];
	struct slot_call {
		uint64_t nr, args[6];
		int64_t ret;
	} calls[SLOT_MAX];
};

_Static_assert(sizeof(struct slot) == SLOT_SIZE, "layout shared with interpreter.S");

// Position independent; entered at its start.
extern const uint8_t interpreter_start[], interpreter_end[];

#endif
