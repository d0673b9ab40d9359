// SPDX-License-Identifier: LGPL-2.1-or-later
// One process while it is rebuilt, and how its parts come into being. Files of restore/ share this; restore.h is for others.
#pragma once

#include "image/json.h"
#include "restore/restore.h"
#include "restore/site.h"
#include "util/cleanup.h"

struct space;

struct source {
	uint64_t dev, ino; // as they were saved
	bool write;
	int fd;	    // of the tool
	int number; // in the process; -1: not passed
};

struct sources { // files behind mappings
	VEC(struct source) v;
	size_t exe; // index of the executable, SIZE_MAX: none is known
};

struct build_thread {
	pid_t saved, tid; // as in the checkpoint; now
	struct slot *slot;
	bool traced;
	const json_t *state; // its element of state["threads"]
};

struct build {
	struct remote remote; // first: remote.calls finds the build by it
	const struct rebuilt *whole;
	struct site *site;
	const struct core *core;
	const json_t *state;
	pid_t saved, pgid;    // its pid and group as they were saved
	struct build *parent; // NULL: the root
	int number;	      // of the channel's end in the process
	int channel;	      // that end in the tool, until the process has it
	VEC(struct build_thread) threads; // the first thread first
	struct space *space;
	struct sources sources;
	struct restorer restorer;
	int mem;  // /proc/PID/mem
	int uffd; // until the filler has it; -1: none
};

enum { MAPS_MAX = 1 << 20 };

struct build_thread *build_thread(struct build *b, pid_t tid);

// birth.c: the process itself, without mappings of its own: the restore area and what it has of its maker. It runs the
// interpreter and is traced (ended with the tool). An id of 0: any.
struct channel_place {
	int fd, number; // the tool's; in the process
};
// The tool's child. `channels`: all of the tree, ascending numbers.
struct err *birth_root(struct build *b, pid_t pid, const struct channel_place *channels,
		       size_t n) must_check;
struct err *birth_child(struct build *parent, struct build *b, pid_t pid) must_check;
struct err *birth_thread(struct build *b, struct build_thread *t, pid_t tid) must_check;
// A child that has ended with this status and was not collected.
struct err *birth_zombie(struct build *parent, pid_t pid, int status) must_check;
// Asks for `pid` before anything is made: refused pid-taken with who has it.
struct err *birth_check(pid_t pid) must_check;
// threads.c
struct err *threads_plan(struct build *b) must_check; // b->threads from the state
struct err *threads_make(struct build *b, bool any) must_check; // all but the first
// Stops every thread at PTRACE_EVENT_STOP with the registers it was saved with; the area is gone then.
struct err *threads_settle(struct build *b) must_check;
struct err *threads_release(struct build *b) must_check;
// They stand at their saved instructions: should the tool end, they go on and do not end with it.
void threads_outlive_tool(const struct build *b, bool first);
// Before it is parked (park.c), while the area is there: it ends with the tool although that does not trace it; and the
// end of that, when it is traced again.
struct err *threads_follow_tool(struct build *b) must_check;
struct err *threads_leave_tool(struct build *b) must_check;
// The system call instruction of the saved process's vdso.
struct err *space_syscall_at(const struct build *b, taddr_t *ret) must_check;
// Called for a new thread or process: traces it.
struct err *thread_adopt(struct build *b, struct build_thread *t) must_check;
// Brings it to PTRACE_EVENT_STOP, from wherever it is.
struct err *thread_halt(const struct build *b, const struct build_thread *t) must_check;
// Under other ids: the words that hold the threads' ids (glibc's pthread) get the new ones.
struct err *threads_rename(struct build *b) must_check;
