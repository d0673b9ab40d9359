// SPDX-License-Identifier: LGPL-2.1-or-later
// Call frame information of .eh_frame: the rules that lead from a pc to the frame of its
// caller (DWARF 5, 6.4; LSB Core "Exception Frames"; psABI x86-64, table 3.36 for
// register numbers).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/module.h"
#include "util/error.h"
#include "util/types.h"

enum { // DWARF register numbers
	CFI_RAX = 0,
	CFI_RDX = 1,
	CFI_RCX = 2,
	CFI_RBX = 3,
	CFI_RSI = 4,
	CFI_RDI = 5,
	CFI_RBP = 6,
	CFI_RSP = 7,
	CFI_R8 = 8, // r9 to r15 follow
	CFI_R12 = 12,
	CFI_RIP = 16,
	CFI_REGS = 17,
};

// Registers that a function must give back as it got them.
#define CFI_CALLEE_SAVED (1u << CFI_RBX | 1u << CFI_RBP | 0xfu << CFI_R12)

enum cfi_kind {
	CFI_UNSPECIFIED, // the table says nothing: callee-saved registers are kept,
			 // others lost
	CFI_UNDEFINED,	 // the table says that it is lost; for rip: there is no caller
	CFI_SAME,
	CFI_OFFSET,	// saved at CFA + offset
	CFI_VAL_OFFSET, // is CFA + offset
	CFI_REGISTER,	// stands in register `reg`; for the CFA: register + offset
	CFI_EXPRESSION, // saved at the address that the expression gives
	CFI_VAL_EXPRESSION,
};

struct cfi_rule {
	uint8_t kind;	   // enum cfi_kind
	uint8_t reg;	   // CFI_REGISTER
	uint32_t expr_len; // bytes
	union {
		int64_t offset;
		const uint8_t *expr; // owned by the table's bytes
	};
};

struct cfi_row {	     // the rules at one pc
	struct cfi_rule cfa; // CFI_REGISTER with offset, or CFI_VAL_EXPRESSION
	struct cfi_rule reg[CFI_REGS];
	bool signal_frame; // a return trampoline: pc is exact, the saved rip too
};

struct cfi;

// Indexes the table of a module; an empty one when it has none. The module must outlive
// it.
struct err *cfi_open(const struct module *m, struct cfi **ret) must_check;

// The same from the bytes of .eh_frame that stand at vaddr `addr`; the bytes must outlive
// it.
struct err *cfi_open_bytes(const uint8_t *bytes, size_t size, vaddr_t addr,
			   struct cfi **ret) must_check;
void cfi_free(struct cfi *c);
void cfi_freep(struct cfi **c);

// The rules at a vaddr. False when no entry covers it or its program is damaged. Needs no
// memory and about a microsecond. For a return address ask for pc - 1.
bool cfi_find(const struct cfi *c, vaddr_t pc, struct cfi_row *ret);

// The range of the entry that covers pc.
bool cfi_range(const struct cfi *c, vaddr_t pc, vaddr_t *start, vaddr_t *end);

// Whether a function may go on at b that was entered as at a: same CFA rule, same saved
// registers.
bool cfi_row_equal(const struct cfi_row *a, const struct cfi_row *b);

struct cfi_regs {
	uint64_t v[CFI_REGS];
	uint32_t known; // bit mask: the others hold nothing
};

// Reads `len` bytes of the target; false when it cannot.
typedef bool (*cfi_read_fn)(void *arg, taddr_t addr, void *buf, size_t len);

enum cfi_status {
	CFI_OK,
	CFI_END,	 // rip is undefined: the outermost frame
	CFI_NO_RULE,	 // no rule for rip or the CFA
	CFI_UNKNOWN_REG, // needs a register that is not known; which one is in *bad
	CFI_UNREADABLE,	 // memory cannot be read; the address is in *bad
	CFI_BAD_EXPR,	 // damaged or unsupported expression
};

struct cfi_caller {
	struct cfi_regs regs; // of the caller, rip included
	taddr_t cfa;	      // of the frame itself
	taddr_t pc_slot;      // where rip was read from, 0 when it was in a register
	uint64_t bad;
};

// Goes from a frame's registers to its caller's.
enum cfi_status cfi_step(const struct cfi_row *row, const struct cfi_regs *regs,
			 cfi_read_fn read, void *arg, struct cfi_caller *ret);

const char *cfi_register_name(unsigned reg); // "rbx"
