// SPDX-License-Identifier: LGPL-2.1-or-later
// Steps of stopping and releasing a thread that process.c puts together; see process.h
// for the rest.
#pragma once

#include "process/process_impl.h"

// Brings the list of threads up to date, without touching any of them.
struct err *threads_refresh(struct process *p) must_check;

// Threads that were seized and did not stop in time (state D) cannot be let go before they do: waits a little
// for them and lets go those that have stopped by now.
void threads_release_left_over(struct process *p);

struct err *threads_add(struct process *p, pid_t tid, bool traced) must_check;

// Seizes a thread that is not traced yet. One that is dying becomes THREAD_GONE, without
// an error.
struct err *thread_seize(struct process *p, struct thread *t, unsigned long options)
	must_check;

// Waits until an interrupted thread is at PTRACE_EVENT_STOP and reads its registers, or
// finds it gone (not an error). Threads it makes on the way join the list, which may
// move.
struct err *thread_collect(struct process *p, size_t index, uint64_t deadline) must_check;

// Reads what a thread that has just come to PTRACE_EVENT_STOP is given back at its release.
struct err *thread_read_stop(const struct process *p, struct thread *t, bool group)
	must_check;

// The two halves of thread_release.
struct err *thread_write_back(struct thread *t) must_check;
void thread_detach(struct process *p, struct thread *t);

// Marks it gone and takes the zombie away.
void thread_lost(struct process *p, struct thread *t);
