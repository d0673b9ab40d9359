// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing the memory of a process into its core: the helper writes it from inside, at memory speed; where that is not
// possible (a filter, a limit on file sizes, memory it may not read) the tool copies it.
#pragma once

#include "checkpoint/pages.h"
#include "image/image.h"
#include "process/helper.h"

struct place { // room in the core
	taddr_t addr;
	uint64_t len, offset;
};

struct memory {
	pid_t pid;
	struct helper *helper;
	int rfd;		   // the core's number in the helper; -1: the tool copies
	int box_rfd;		   // the same of the box
	struct core_writer *core;  // not owned
	const struct core *parent; // NULL: none. Not owned.
	struct page_ranges in_parent; // of `saved`, what the parent has and this core has not
	VEC(struct place) places;     // ascending
	struct page_ranges saved;     // what stands at its place in the core
	// Pages written in the stop are put into a memory file first: neither the disk nor the number of pieces is to
	// make the stop longer.
	int box;
	uint64_t box_size, box_used;
	struct page_ranges boxed; // in the order of the box
	uint64_t written;	  // bytes, again and again
	uint64_t stored;	  // bytes in the end
};

struct err *memory_init(struct memory *m, pid_t pid, struct helper *h,
			struct core_writer *core, const struct core *parent) must_check;
void memory_deinit(struct memory *m);

// Room for a mapping of which the pages `present` are there: one place for all of it unless most of it is empty.
struct err *memory_reserve(struct memory *m, const struct mapping *map,
			   const struct page_ranges *present) must_check;
// Writes these pages of a mapping to their places.
struct err *memory_write(struct memory *m, const struct mapping *map,
			 const struct page_ranges *pages) must_check;

// The process running: makes the box, `size` bytes of memory at hand.
struct err *memory_make_box(struct memory *m, uint64_t size) must_check;
// In the stop: into the box while there is room, else to their places.
struct err *memory_write_quickly(struct memory *m, const struct mapping *map,
				 const struct page_ranges *pages) must_check;
// After it: from the box to the places.
struct err *memory_empty_box(struct memory *m) must_check;
// All pages of `present` are in the core or in the parent: says so.
struct err *memory_add_runs(struct memory *m, const struct page_ranges *present)
	must_check;
