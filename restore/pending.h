// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that is still to come: which addresses of an address space get which bytes of which core.
#pragma once

#include "image/image.h"
#include "util/vec.h"

struct pending_run {
	taddr_t addr;
	uint64_t len, offset; // offset in the core
	const struct core *core;
};

struct pending_memory {
	VEC(struct pending_run) v; // ascending
	size_t first;		   // those before it are done
};

struct err *pending_add(struct pending_memory *m, const struct pending_run *run)
	must_check; // above all others
bool pending_empty(const struct pending_memory *m);
// What is to come at this address: the run that has it, cut to begin there; false: nothing.
bool pending_at(const struct pending_memory *m, taddr_t addr, struct pending_run *ret);
// The lowest.
struct pending_run pending_next(const struct pending_memory *m);
// [addr, addr + len) has come, or is not wanted any more.
struct err *pending_drop(struct pending_memory *m, taddr_t addr, uint64_t len) must_check;
// Takes out what is to come at [addr, addr + len), appending it to *ret; pending_insert puts such runs in, moved by `by`.
struct err *pending_take(struct pending_memory *m, taddr_t addr, uint64_t len,
			 struct pending_memory *ret) must_check;
struct err *pending_insert(struct pending_memory *m, const struct pending_memory *runs,
			   uint64_t by) must_check;
struct err *pending_copy(const struct pending_memory *m, struct pending_memory *ret)
	must_check;
void pending_deinit(struct pending_memory *m);
