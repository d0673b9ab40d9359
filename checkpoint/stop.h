// SPDX-License-Identifier: LGPL-2.1-or-later
// The stop of all processes of a checkpoint, and what becomes of them.
#pragma once

#include "checkpoint/run.h"

// Freezes all, saves, and lets them go as opt->after says; those that are to be ended stand until run_end.
struct err *run_stop(struct run *r) must_check;
// SAVE_KILL, once the checkpoint is on the disk: ends them and waits until they are gone.
struct err *run_end(struct run *r) must_check;
