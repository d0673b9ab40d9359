// SPDX-License-Identifier: LGPL-2.1-or-later
// The subject of an update: a process with the program it runs now, as file and as live image.
#pragma once

#include "process/link_map.h"
#include "process/maps.h"
#include "process/process.h"
#include "update/record.h"

struct subject {
	struct process *process;
	struct maps maps;
	struct module *old; // the program it runs now
	struct record record; // generation 0: made up here, with one image and no displaced ranges
	bool recorded; // the record came from the process
	taddr_t record_addr;
	uint64_t record_len;
	struct link_list links;
	bool has_links; // false for a program without a dynamic section
};

// Opens the process and its program; checks what can be checked of OLD alone: x86-64, position
// independent, dynamic, symbols, and that the text in memory is that of the file (design 2, point 7).
struct err *subject_open(pid_t pid, const char *debug_dir, struct subject *ret) must_check;
void subject_deinit(struct subject *s);

// Refuses what no program may be, OLD or NEW: static, not position independent, stripped.
struct err *subject_check_program(const struct module *m, const char *role) must_check;

// Hash of the executable segments of an image of `m` that lies in buf (buf[vaddr]).
uint64_t image_text_hash(const struct module *m, const uint8_t *buf, uint64_t span);

// Whether C++ exceptions may unwind the process's stacks.
bool subject_unwinds(const struct subject *s);

enum { PROGRAM_ID_MAX = 65 };

// What identifies a program file: its build-id, or a hash of its bytes when it has none.
void program_id(const struct module *m, char ret[PROGRAM_ID_MAX]);

static inline taddr_t subject_base(const struct subject *s)
{
	return s->record.layout.base;
}

// Value of the word in the target at the live place of a vaddr of OLD.
struct err *subject_read(const struct subject *s, vaddr_t addr, void *buf, size_t len)
	must_check;
