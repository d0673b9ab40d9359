// SPDX-License-Identifier: LGPL-2.1-or-later
// Interval timers and POSIX timers, both ways.
#pragma once

#include <time.h>

#include "util/error.h"
#include "util/vec.h"

enum { ITIMERS = 3 };
extern const char *const itimer_names[ITIMERS]; // by number (ITIMER_REAL ...)

struct posix_timer { // as /proc/PID/timers says, and what timer_gettime adds
	int id, signal, notify, clock;
	pid_t target; // of SIGEV_THREAD_ID
	uint64_t value;
	struct itimerspec left;
};

struct timer_list {
	VEC(struct posix_timer) v;
};

// Without `left`. None when the kernel has no such file.
struct err *timers_list(pid_t pid, struct timer_list *ret) must_check;
void timer_list_deinit(struct timer_list *l);

// The process or thread whose processor time a clock measures; 0: the one that made the timer, or no such clock.
pid_t clock_owner(int clock);
// The same clock of another process or thread.
int clock_of(int clock, pid_t owner);
