// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies of a program's file for debuggers, in which symbols and DWARF say where variables live in one
// process: load address + value = home.
#pragma once

#include "elf/module.h"

struct rebind_rules {
	// What takes the place of an address of data, or of a function that is pointed to. All 64 bits count:
	// a home below the load address gives a "negative" one.
	vaddr_t (*data)(void *arg, vaddr_t addr);
	vaddr_t (*function)(void *arg, vaddr_t addr);
	void *arg;
};

// The module's file and its debug file in one: segments, their offsets and their bytes as they are, symbols
// of data and all location descriptions adjusted, sections of DWARF uncompressed. Returns a malloc'ed block.
struct err *rebind_file(const struct module *m, const struct rebind_rules *rules,
			uint8_t **ret, size_t *size) must_check;

// The name of a function in an image of before: NAME.old7, or MANGLED.old.7, which demanglers take for a part of
// a function. (gdb 13 takes what ends in ".7" for Ada's and cuts it off.) The part behind the name:
void rebind_old_suffix(const char *name, unsigned generation, char ret[24]);

// A file for such an image, which no longer runs but may have frames on a stack: unwind tables, and functions by
// their names of above. No DWARF and no data: a debugger must neither look for variables there nor set
// breakpoints by line behind an entry, into the jump that stands there.
struct err *rebind_old_file(const struct module *m, unsigned generation, uint8_t **ret,
			    size_t *size) must_check;
