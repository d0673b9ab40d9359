// SPDX-License-Identifier: GPL-2.0-or-later
// The two forms in which molt show tells of a checkpoint.
#pragma once

#include "cmd/stored.h"
#include "lib/call_paths.h"

struct shown_process {
	const struct core *core;
	struct symbolizer *symbols;
	struct call_paths paths;
};

void show_print(const struct checkpoint *c, const struct shown_process *v);
json_t *show_json(const struct checkpoint *c, const struct shown_process *v);
// The entry of objects["files"] that a descriptor leads to, NULL: none.
const json_t *show_file(const struct checkpoint *c, const json_t *descriptor);
