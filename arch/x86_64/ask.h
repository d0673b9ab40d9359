// SPDX-License-Identifier: LGPL-2.1-or-later
// Layout of the area by which threads of a target make system calls for the tool (process/ask.c). Read by C and by the
// assembler. A MAP_SHARED memfd: [code, one page RX][header, records, requests, arguments RW][exit stubs RX].
//
// A thread sent to the entry with r15 = its record runs the list `run` when `go` is set, and then waits. While the tool lives
// it takes the thread out of there and gives it its registers back. When the tool is dead (`alive` is 0: the kernel
// clears it at the end of the helper thread), the thread goes back by itself: undecided it runs its list `undo` and gets its
// old registers; decided it runs its list `finish` and gets its new ones. Decided with the tool alive it runs that list, too,
// and waits then.
#pragma once

#include "arch/x86_64/payload.h"

#define AH_MAGIC 0
#define AH_ALIVE 8     // futex: thread id of the helper
#define AH_PENDING 12  // futex: threads that have not done what they were sent for
#define AH_DECISION 16 // ASK_UNDECIDED, ASK_DECIDED
#define AH_FINISHED 20 // futex: the list of the thread with ASK_FIRST is executed
#define AH_LEAVING 24  // futex: threads with ASK_ENDS that still are there
#define AH_HOLD 52     // futex: 1 until the thread with ASK_FIRST has run its list `undo`
#define AH_SIZE 128

#define ASK_UNDECIDED 0
#define ASK_DECIDED 1

#define AL_ADDR 0
#define AL_N 8
#define AL_DONE 12
#define AL_ALL 16 // do not stop behind a call that fails
#define AL_SIZE 24

#define AR_OLD 0
#define AR_NEW TS_SIZE
#define AR_RUN (2 * TS_SIZE)
#define AR_UNDO (AR_RUN + AL_SIZE)
#define AR_FINISH (AR_UNDO + AL_SIZE)
#define AR_GO (AR_FINISH + AL_SIZE)
#define AR_ROLE (AR_GO + 4)
#define AR_LEFT (AR_GO + 8)
#define AR_DONE (AR_GO + 12)
#define AR_XSTATE (AR_GO + 16)
#define AR_TID (AR_GO + 24)
#define AR_TOLD (AR_TID + 4) // it has been counted in `pending`
#define AR_SIZE 448

// Roles in a decided rollback.
#define ASK_FIRST 1 // its lists come before those of the others
#define ASK_ENDS 2  // the thread ends when it has run its list
#define ASK_MADE 4  // it was made by the tool: undecided, it ends

#define AQ_NR 0
#define AQ_ARGS 8
#define AQ_RET 56
#define AQ_SIZE 64

// What a request may be besides a system call: numbers no kernel has.
#define ASK_COPY 0x10000  // args: to, from, length
#define ASK_SPAWN 0x10001 // clone3, args as there; args[2]: record of the new thread
// Added to a number: the first argument is the address of an int that is meant.
#define ASK_INDIRECT 0x20000

#ifndef __ASSEMBLER__

struct ask_header {
	uint64_t magic;
	uint32_t alive, pending, decision, finished, leaving;
	int32_t tool_pid;
	uint64_t tool_start; // field 22 of /proc/PID/stat
	uint64_t size;	     // of the whole area
	int32_t target_pid;
	uint32_t hold;
	uint64_t unused[9];
};

struct ask_list {
	uint64_t addr;
	uint32_t n, done, all, unused;
};

struct ask_record {
	struct thread_state_rec old_state, new_state;
	struct ask_list run, undo, finish;
	uint32_t go, role, left, done;
	uint64_t xstate; // XSAVE area with the state it gets when decided; 0: as it is
	int32_t tid;
	uint32_t told;
	uint64_t pad[3];
};

#define ASK_MAGIC 0x31746d6b73416c6dull // "mlAskmt1"

_Static_assert(offsetof(struct ask_header, alive) == AH_ALIVE, "layout");
_Static_assert(offsetof(struct ask_header, leaving) == AH_LEAVING, "layout");
_Static_assert(offsetof(struct ask_header, hold) == AH_HOLD, "layout");
_Static_assert(sizeof(struct ask_header) == AH_SIZE, "layout");
_Static_assert(sizeof(struct ask_list) == AL_SIZE, "layout");
_Static_assert(offsetof(struct ask_list, all) == AL_ALL, "layout");
_Static_assert(offsetof(struct ask_record, finish) == AR_FINISH, "layout");
_Static_assert(offsetof(struct ask_record, go) == AR_GO, "layout");
_Static_assert(offsetof(struct ask_record, xstate) == AR_XSTATE, "layout");
_Static_assert(offsetof(struct ask_record, tid) == AR_TID, "layout");
_Static_assert(offsetof(struct ask_record, told) == AR_TOLD, "layout");
_Static_assert(sizeof(struct ask_record) == AR_SIZE, "layout");

extern const uint8_t payload_ask[], payload_ask_end[];
// Offsets; at both r15 is the record.
extern const uint32_t payload_ask_entry, payload_ask_end_thread;

#endif
