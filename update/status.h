// SPDX-License-Identifier: LGPL-2.1-or-later
// Which program a process runs, and which it ran before: looked at from outside, nothing is stopped.
#pragma once

#include <sys/types.h>

#include "os/proc.h"
#include "process/under_way.h"
#include "update/record.h"

struct status {
	pid_t pid;
	char comm[16];
	pid_t tool; // the molt that works on it now, 0: none
	// What that one is doing; without it: what one that died left, which the next update clears.
	enum under_way under_way;
	bool updated; // false: record is made up, with the program it started with as only image
	struct record record; // images has at least one element; the last one runs
	struct record_list libraries; // that were updated, alone or with the program
	uint32_t generation;	      // of the process: its newest update, 0 for none
};

struct status_list {
	VEC(struct status) v; // updated processes and those being updated, ascending by pid
	size_t unreadable;    // processes that may not be looked at
};

// Errors for a pid that runs no program of its own: refused with pid-gone, zombie, kernel-thread.
struct err *status_check_pid(pid_t pid, struct os_status *status) must_check;

// Errors: refused with pid-gone, zombie, kernel-thread; permission; record-corrupt, record-version.
struct err *status_read(pid_t pid, struct status *ret) must_check;
void status_deinit(struct status *s);

struct err *status_list_read(struct status_list *ret) must_check;
void status_list_deinit(struct status_list *l);
