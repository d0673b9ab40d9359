// SPDX-License-Identifier: LGPL-2.1-or-later
// What a thread's seccomp filters say to a system call, found out without making it.
#pragma once

#include <linux/filter.h>

#include "process/process.h"

struct seccomp_filter {
	VEC(struct sock_filter) v;
};

struct seccomp {
	VEC(struct seccomp_filter) filters;
};

enum seccomp_answer { // the worst that any filter may say
	SECCOMP_ALLOWS,
	SECCOMP_FAILS, // the call gives an error and does nothing
	SECCOMP_KILLS, // or another program decides, or nobody can tell
};

enum { SECCOMP_ALL_ARGS = 0x3f };

// Whether a stopped thread has filters; cheap.
bool seccomp_filtered(const struct process *p, const struct thread *t);
// Reads the filters of a stopped thread: none is fine. ERR_PERM without CAP_SYS_ADMIN.
struct err *seccomp_read(const struct thread *t, struct seccomp *ret) must_check;
void seccomp_deinit(struct seccomp *s);

// Bit i of `known` says that args[i] is what the call would have; every value is taken into account for the others.
enum seccomp_answer seccomp_ask(const struct seccomp *s, long nr, const uint64_t args[6],
				unsigned known);

// Refuses (code seccomp) when some thread's filters would not allow what molt must do in it. Threads are stopped
// one by one for it, and only when there are filters.
struct err *seccomp_check(struct process *p) must_check;
