// SPDX-License-Identifier: LGPL-2.1-or-later
// Layout of the areas that the injected code and the tool share. Read by C and by the
// assembler. Both areas are MAP_SHARED memfds: [code, one page RX][data RW ...][stubs RX
// ...].
#pragma once

#define PAYLOAD_PAGE 4096
#define PAYLOAD_STUB 16

// One thread's registers as the gate restores them.
#define TS_R15 0
#define TS_R14 8
#define TS_R13 16
#define TS_R12 24
#define TS_RBP 32
#define TS_RBX 40
#define TS_R11 48
#define TS_R10 56
#define TS_R9 64
#define TS_R8 72
#define TS_RAX 80
#define TS_RCX 88
#define TS_RDX 96
#define TS_RSI 104
#define TS_RDI 112
#define TS_RIP 120
#define TS_FLAGS 128
#define TS_RSP 136
#define TS_MASK 144
#define TS_EXIT 152 // address of the stub that loads r13 and jumps
#define TS_SIZE 160

#define CR_OLD 0
#define CR_NEW TS_SIZE
#define CR_LEFT (2 * TS_SIZE)
#define CR_TID (2 * TS_SIZE + 4)
#define CR_SIZE (2 * TS_SIZE + 16)

#define CL_ADDR 0
#define CL_OLD 8
#define CL_NEW 16
#define CL_LEN 24
#define CL_SIZE 32

#define CG_ADDR 0
#define CG_LEN 8
#define CG_PROT 16
#define CG_SIZE 24

#define CH_MAGIC 0
#define CH_STATE 8
#define CH_DECISION 12
#define CH_LOCK 16 // {lock, done} of the redo, then {lock, done} of the undo
#define CH_DONE 20
#define CH_UNLOCK 24
#define CH_UNDONE 28
#define CH_FAILED 32
#define CH_NLOG 36
#define CH_NRANGES 40
#define CH_NRECORDS 44
#define CH_LOG 48 // offsets from the header
#define CH_RANGES 56
#define CH_RECORDS 64
#define CH_WAITERS 72
#define CH_WORD \
	104 // address of the word that decides: CH_DECISION, or one shared with other processes
#define CH_SIZE 128

#define COMMIT_UNDECIDED 0
#define COMMIT_ABORTED 1
#define COMMIT_DECIDED 2
#define COMMIT_UNDOING 3

// What commit_run in the target has to do.
#define RUN_ALL 0
#define RUN_DECIDE_ONLY 1 // nothing is executed
#define RUN_VERIFY_ONLY 2 // nothing is decided

// Its results.
#define RUN_DONE 0
#define RUN_MISMATCH 1 // CH_FAILED: index in the log
#define RUN_NOT_OURS 2 // a thread has decided already

#define GH_MAGIC 0
#define GH_HOLD 8      // futex: threads are held while it is 1
#define GH_ARRIVALS 12 // futex: counts arrivals; the tool waits on it
#define GH_LEASE 16    // monotonic ns: past it nobody is held
#define GH_HOLD_NS 24  // longest hold of one thread
#define GH_SLICE 32    // struct timespec of one futex wait
#define GH_NSLOTS 48
#define GH_SIZE 128

#define GS_REAL 0
#define GS_ADDR 8
#define GS_STATE 16
#define GS_SIZE 32

#define GATE_FREE 0
#define GATE_PLANTED 1
#define GATE_REACHED 2
#define GATE_LEFT 3

#define GATE_RED_ZONE 128
#define GATE_SAVED 10 // words that the common code pushes: flags and nine registers

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct thread_state_rec {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t rip, flags, rsp, sigmask, exit_stub;
};

struct commit_record {
	struct thread_state_rec old_state, new_state;
	uint32_t left; // the thread has passed its gate
	int32_t tid;
	uint64_t unused;
};

struct commit_log_entry {
	uint64_t addr;
	uint8_t old_bytes[8], new_bytes[8];
	uint32_t len;
	uint32_t unused;
};

struct commit_range {
	uint64_t addr, len;
	uint32_t prot; // PROT_* of before
	uint32_t unused;
};

// What the tool was about to do, so that a later tool knows what a dead one left behind.
enum commit_area_state {
	COMMIT_AREA_INTENT, // protections may have been changed
	COMMIT_AREA_GATES,  // threads may be in their gates
	COMMIT_AREA_FINISH, // all threads have left; protections are being put back
};

struct commit_header {
	uint64_t magic;
	uint32_t state;
	uint32_t decision;
	uint32_t lock, done, unlock, undone;
	uint32_t failed;
	uint32_t n_log, n_ranges, n_records;
	uint64_t log_off, ranges_off, records_off;
	uint32_t waiters; // threads that wait for `done` or `undone`
	uint32_t waiting; // the tool waits for quiescence; for those who look from outside
	uint64_t size;	  // of the whole area, code page included
	int32_t tool_pid, target_pid;
	uint64_t tool_start; // field 22 of /proc/PID/stat
	uint64_t word;
	uint64_t unused[2];
};

