// SPDX-License-Identifier: LGPL-2.1-or-later
// The decoded body of one function: instructions, references, control flow within it.
#pragma once

#include "elf/module.h"

enum ref_kind {
	REF_NONE,
	REF_BRANCH, // jump, call or (INSN_LEA) address of a label inside the same body; `target_index`
	// is the instruction
	REF_CODE, // call, jump or lea to another function, or lea of the start of this one
	REF_PLT,  // call or jump to a PLT entry; reloc says of what
	REF_GOT,  // memory operand that is a GOT slot; reloc says of what
	REF_DATA, // memory operand or lea into data: writable, relro or named read-only
	REF_RODATA, // memory operand or lea into unnamed read-only data (strings, constants)
	REF_TABLE, // lea of a jump table whose entries lead back into this body
	REF_ABS,   // anything else that could not be classified (out of the module)
};

enum insn_flag {
	INSN_CALL = 1 << 0,
	INSN_JUMP = 1 << 1, // unconditional
	INSN_COND = 1 << 2, // conditional branch
	INSN_RET = 1 << 3,
	INSN_INDIRECT = 1 << 4, // target not in the instruction
	INSN_STOP = 1 << 5,	// ud2, hlt, int3: control does not go on
	INSN_LEA = 1 << 6,	// the reference takes an address, it does not access
	INSN_SYSCALL = 1 << 7,
	INSN_WRITE = 1 << 8, // writes through the memory operand that the reference is
};

struct insn {
	vaddr_t addr;
	uint8_t len;
	uint16_t flags;
	uint8_t ref; // enum ref_kind
	// Where the 32-bit RIP-relative displacement or the branch offset stands in the instruction; 0 if
	// there is none (an 8-bit branch has disp_size 1).
	uint8_t disp_off, disp_size;
	uint8_t access; // bytes read or written through a memory operand, 0 for lea
	uint8_t imm_off, imm_size; // the immediate, 0 when none
	uint32_t target_index;	   // REF_BRANCH: index in insns
	vaddr_t target;		   // address referred to, for every kind but REF_NONE
	// Hash of the instruction with references masked: opcode, operands, immediates, other displacements.
	uint64_t hash;
	uint64_t hash_noimm; // the same with the immediate masked too
};

struct jump_table {
	vaddr_t addr;	// of its first entry
	uint32_t n;	// entries, all leading to instruction starts of this body
	uint32_t first; // index into body.table_targets
	uint32_t lea;	// index of the lea that takes its address
	uint32_t jump; // index of the indirect jump that uses it, or UINT32_MAX when not known
};

// One contiguous piece of a function: the main part, then `.cold` and `.part`-less fragments.
struct body_part {
	vaddr_t addr;
	uint64_t size;
	uint32_t first, n; // instructions
};

struct body {
	VEC(struct body_part) parts;
	VEC(struct insn) insns; // NOPs and padding dropped; in address order inside each part
	VEC(struct jump_table) tables;
	VEC(uint32_t) table_targets; // instruction indices
	bool undecodable;	     // some bytes are no instructions: counts as changed
	bool branches_into_entry;    // branches into bytes 1..4 of its own entry
};

// Decodes the parts (addr, size filled in by the caller in b->parts).
struct err *body_decode(const struct module *m, struct body *b) must_check;
void body_deinit(struct body *b);

// True when a PLT entry stands at `addr` (with or without endbr64); *slot is the GOT slot it jumps
// through, whose relocation says where to.
bool plt_entry_slot(const struct module *m, vaddr_t addr, vaddr_t *slot);

// Index of the instruction at exactly this address, UINT32_MAX when none starts there. A return address
// that points behind the last instruction of a part (call of a noreturn function) has none.
uint32_t body_index(const struct body *b, vaddr_t addr);

// Index of the instruction that ends at this address (the call of a return address), UINT32_MAX if none.
uint32_t body_index_ending(const struct body *b, vaddr_t addr);
