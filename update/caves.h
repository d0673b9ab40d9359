// SPDX-License-Identifier: LGPL-2.1-or-later
// Room for a jump in the padding between functions, for those that are too short to hold it themselves.
#pragma once

#include "update/plan.h"

enum { SHORT_JUMP_LEN = 2, CAVE_LEN = 5 };

// A place of CAVE_LEN bytes of padding in OLD that a short jump ending at `from` reaches and no patch uses yet;
// 0: there is none.
vaddr_t cave_find(const struct plan *p, vaddr_t from);

// Where a short jump at `at` that an earlier update made has its long one, known by where that leads; 0: it is
// none of these.
taddr_t cave_of_jump(pid_t pid, taddr_t at, taddr_t leads_to);
