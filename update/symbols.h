// SPDX-License-Identifier: LGPL-2.1-or-later
// Files by which debuggers and profilers understand an updated process or its core. Nothing is stopped.
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "update/record.h"

struct address_range {
	taddr_t start, end; // end exclusive
};

// A process or a core, as far as its symbols go.
struct symbols_source {
	pid_t pid;  // 0: a core
	char *core; // its path, NULL: a process
	struct record_list records;
	VEC(struct address_range) mapped; // ascending
};

// Errors: refused with never-updated, pid-gone, zombie, kernel-thread; permission; record-corrupt,
// record-version.
struct err *symbols_open_process(pid_t pid, struct symbols_source *ret) must_check;
// An ELF core of the kernel or of gcore. Also refused with not-elf, no-core; corrupt with corrupt-elf.
struct err *symbols_open_core(const char *path, struct symbols_source *ret) must_check;
void symbols_source_deinit(struct symbols_source *s);

struct symbol_file {
	char *path;	     // what was written
	char *program;	     // of what
	char *module;	     // its name in ld.so's list; "" for the executable
	uint32_t generation; // of the image
	taddr_t base;	     // where it is mapped
	bool runs;	     // false: an older image, with functions alone
};

struct symbols {
	VEC(struct symbol_file) files;
	char *script;	   // for gdb -x
	VEC(char *) notes; // what could not be done for older images
};
void symbols_deinit(struct symbols *s);

// Writes into `dir`, which is made when missing and must be the caller's own. Refused with symbols-file when
// the file of a program that runs is gone or another one, symbols-dir when the folder is not safe.
struct err *symbols_write(const struct symbols_source *s, const char *dir,
			  const char *debug_dir, struct symbols *ret) must_check;

// Writes /tmp/perf-PID.map, which perf reads for code in anonymous memory. *path: malloc'ed.
struct err *symbols_perf_map(const struct symbols_source *s, const char *debug_dir,
			     char **path) must_check;
