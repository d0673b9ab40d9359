// SPDX-License-Identifier: LGPL-2.1-or-later
// Copying memory while the process runs, so that little is left for the stop.
#pragma once

#include "checkpoint/task.h"

// Starts the tracking of writes and copies in rounds until little is written from one to the next. Where writes cannot be
// tracked nothing is done, and t->tracker stays NULL.
struct err *precopy(struct task *t) must_check;
