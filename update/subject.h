// SPDX-License-Identifier: LGPL-2.1-or-later
// A subject of an update: one module of a process (the executable, a shared library) as it runs now, as file
// and as live image.
#pragma once

#include "update/target.h"

struct subject {
	struct target *target;
	struct process *process; // the target's
	struct module *old;	 // what runs now
	size_t link;		 // index into target->links.v; 0: the executable
	// What it has become: the target's, or made up for a module that was never updated, with one image
	// and nothing displaced.
	const struct record *record;
	struct record made_up;
	bool recorded; // the record came from the process, where it is mapped at:
	taddr_t record_addr;
	uint64_t record_len;
};

// Opens the executable of the target and reads target->links; checks what can be checked of OLD alone: x86-64,
// position independent, dynamic, symbols, and that the text in memory is that of the file (design 2, point 7).
struct err *subject_open_exe(struct target *t, const char *debug_dir, struct subject *ret)
	must_check;
// The same for a shared library: by its path, its file name or its soname, as ld.so has it in its list.
struct err *subject_open_library(struct target *t, const char *name,
				 const char *debug_dir, struct subject *ret) must_check;
// Whether stacks with frames of the program may be unwound while it runs: C++ exceptions, or C with -fexceptions
// whose cleanups run when a thread exits or is cancelled.
bool subject_unwinds(const struct subject *s);
void subject_deinit(struct subject *s);

static inline bool subject_is_exe(const struct subject *s)
{
	return s->link == 0;
}

// Refuses what no program (no library) may be, OLD or NEW: static, not position independent, stripped.
struct err *subject_check_file(const struct subject *s, const struct module *m,
			       const char *role) must_check;

// Hash of the executable segments of an image of `m` that lies in buf (buf[vaddr]).
uint64_t image_text_hash(const struct module *m, const uint8_t *buf, uint64_t span);

enum { PROGRAM_ID_MAX = 65 };

// Opens the file that an image was made from, `bare` without its debug file: at its path, else the copy in the
// store (store.h). Refused (not-the-program) when it is at neither.
struct err *record_image_open(const struct record_image *im, const char *debug_dir,
			      bool bare, struct module **ret) must_check;

// The same, and by what /proc/PID/exe leads to, which may be that program after its name has gone (pid 0: no process).
struct err *record_image_find(const struct record_image *im, pid_t pid,
			      const char *debug_dir, struct module **ret) must_check;

// What identifies a program file: its build-id, or a hash of its bytes when it has none.
void program_id(const struct module *m, char ret[PROGRAM_ID_MAX]);

static inline taddr_t subject_base(const struct subject *s)
{
	return s->record->layout.base;
}

// Value of the word in the target at the live place of a vaddr of OLD.
struct err *subject_read(const struct subject *s, vaddr_t addr, void *buf, size_t len)
	must_check;
