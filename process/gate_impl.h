// SPDX-License-Identifier: LGPL-2.1-or-later
// What gate.c and recover.c share: a gate area of this tool, or the copy of one that a dead tool left.
#pragma once

#include "arch/x86_64/payload.h"
#include "process/area.h"
#include "process/gate.h"

struct gates {
	struct process *p;
	struct helper *h;
	struct area area;
	struct gate_header *head;
	struct gate_slot *slots;
	size_t max, used; // `max` slots there are, `used` of them ever planted
	bool planted;	  // since the last withdrawal
};
