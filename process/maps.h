// SPDX-License-Identifier: LGPL-2.1-or-later
// The mappings of a target, from /proc/PID/maps.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

struct mapping {
	taddr_t start, end; // end exclusive
	int prot;	    // PROT_*
	bool shared;
	uint64_t offset;
	uint64_t dev, ino;
	char *path; // "" for anonymous; "[heap]", "[stack]", "[vdso]" as the kernel says
};

struct maps {
	VEC(struct mapping) v; // ascending
};

struct err *maps_read(pid_t pid, struct maps *ret) must_check;

// The same from the text of such a file, which is changed.
struct err *maps_parse(char *text, struct maps *ret) must_check;
void maps_deinit(struct maps *m);
const struct mapping *maps_at(const struct maps *m, taddr_t addr);

// Takes a free range as if it were mapped, so that no hole is found there a second time.
struct err *maps_reserve(struct maps *m, taddr_t start, uint64_t size) must_check;

// Finds a free, page-aligned range of `size` bytes so that every byte of it is within
// reach (int32) of every byte of [lo, hi). The one nearest below `lo` is preferred, then
// above hi; `guard` bytes are kept free on both sides. 0 when there is none. Never below
// vm.mmap_min_addr, never over the stack's gap.
taddr_t maps_find_hole(const struct maps *m, taddr_t lo, taddr_t hi, uint64_t size,
		       uint64_t guard);
