// SPDX-License-Identifier: LGPL-2.1-or-later
// One ELF module (executable or shared object) as a file: segments, symbols, relocations, initial bytes.
// Its separate debug file, if any, is found as gdb does (.gnu_debuglink, build-id folder, --debug DIR).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdw.h>
#include <gelf.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

// What memory at an address is, from PT_LOAD flags, PT_GNU_RELRO and PT_TLS; never from section names.
enum region {
	REGION_NONE,   // in no segment
	REGION_TEXT,   // executable
	REGION_RODATA, // readable only
	REGION_RELRO,  // written by ld.so, then read-only
	REGION_DATA,   // writable, bytes in the file
	REGION_BSS,    // writable, zero in the file
	REGION_TLS, // an offset in the TLS segment; only symbols of type STT_TLS have it
};

struct symbol {
	const char *name;    // without version; owned by the module
	const char *version; // of .dynsym symbols, else NULL
	const char *file; // source file of a local symbol (STT_FILE; NULL for globals and if unknown)
	vaddr_t addr;
	uint64_t size; // 0 is allowed (linker symbols, assembly)
	uint8_t type;  // STT_*
	uint8_t bind;  // STB_*
	bool defined;
	enum region region;
};

struct reloc {
	vaddr_t addr;	     // place, a vaddr of the module
	uint32_t type;	     // R_X86_64_*
	const char *name;    // symbol, NULL for RELATIVE/IRELATIVE
	const char *version; // of that symbol, or NULL
	vaddr_t sym_addr;    // st_value when the module itself defines the symbol, else 0
	bool sym_defined;
	uint8_t sym_type; // STT_*
	uint64_t sym_size;
	int64_t addend;
	bool plt; // from DT_JMPREL
};

struct segment {
	uint32_t type, flags; // PT_*, PF_*
	vaddr_t addr;
	uint64_t filesz, memsz, offset, align;
};

struct section {
	const char *name;
	uint32_t type;	// SHT_*
	uint64_t flags; // SHF_*
	vaddr_t addr;
	uint64_t size, offset, entsize;
	uint32_t name_index, link, info; // sh_name, sh_link, sh_info
};

struct fde { // one function range of .eh_frame
	vaddr_t addr;
	uint64_t size;
};

struct module {
	char *path;	  // as given to module_open
	char *debug_path; // the separate debug file in use, or NULL
	char *debug_rejected; // why a debug file that was found is not used (another build-id), or NULL
	int fd;
	uint8_t *map; // the whole file, read-only
	size_t map_size;
	uint16_t type;	 // ET_EXEC, ET_DYN
	bool pie;	 // ET_DYN with an interpreter or DF_1_PIE
	bool has_interp; // false and no DT_NEEDED: a static executable
	bool has_dynamic;
	bool has_emit_relocs; // sections of SHT_RELA for .text are in the file
	vaddr_t entry;
	vaddr_t span; // end of the last PT_LOAD, page-aligned up; the first starts at 0 for PIE
	char build_id[65];	      // hex, empty when there is none
	bool has_symtab;	      // .symtab in the file or in the debug file
	VEC(struct segment) segments; // all program headers in file order
	VEC(struct section) sections;
	// All of .symtab (else .dynsym) with section, file and undefined symbols left out, sorted by
	// (addr, size descending, name). Equal addresses are aliases and all stay.
	VEC(struct symbol) symbols;
	VEC(struct symbol) dynsyms; // .dynsym in its own order, entry 0 included
	VEC(struct reloc) relocs;   // dynamic relocations, sorted by addr
	VEC(struct fde) fdes;	    // sorted by addr
	VEC(const char *) needed;   // DT_NEEDED names in order
	vaddr_t relro_addr;
	uint64_t relro_size;
	vaddr_t tls_addr;
	uint64_t tls_memsz, tls_filesz, tls_align;
	vaddr_t init_array, fini_array;
	uint64_t init_array_size, fini_array_size;
	vaddr_t dynamic; // vaddr of PT_DYNAMIC, 0 when none
	uint64_t dynamic_size;

