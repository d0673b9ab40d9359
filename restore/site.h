// SPDX-License-Identifier: LGPL-2.1-or-later
// The restore area: memory that the tool shares with every process it builds, at the same free address in all of them. Code
// (arch/x86_64/interpreter.h), a slot of orders for each thread, room for arguments for each process.
#pragma once

#include "arch/x86_64/interpreter.h"
#include "process/remote.h"

enum {
	SITE_CODE = 4096,
	SITE_DATA = 1 << 20,  // for each process
	SITE_SPARE = 1 << 18, // addresses behind it that are free too: the vdso on its way
};

struct site {
	taddr_t addr, spare;
	uint8_t *map;
	size_t size;
	int fd;
	size_t n_slots, slots_used, n_data, data_used;
};

// Ranges of addresses, in any order, overlapping or not.
struct taken_range {
	taddr_t start, end;
};
struct taken {
	VEC(struct taken_range) v;
};

// For so many threads and processes; what is taken in the saved processes is in `taken` (sorted), what is in the tool is added.
struct err *site_create(struct taken *taken, size_t threads, size_t processes,
			struct site **ret) must_check;
void site_free(struct site *a);
void site_freep(struct site **a);

// A slot or memory for arguments not given out yet; NULL when all are.
struct slot *site_slot(struct site *a);
uint8_t *site_data(struct site *a);
taddr_t site_at(const struct site *a, const void *place);

// Makes calls in the thread of that slot. *done: how many were made, a failed one included.
struct err *slot_run(struct slot *s, pid_t tid, struct syscall_req *reqs, size_t n,
		     bool all, size_t *done) must_check;
// Waits until the batch under way in a slot is done: the first sign of a new thread.
struct err *slot_wait(struct slot *s, pid_t tid) must_check;
// As a new thread or process finds its slot.
void slot_expect(struct slot *s);
