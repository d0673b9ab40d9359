// SPDX-License-Identifier: LGPL-2.1-or-later
// The two ways by which pieces of a process's memory get into a file.
#pragma once

#include "checkpoint/memory.h"

struct piece {
	taddr_t addr;
	uint64_t len, offset; // in the file
};

struct pieces {
	VEC(struct piece) v;
};
void pieces_deinit(struct pieces *p);

// Gives the helper a descriptor; *rfd stays -1 where that is not possible.
struct err *transfer_give(struct memory *m, int fd, int *rfd) must_check;
// `readable`: by the process itself. *rfd becomes -1 when the helper turns out not to be able to.
struct err *transfer_write(struct memory *m, int *rfd, int fd, bool readable,
			   const struct pieces *pieces) must_check;
// Reads what is there, also what the process itself may not read. *there is false when nothing is: behind the end of a file, or
// unmapped since (then the stop finds it so).
struct err *transfer_look(const struct memory *m, taddr_t addr, uint8_t *buf, size_t n,
			  bool *there) must_check;
struct err *transfer_put(int fd, const void *buf, uint64_t len, uint64_t offset)
	must_check;
