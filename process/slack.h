// SPDX-License-Identifier: LGPL-2.1-or-later
// Room for a few instructions behind the text of a module, in the page that the kernel mapped whole.
#pragma once

#include "process/maps.h"

struct slack_slots {
	VEC(taddr_t) v;
};

// All places of `size` bytes (16-aligned) behind the last byte of an executable segment, in its last page.
// What they hold now is for the caller to look at. The list is the caller's (vec_free of v).
struct err *slack_list(pid_t pid, const struct maps *maps, size_t size,
		       struct slack_slots *ret) must_check;
