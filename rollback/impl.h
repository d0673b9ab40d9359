// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of rollback/ share.
#pragma once

#include "arch/x86_64/ask.h"
#include "checkpoint/pages.h"
#include "image/json.h"
#include "process/ask.h"
#include "process/tracker.h"
#include "restore/space.h"
#include "rollback/rollback.h"
#include "util/cleanup.h"

// Calls for a list, with what they are for; NULL: it may fail.
struct calls {
	VEC(struct syscall_req) v;
	VEC(const char *) what;
	struct syscall_req *there; // the staged list; NULL: none
};

struct chunk { // of memory that molt and the process share
	uint8_t *map;
	taddr_t addr;
	uint64_t size, used;
};

struct staged {
	taddr_t addr, at;
	uint64_t len;
};

struct plan_thread {
	pid_t tid;
	const json_t *saved; // NULL: it is to end
	bool made;
	struct user_regs_struct regs;
	uint64_t sigmask;
	struct calls calls;
	taddr_t xstate;
};

struct rollback {
	const struct rollback_options *opt;
	struct rollback_result *ret;
	const struct checkpoint *checkpoint;
	const struct core *core;
	const json_t *state, *objects;
	struct build build; // for the saved mappings
	struct process *p;
	struct helper *h;
	struct remote *r;	 // a journal
	struct tracker *tracker; // NULL: every page counts as written
	struct pagemap pagemap;
	struct vmas vmas; // as they are
	int mem;	  // /proc/PID/mem
	int pidfd, lock;
	VEC(struct chunk) chunks;
	VEC(struct plan_thread) threads; // the first one first
	struct calls calls;		 // of the first thread, before its own
	struct page_ranges equal;	 // known to be as saved, and not written since
	// Pages that differed when the process ran: what they are to be is staged.
	VEC(struct staged) staged;
	VEC(struct page_ranges) present; // of each of vmas.v, in the stop
	struct restoring restoring;	 // objects that are made again
	json_t *wanted;			 // the document of these
};

// stage.c: room for what is to be put in place.
struct err *stage_take(struct rollback *rb, uint64_t len, void **ret, taddr_t *at)
	must_check;
// Room for what comes in the stop, at hand.
struct err *stage_reserve(struct rollback *rb, uint64_t len) must_check;
struct err *stage_put(struct rollback *rb, const void *data, size_t len, taddr_t *at)
	must_check;
void stage_deinit(struct rollback *rb);			 // here
struct err *stage_unmap(struct rollback *rb) must_check; // there
struct err *calls_add(struct calls *c, const char *what, long nr, const uint64_t args[6])
	must_check;
#define ADD(c, what, nr, ...) calls_add(c, what, nr, (uint64_t[6]){__VA_ARGS__})
struct err *calls_stage(struct rollback *rb, struct calls *c, taddr_t *at) must_check;
// After it: a note for each that failed and may not. *failed counts them.
struct err *calls_judge(struct rollback *rb, const struct calls *c, const char *whose,
			size_t *failed) must_check;
void calls_deinit(struct calls *c);
struct err *rollback_note(struct rollback *rb, const char *fmt, ...)
	must_check printf_like(2, 3);

// hole.c: room that no mapping has or is to have; and a mapped address right above much room, for areas put near it.
struct err *hole_for(const struct rollback *rb, uint64_t size, taddr_t *ret) must_check;
struct err *hole_base(const struct rollback *rb, taddr_t *ret) must_check;

// check.c: is it the saved process? Before anything is touched.
struct err *check_same_process(struct rollback *rb, pid_t pid) must_check;

// pages.c
// The process running: which memory is as saved already.
struct err *pages_compare_early(struct rollback *rb) must_check;
// Whether writes to its pages are told, and the first run of the core at or behind an address.
bool pages_may_track(const struct vma *v);
size_t pages_first_run(const struct core *core, taddr_t addr);
// In the stop: what was written since is not known any more.
struct err *pages_forget_written(struct rollback *rb) must_check;
// Calls that put the contents of [from, to) of a mapping back which is still the saved one. *opened: it has been made writable
// for that.
struct err *pages_put_back(struct rollback *rb, const struct saved_map *s,
			   const struct vma *now, taddr_t from, taddr_t to, bool *opened)
	must_check;
// Copies of all that was saved of [from, to), which is fresh.
struct err *pages_fill(struct rollback *rb, taddr_t from, taddr_t to) must_check;

// space.c: mappings.
struct err *space_plan(struct rollback *rb) must_check;

// threads.c
struct err *threads_plan_all(struct rollback *rb) must_check; // with new ones made
struct err *threads_finish(struct rollback *rb) must_check;   // their lists handed over

// The rest: calls for the first thread.
struct err *descriptors_plan(struct rollback *rb) must_check;
struct err *epoll_plan(struct rollback *rb, int fd, const json_t *object, bool empty)
	must_check;
// Calls that take the signals off which wait for a thread (or its process) and are blocked.
struct err *flush_pending(struct rollback *rb, struct calls *c, pid_t tid, bool shared,
			  uint64_t blocked) must_check;
// Those that are to be higher than now, or the others: what is done between them may need room.
struct err *limits_plan(struct rollback *rb, bool raise) must_check;
struct err *general_plan(struct rollback *rb)
	must_check; // handlers, folder, umask, limits
struct err *timers_plan(struct rollback *rb) must_check;
