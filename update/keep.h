// SPDX-License-Identifier: LGPL-2.1-or-later
// What an update keeps of the files it works with, for a later revert; see store.h.
#pragma once

#include "update/job.h"

// Before anything is touched: copies of the files that run and of the new ones. What cannot be kept is a remark.
void keep_programs(struct job *j);
// After it: copies that no process's record names go.
void keep_tidy(void);