	// Private to elf/: the files' views, and what makes the lookups quick.
	struct lazy_dwarf *lazy;
	struct image *image, *debug_image;
	void *strings; // arena of names that are not in the files as they are
	const uint8_t *dynamic_strings; // DT_STRTAB, NULL when it lies outside
	uint64_t dynamic_strings_size;
	VEC(const char *) versions;	    // by index of .gnu.version
	VEC(vaddr_t) reach;		    // highest end of symbols[0..i]
	VEC(uint32_t) by_name;		    // open hash of symbols, index + 1
	VEC(struct section) alloc_sections; // with SHF_ALLOC, sorted by addr
};

// Opens and checks an ELF file. debug_dir (or NULL) is looked into first for its debug file.
// Errors: system (cannot open), refused with codes not-elf, wrong-arch (not x86-64 little endian),
// not-executable (neither ET_EXEC nor ET_DYN), corrupt with code corrupt-elf (truncated, a range
// outside the file; which one is named). `ret` is owned by the caller: module_close.
struct err *module_open(const char *path, const char *debug_dir, struct module **ret)
	must_check;

// The same from bytes in memory (the vdso, a module read from a target); the bytes are copied.
struct err *module_open_memory(const char *name, const void *bytes, size_t size,
			       struct module **ret) must_check;

// The file alone, without looking for a debug file and so without DWARF: for what is only unwound or
// searched for exported symbols.
struct err *module_open_bare(const char *path, struct module **ret) must_check;

// The bytes of its separate debug file, NULL when none is in use.
const uint8_t *module_debug_file(const struct module *m, size_t *size);

void module_close(struct module *m);
void module_closep(struct module **m);

// Handles of libelf and libdw, made at first use (sections may have to be decompressed: 40 ms for libc).
// The call is safe from any thread; the handle is for one thread at a time. NULL without debug
// information.
Dwarf *module_dwarf(const struct module *m);
Elf *module_elf(const struct module *m);
bool module_has_dwarf(const struct module *m); // reads nothing

enum region module_region(const struct module *m, vaddr_t addr);

// The initial bytes of [addr, addr + size) as the file has them (before relocation), or NULL when any
// of it is outside the file-backed part of one PT_LOAD. Points into m->map.
const uint8_t *module_bytes(const struct module *m, vaddr_t addr, uint64_t size);

// Copies initial bytes into buf, zeros for the .bss part; false when outside every PT_LOAD.
bool module_read(const struct module *m, vaddr_t addr, void *buf, uint64_t size);

// The symbol of one of `types` (bit mask 1 << STT_*) that covers addr, preferring the one that starts
// closest below; a zero-size symbol covers only its own address. NULL when none.
const struct symbol *module_symbol_at(const struct module *m, vaddr_t addr,
				      unsigned types);

// First symbol by name that is defined, or NULL (globals first).
const struct symbol *module_symbol_named(const struct module *m, const char *name);

// The relocation at exactly this place, or NULL.
const struct reloc *module_reloc_at(const struct module *m, vaddr_t addr);
// Index of the first relocation at or above addr (m->relocs.n when none).
size_t module_reloc_lower_bound(const struct module *m, vaddr_t addr);

// The bounds of the function of .eh_frame that covers addr, or NULL.
const struct fde *module_fde_at(const struct module *m, vaddr_t addr);

// Value of a DT_* entry of PT_DYNAMIC; false when it is absent.
bool module_dynamic(const struct module *m, int64_t tag, uint64_t *ret);

// DT_SONAME, or NULL.
const char *module_soname(const struct module *m);

// True when the module has no names for its functions (no .symtab anywhere).
static inline bool module_stripped(const struct module *m)
{
	return !m->has_symtab;
}
