// SPDX-License-Identifier: LGPL-2.1-or-later
// The mappings of a process to be saved: what each is, and what of it goes into the core.
#pragma once

#include <jansson.h>
#include <sys/stat.h>

#include "process/maps.h"

enum vma_flag { // the members of "flags", in this order
	VMA_SHARED = 1 << 0,
	VMA_GROWSDOWN = 1 << 1,
	VMA_LOCKED = 1 << 2,
	VMA_HUGETLB = 1 << 3,
	VMA_HUGEPAGE = 1 << 4,
	VMA_NOHUGEPAGE = 1 << 5,
	VMA_DONTFORK = 1 << 6,
	VMA_DONTDUMP = 1 << 7,
	VMA_WIPEONFORK = 1 << 8,
	VMA_NORESERVE = 1 << 9,
	VMA_SEQUENTIAL = 1 << 10,
	VMA_RANDOM = 1 << 11,
	VMA_DEVICE = 1 << 12, // VM_IO or VM_PFNMAP: no memory; never in the image
};

enum vma_kind { VMA_ANON, VMA_FILE, VMA_MEMORY, VMA_VDSO, VMA_VVAR };

enum vma_content {
	CONTENT_NONE,	 // nothing: the file has it, or nobody wants it
	CONTENT_TOUCHED, // the pages that are there
	CONTENT_WRITTEN, // of a private file mapping: the pages that differ from the file's
	CONTENT_ALL,	 // every page that can be read
};

struct vma {
	const struct mapping *m;
	unsigned flags; // enum vma_flag
	enum vma_kind kind;
	enum vma_content content;
	bool deleted;	   // of a file: its name is gone
	size_t memory;	   // VMA_MEMORY: index into objects["memory"]; SIZE_MAX: none yet
	taddr_t small_end; // CONTENT_WRITTEN: where the pages end that are all stored if one is; 0: not looked at, 1: it is large
	const char *key; // VMA_FILE: the file is kept as modules/KEY; or NULL. Of task->modules.
};

struct vmas {
	struct maps maps;  // all mappings, those of molt too
	VEC(struct vma) v; // ascending; without molt's areas and [vsyscall]
};

// From /proc/PID/smaps; refuses what is no memory (devices).
struct err *vmas_read(pid_t pid, bool all_memory, struct vmas *ret) must_check;
// From /proc/PID/maps, which costs less, with what `before` says of mappings that are the same; *same is false, and *ret
// empty, when they are not.
struct err *vmas_read_again(pid_t pid, const struct vmas *before, struct vmas *ret,
			    bool *same) must_check;
// From /proc/PID/maps, with the flags that mappings had which were there `before`, or parts of them; new ones have those
// only that their names tell.
struct err *vmas_read_like(pid_t pid, const struct vmas *before, struct vmas *ret)
	must_check;
void vmas_deinit(struct vmas *v);
// Whether a mapping is an area of this tool.
bool vma_is_molts(const struct mapping *m);

// Of the file that is mapped, whatever its name is by now; false when it cannot be reached.
bool vma_stat(const struct vma *v, pid_t pid, struct stat *ret);
// A private file mapping of which any page was written is stored whole if it is small, so that debuggers see all of it: its
// end, or that of the file; 0: it is large.
taddr_t vma_small_end(struct vma *v, pid_t pid);
// Fills an element of state["maps"]; `pid` to look at files.
struct err *vma_json(const struct vma *v, pid_t pid, bool stored, json_t *ret) must_check;
