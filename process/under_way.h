// SPDX-License-Identifier: LGPL-2.1-or-later
// What a tool is doing in a process, or what one that died left there, seen from outside.
#pragma once

#include "process/maps.h"

enum under_way {
	UNDER_WAY_NOTHING,  // no area of a tool is mapped
	UNDER_WAY_PREPARED, // helper, control area or gates are
	UNDER_WAY_WAITING,  // the tool waits for threads to come out of changed functions
};

struct err *under_way_read(pid_t pid, const struct maps *maps, enum under_way *ret)
	must_check;
