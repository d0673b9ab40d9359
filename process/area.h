// SPDX-License-Identifier: LGPL-2.1-or-later
// A piece of memory that molt and a target share: a named memfd, mapped MAP_SHARED in both, with one page
// of code, data and stubs (arch/x86_64/payload.h). Internal to commit*.c and gate*.c.
#pragma once

#include "arch/x86_64/payload.h"
#include "process/helper.h"
#include "process/maps.h"

#define COMMIT_AREA_NAME "molt:commit"
#define GATES_AREA_NAME "molt:gates"

struct area {
	taddr_t addr;	// in the target; 0: not mapped there
	uint64_t stubs; // offset of the stubs; code is [0, page), data [page, stubs)
	uint64_t size;	// all offsets are multiples of the page size
	uint8_t *map;	// here
};

// Maps an area close to `near` and copies the code into it. Nothing is executable yet: area_seal.
struct err *area_create(struct process *p, struct helper *h, taddr_t near,
			const char *name, uint64_t stubs, uint64_t size, struct area *ret)
	must_check;
// Makes code and stubs executable and read-only in the target, and the data present.
struct err *area_seal(struct helper *h, const struct area *a) must_check;
struct err *area_unmap(struct helper *h, struct area *a) must_check; // in the target
void area_deinit(struct area *a);				     // here

static inline bool area_contains(const struct area *a, taddr_t addr)
{
	return a->addr && addr - a->addr < a->size;
}

// Whether a stopped thread is in it or may come back to it: its pc, or a word on the used part of its
// stack (the context of a signal handler), points to the code or the stubs.
bool area_visited(const struct process *p, const struct area *a, const struct thread *t);

// What a thread with these registers goes on with when it restores them by itself. s->exit_stub stays.
void area_state_from(struct thread_state_rec *s, const struct user_regs_struct *r,
		     uint64_t sigmask);

// When a process started (field 22 of /proc/PID/stat), so that a pid used anew is told apart; 0: gone.
uint64_t process_start_time(pid_t pid);
