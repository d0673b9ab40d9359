// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading all writable memory of a target that is there (resident or swapped), in large pieces.
#pragma once

#include "process/maps.h"

struct scan_piece {
	taddr_t addr;
	const uint64_t *words;
	size_t n;
};

typedef struct err *(*scan_fn)(void *arg, const struct scan_piece *piece);

// Calls `visit` for all of it. Left out: files that are mapped shared, devices, molt's own areas. More than
// `limit` bytes: the rest is not visited, and *complete is false. What goes away meanwhile is skipped.
struct err *scan_writable(pid_t pid, const struct maps *maps, uint64_t limit,
			  scan_fn visit, void *arg, bool *complete) must_check;
