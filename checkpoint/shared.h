// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that several mappings show (objects["memory"]): its contents are stored once, by the first process that maps them.
#pragma once

#include "checkpoint/pages.h"
#include "resource/resource.h"

struct shared_object {
	uint64_t dev, ino;
	struct page_ranges stored; // offsets of the object that some core has
};

struct shared {
	VEC(struct shared_object) v; // as objects["memory"]
};
void shared_deinit(struct shared *s);

// In the stop: finds or makes the object of a mapping (VMA_MEMORY), sets v->memory and appends the pages of the mapping that
// belong into the core of this process.
struct err *shared_take(struct shared *s, struct saving *all, pid_t pid,
			const struct pagemap *pages, struct vma *v,
			struct page_ranges *ret) must_check;
