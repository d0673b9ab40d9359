// SPDX-License-Identifier: LGPL-2.1-or-later
// The address space of a process that is rebuilt: what was saved, checked, and how it comes back.
#pragma once

#include "restore/build.h"

enum space_kind { SPACE_ANON, SPACE_FILE, SPACE_MEMORY, SPACE_VDSO, SPACE_VVAR };

enum map_flag { // the members of "flags"
	MF_SHARED = 1 << 0,
	MF_GROWSDOWN = 1 << 1,
	MF_LOCKED = 1 << 2,
	MF_HUGETLB = 1 << 3,
	MF_HUGEPAGE = 1 << 4,
	MF_NOHUGEPAGE = 1 << 5,
	MF_DONTFORK = 1 << 6,
	MF_DONTDUMP = 1 << 7,
	MF_WIPEONFORK = 1 << 8,
	MF_NORESERVE = 1 << 9,
	MF_SEQUENTIAL = 1 << 10,
	MF_RANDOM = 1 << 11,
};

struct saved_map {
	taddr_t start, end;
	uint64_t offset;
	int prot;
	unsigned flags; // enum map_flag
	enum space_kind kind;
	bool stored;
	const json_t *file; // SPACE_FILE
	size_t memory;	    // SPACE_MEMORY: index into objects["memory"]
	const char *name;   // "" when there is none
	size_t source;	    // SPACE_FILE: index into sources
};

struct space {
	VEC(struct saved_map) maps; // ascending
};

// From b->state, into b->space.
struct err *space_parse(struct build *b) must_check;
void space_free(struct space *s);
// The tool's vdso against the saved one: refused vdso-changed.
struct err *space_check_vdso(const struct build *b) must_check;
// Rids a process of all that is neither the area nor the vdso.
struct err *space_clear(struct build *b) must_check;
// Moves the vdso to where it was saved.
struct err *space_place_vdso(struct build *b) must_check;
// Whether the kernel keeps the memory in this mapping private to the process.
static inline bool map_is_private(const struct saved_map *m)
{
	return !(m->flags & MF_SHARED);
}
// Whether userfaultfd may bring its pages. Not where a child of the process has to find zeros.
static inline bool map_is_lazy(const struct saved_map *m)
{
	return m->kind == SPACE_ANON && map_is_private(m) &&
	       !(m->flags & (MF_HUGETLB | MF_WIPEONFORK));
}
