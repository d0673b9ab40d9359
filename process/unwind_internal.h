// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared between the files of process/unwind.
#pragma once

#include "elf/cfi.h"
#include "process/unwind.h"

enum {
	STACK_WINDOWS = 4,
	STACK_FIRST = 16 << 10,
	STACK_WINDOW = 64 << 10,
	STACK_RED_ZONE = 128
};

// What was read of a stack, in large pieces: one system call for most threads.
struct stack_reader {
	pid_t pid;
	struct stack_window {
		taddr_t start;
		size_t len;   // valid bytes
		uint8_t *buf; // STACK_WINDOW bytes
	} windows[STACK_WINDOWS];
	unsigned next; // the window that is given up next
};

struct err *stack_reader_init(struct stack_reader *s, pid_t pid) must_check;
void stack_reader_deinit(struct stack_reader *s);
// Forgets all and reads ahead from a stack pointer.
void stack_reader_begin(struct stack_reader *s, taddr_t sp);
bool stack_read(struct stack_reader *s, taddr_t addr, void *buf, size_t len);

struct opened { // a file, shared by its mappings
	uint64_t dev, ino;
	struct module *file;
	struct cfi *cfi;
};

struct entry {			// an executable mapping
	struct loaded_module m; // m.file is NULL until a pc is looked up in it
	const struct cfi *cfi;
	uint64_t dev, ino, offset;
	char *path;
	bool failed; // cannot be opened
	bool extra;  // from unwinder_add
	bool gone;   // not mapped any more
};

struct foreign { // rules of a module that the caller opened
	const struct module *file;
	struct cfi *cfi;
};

struct rules { // of one pc
	taddr_t pc;
	const struct entry *entry; // NULL: no module
	bool found;
	struct cfi_row row;
};

struct unwinder {
	pid_t pid;
	VEC(struct entry *) entries;
	VEC(struct opened) files;
	VEC(struct foreign) foreign;
	taddr_t (*translate)(void *arg, taddr_t addr);
	void *translate_arg;
	struct stack_reader stack;
	VEC(struct rules) cache;
	uint32_t *slots; // hash of pc to index + 1 in cache
	size_t nslots;	 // power of two
};

// The entry whose range covers pc, opened; NULL when there is none or it cannot be
// opened.
struct entry *unwinder_entry_at(struct unwinder *u, taddr_t pc);

// The rules at pc, from the cache or new; valid until the next call. NULL only without
// memory. `exact`: pc may be a trampoline that no table knows.
const struct rules *unwinder_rules(struct unwinder *u, taddr_t pc, bool exact);
void unwinder_forget_rules(struct unwinder *u);

// The walk itself, from registers of which not all need be known.
struct err *unwind_from(struct unwinder *u, const struct cfi_regs *regs,
			struct frames *ret) must_check;
