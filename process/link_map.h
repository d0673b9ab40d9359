// SPDX-License-Identifier: LGPL-2.1-or-later
// The modules of a target in the order ld.so searches them, and symbols in them.
#pragma once

#include "elf/module.h"
#include "process/maps.h"
#include "process/memory.h"

struct link_entry {
	taddr_t addr;	 // of the struct link_map
	taddr_t base;	 // l_addr
	taddr_t dynamic; // l_ld
	char *name;	 // l_name; "" for the executable
	// Opened lazily, as it is mapped whatever its path names by now. NULL for the vdso.
	struct module *file;
	VEC(uint32_t) by_name;	    // indices into file->dynsyms, sorted by name
	taddr_t map_start, map_end; // the mapping that l_ld was in
};

struct link_list {
	taddr_t r_debug;
	VEC(struct link_entry) v; // search order; the executable first
	pid_t pid;
};

// Reads r_debug of the executable whose load bias is `base` and whose PT_DYNAMIC is at `dynamic`.
// ERR_BUSY with code link-map-changing while ld.so loads or unloads something, ERR_UNSUPPORTED with
// code no-link-map when there is none.
struct err *link_list_read(pid_t pid, taddr_t base, const struct module *exe,
			   struct link_list *ret) must_check;
void link_list_deinit(struct link_list *l);

// Finds a definition as ld.so would: name and version, first module of the list that has it (`skip_exe`
// leaves out the executable). *is_ifunc: the value is a resolver to be called. *found is false when
// undefined. Thread-local symbols are not found here: they have no address.
struct err *link_lookup(struct link_list *l, const char *name, const char *version,
			bool skip_exe, taddr_t *ret, bool *is_ifunc, bool *found)
	must_check;
