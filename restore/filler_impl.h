// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the filler share.
#pragma once

#include "os/ptrace.h"
#include "restore/filler.h"

enum { CACHED = 4 };

struct filler {
	struct filler_spaces *spaces;
	int report; // where the line goes
	int begun; // closed once nothing of the tool's is open here and the standby is there
	int standby; // to the process that ends the others when this one is gone
	pid_t standby_pid;
	struct cached_block {
		const struct core *core;
		uint64_t index, used;
		size_t len;
		uint8_t *data;
	} cache[CACHED];
	uint64_t clock; // of the cache
};

// Until nothing is to come any more.
struct err *filler_serve(struct filler *f) must_check;
// Bytes of a core, from a block that is as it was written; at most to the block's end.
struct err *filler_bytes(struct filler *f, const struct pending_run *r,
			 const uint8_t **bytes, size_t *len) must_check;

// The standby holds every userfaultfd: should the filler die, whoever waits for memory goes on waiting until it is ended.
struct err *standby_start(struct filler *f) must_check;
// Another userfaultfd to hold.
struct err *standby_add(struct filler *f, int uffd) must_check;
// Whether it is there; a new one is made when it is not.
struct err *standby_look(struct filler *f) must_check;
void standby_let_go(struct filler *f); // all is well
void standby_end_all(const struct filler *f);
