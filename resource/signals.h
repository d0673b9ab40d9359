// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of saving and restoring signals that stand in files of their own.
#pragma once

#include "resource/resource.h"

// The queue of thread `tid`, or of its process, as `pending` of `out`. `mask`: what the kernel says is pending.
struct err *save_pending(pid_t tid, bool shared, uint64_t mask, json_t *out) must_check;

// The JSON of itimers and POSIX timers, state["timers"].
struct err *save_timers(struct saver *s) must_check;

// Before anything is made: ERR_CORRUPT when a member makes no sense.
struct err *check_signals(const json_t *state) must_check;
struct err *check_timers(const json_t *state) must_check;