struct gate_header {
	uint64_t magic;
	uint32_t hold, arrivals;
	uint64_t lease, hold_ns;
	uint64_t slice_sec, slice_nsec;
	uint32_t n_slots, unused0;
	uint64_t size, stubs_off; // stubs_off: from the start of the area
	int32_t tool_pid, target_pid;
	uint64_t tool_start;
	uint64_t unused[5];
};

struct gate_slot {
	uint64_t real; // return address of the program
	uint64_t addr; // where on the stack it stood
	uint32_t state;
	int32_t tid; // whose frame returns there
	uint64_t unused;
};

#define COMMIT_MAGIC 0x31746d6d6f436c6dull // "mlCommt1"
#define GATES_MAGIC 0x3173657461476c6dull  // "mlGates1"

_Static_assert(offsetof(struct thread_state_rec, rdi) == TS_RDI, "layout");
_Static_assert(offsetof(struct thread_state_rec, rip) == TS_RIP, "layout");
_Static_assert(offsetof(struct thread_state_rec, flags) == TS_FLAGS, "layout");
_Static_assert(offsetof(struct thread_state_rec, rsp) == TS_RSP, "layout");
_Static_assert(offsetof(struct thread_state_rec, sigmask) == TS_MASK, "layout");
_Static_assert(offsetof(struct thread_state_rec, exit_stub) == TS_EXIT, "layout");
_Static_assert(sizeof(struct thread_state_rec) == TS_SIZE, "layout");
_Static_assert(offsetof(struct commit_record, left) == CR_LEFT, "layout");
_Static_assert(sizeof(struct commit_record) == CR_SIZE, "layout");
_Static_assert(offsetof(struct commit_log_entry, new_bytes) == CL_NEW, "layout");
_Static_assert(offsetof(struct commit_log_entry, len) == CL_LEN, "layout");
_Static_assert(sizeof(struct commit_log_entry) == CL_SIZE, "layout");
_Static_assert(sizeof(struct commit_range) == CG_SIZE, "layout");
_Static_assert(offsetof(struct commit_header, decision) == CH_DECISION, "layout");
_Static_assert(offsetof(struct commit_header, lock) == CH_LOCK, "layout");
_Static_assert(offsetof(struct commit_header, unlock) == CH_UNLOCK, "layout");
_Static_assert(offsetof(struct commit_header, failed) == CH_FAILED, "layout");
_Static_assert(offsetof(struct commit_header, n_ranges) == CH_NRANGES, "layout");
_Static_assert(offsetof(struct commit_header, log_off) == CH_LOG, "layout");
_Static_assert(offsetof(struct commit_header, ranges_off) == CH_RANGES, "layout");
_Static_assert(offsetof(struct commit_header, waiters) == CH_WAITERS, "layout");
_Static_assert(offsetof(struct commit_header, word) == CH_WORD, "layout");
_Static_assert(sizeof(struct commit_header) == CH_SIZE, "layout");
_Static_assert(offsetof(struct gate_header, lease) == GH_LEASE, "layout");
_Static_assert(offsetof(struct gate_header, slice_sec) == GH_SLICE, "layout");
_Static_assert(offsetof(struct gate_header, n_slots) == GH_NSLOTS, "layout");
_Static_assert(sizeof(struct gate_header) == GH_SIZE, "layout");
_Static_assert(offsetof(struct gate_slot, state) == GS_STATE, "layout");
_Static_assert(sizeof(struct gate_slot) == GS_SIZE, "layout");

// The position-independent code; each fits into one page and finds its header in the next
// one.
extern const uint8_t payload_commit[], payload_commit_end[];
extern const uint8_t payload_gates[], payload_gates_end[];
// Offsets in payload_commit.
extern const uint32_t payload_commit_gate, payload_commit_run, payload_commit_redo,
	payload_commit_touch, payload_commit_undo;
// Offset in payload_gates of the code that each stub jumps to.
extern const uint32_t payload_gates_common;

// Where in the common code of a gate how many of the GATE_SAVED words are on the stack:
// steps[i] holds from steps[i].offset on. `extra` bytes lie below them; clobbered: the
// registers are not those of the program, only the saved ones are.
struct gate_step {
	uint16_t offset;
	uint8_t pushed;
	uint8_t extra;
};
extern const struct gate_step payload_gates_steps[];
extern const uint32_t payload_gates_n_steps;

// Writes the stub by which a record's state is entered: it is at `stub`, the state at
// `state`.
void payload_exit_stub(uint8_t out[PAYLOAD_STUB], uint64_t stub, uint64_t state);
// Writes the stub of return gate number `index`, which is at `stub`; the common code is
// at `common`.
void payload_gate_stub(uint8_t out[PAYLOAD_STUB], uint64_t stub, uint32_t index,
		       uint64_t common);

#endif
