// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of a thread's state that others need: registers for whoever starts or rolls back a thread.
#pragma once

#include <sys/user.h>

#include "resource/resource.h"

enum { THREADS_MAX = 1 << 16 };

// state["threads"][i], and its id there. An error says what is wrong with it.
struct err *threads_count(const json_t *state, size_t *ret) must_check; // 1..THREADS_MAX
struct err *thread_at(const json_t *state, size_t i, const json_t **ret, pid_t *saved_tid)
	must_check;

// The general registers that a saved thread goes on with, for PTRACE_SETREGS at PTRACE_EVENT_STOP: an interrupted system
// call that only the saved process itself could have gone on with (ERESTART_RESTARTBLOCK) is made to be started again, with
// the time left where that is known.
struct err *thread_registers(const json_t *thread, struct user_regs_struct *ret)
	must_check;
struct err *thread_sigmask(const json_t *thread, uint64_t *ret) must_check;

// Writes its FPU and vector state into the stopped thread `tid`. Refused (cpu-state) when this processor's differs from the
// one of the saved process.
struct err *thread_set_xstate(const json_t *thread, pid_t tid) must_check;

// Parts of save_threads and restore_threads. s->ask's shared memory is the caller's to release.
struct err *save_restart(struct saver *s, const struct thread *t, json_t *out) must_check;
struct err *save_scheduling(const struct thread *t, json_t *out) must_check;
struct err *restore_scheduling(struct restorer *r, pid_t tid, const json_t *thread)
	must_check;

// Before anything is made: ERR_CORRUPT when a member makes no sense.
struct err *check_thread(const json_t *thread) must_check;
struct err *check_scheduling(const json_t *thread) must_check;
struct err *check_saved_xstate(const json_t *thread) must_check;
