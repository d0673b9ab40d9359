// SPDX-License-Identifier: LGPL-2.1-or-later
// The target of an update: a process with its mappings, its modules as ld.so lists them, and the records
// that earlier updates left in it. The modules that an update changes are its subjects (subject.h).
#pragma once

#include "process/link_map.h"
#include "process/maps.h"
#include "process/process.h"
#include "update/record.h"

struct target {
	struct process *process;
	struct maps maps;
	struct link_list links; // filled when the executable is opened as a subject
	bool has_links;
	struct record_list records;
};

// Opens the process without stopping it and reads what earlier updates left. Refuses shadow stacks.
struct err *target_open(pid_t pid, struct target *ret) must_check;
void target_deinit(struct target *t);

// Reads the mappings anew.
struct err *target_refresh_maps(struct target *t) must_check;

// Whether C++ exceptions may unwind the process's stacks.
bool target_unwinds(const struct target *t);

// Whether an address lies in an image of any generation of any module that was updated.
bool target_in_images(const struct target *t, taddr_t addr);
