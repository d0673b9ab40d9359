// SPDX-License-Identifier: LGPL-2.1-or-later
// What helper.c and helper_start.c share.
#pragma once

#include <pthread.h>
#include <signal.h>

#include "arch/x86_64/bootstrap.h"
#include "os/ptrace.h"
#include "process/helper.h"
#include "process/seccomp.h"

enum helper_place {
	HELPER_AT_STOP,	  // a stop at which registers may be set
	HELPER_AT_RETURN, // at the entry of the system call by which a function came back
};

struct helper {
	struct process *process;
	pid_t tid;
	enum helper_place place;
	bool broken; // a called function did not come back: it may hold locks
	struct user_regs_struct regs; // what its registers are based on
	struct seccomp filters;	      // that it inherited
	taddr_t syscall_at;	      // `syscall; exit`
	taddr_t area;		      // code page, table, stack; 0 until it is mapped
	taddr_t slack;		      // where the bootstrap stub stands, or stood
	size_t slack_size;
	uint8_t *slack_bytes; // what was there before; NULL when the stub is not there
	bool stub_in_use;     // a thread could not be taken out of it: it stays
	bool watched;	      // by a thread of the tool:
	pthread_t watcher;
	pid_t pid_watched;
	int unwatch; // an eventfd: the watcher is to end
	int pidfd;
};

// A thread that waits for the helper's end; without it all works but for the case in helper_watch.c.
void helper_watch(struct helper *h);
void helper_unwatch(struct helper *h);

enum {
	HELPER_PAGE = HELPER_TABLE,
	HELPER_SCRATCH = HELPER_TABLE +
			 HELPER_TABLE_SIZE, // bottom of the stack: strings for system calls
	HELPER_STACK = 256 * 1024,
	HELPER_AREA = HELPER_SCRATCH + HELPER_STACK,
};

#define HELPER_NAME "molt-helper" // of the thread and of the memory file of its area

// Chooses the place for the stub and keeps what is there (slack, slack_size, slack_bytes).
struct err *helper_take_slack(struct helper *h) must_check;
// Puts the bytes of before back.
struct err *helper_clear_slack(struct helper *h) must_check;

// Makes the thread; its code is the stub's, in the slack.
struct err *helper_inject(struct helper *h) must_check;

// Gives it its area near `near` and rids it of the target's descriptors; the slack is as before then.
struct err *helper_settle(struct helper *h, taddr_t near) must_check;
// Back into a stub in the slack; unmaps the area. What is left to do is to exit.
struct err *helper_leave_area(struct helper *h) must_check;

// A memory file whose name stands in the target.
struct err *helper_memfd_at(struct helper *h, taddr_t name, int *rfd) must_check;
