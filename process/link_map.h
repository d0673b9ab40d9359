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
	// The values of its symbols in memory are not those of the file: an earlier update wrote them.
	bool rewritten;
	VEC(uint32_t) searchlist; // indices of entries; empty but for the executable and what was dlopen'ed
};

struct link_list {
	taddr_t r_debug;
	VEC(struct link_entry) v; // the executable first
	pid_t pid;
};

// Reads the r_debug that DT_DEBUG of the executable's dynamic section (an address in the process) leads to.
// ERR_BUSY with code link-map-changing while ld.so loads or unloads something, ERR_UNSUPPORTED with
// code no-link-map when there is none.
struct err *link_list_read(pid_t pid, taddr_t dynamic, struct link_list *ret) must_check;
void link_list_deinit(struct link_list *l);

// ld.so itself: the module that r_debug lies in. NULL when there is none.
struct link_entry *link_list_rtld(const struct link_list *l);

// Opens the file of an entry; it stays NULL for what has none (the vdso).
struct err *link_entry_open(const struct link_list *l, struct link_entry *e) must_check;

// The entries in which ld.so looks for the symbols of entry `from`, in its order: the program and what was loaded
// with it, what was opened RTLD_GLOBAL, then those that `from` was dlopen'ed with. Indices, each once.
struct link_scope {
	VEC(uint32_t) v;
};
struct err *link_scope_read(const struct link_list *l, size_t from,
			    struct link_scope *ret) must_check;
void link_scope_deinit(struct link_scope *s);

// A definition of a name in one entry as ld.so would take it, by name and version. *is_ifunc: the value is a
// resolver to be called. *found is false when it has none. Thread-local symbols are not found here: they have no
// address.
struct err *link_find(struct link_list *l, size_t entry, const char *name,
		      const char *version, taddr_t *ret, bool *is_ifunc, bool *found)
	must_check;

// The same in a module that no process maps: the symbol, or NULL.
const struct symbol *module_definition(const struct module *m, const char *name,
				       const char *version);

// The first definition in the whole list; `skip_exe` leaves out the executable.
struct err *link_lookup(struct link_list *l, const char *name, const char *version,
			bool skip_exe, taddr_t *ret, bool *is_ifunc, bool *found)
	must_check;
