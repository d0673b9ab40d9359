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
	struct link_list links; // filled by target_read_links
	bool has_links;
	struct record_list records;
};

// Opens the process without stopping it and reads what earlier updates left. Refuses shadow stacks.
struct err *target_open(pid_t pid, struct target *ret) must_check;
void target_deinit(struct target *t);

// Reads ld.so's list of modules, once, and forgets (marks) the records of modules that are no longer in it.
struct err *target_read_links(struct target *t) must_check;

// The live record of the module with that index in the list, or NULL.
struct found_record *target_record_of(struct target *t, size_t link);

// The module that a user means: by the path in the list, the file that a path leads to, the file name, the soname.
// ERR_USAGE with code no-such-module when there is none, or more than one.
struct err *target_find_library(struct target *t, const char *name, size_t *ret)
	must_check;

// Whether a file (not an image that molt made) is mapped there.
bool target_maps_file(const struct target *t, taddr_t addr);

// Whether the module is ld.so itself, libc or a part of it: they keep what no update may touch.
bool target_is_runtime(const struct target *t, size_t link);

// Reads the mappings anew.
struct err *target_refresh_maps(struct target *t) must_check;

// Whether C++ exceptions may unwind the process's stacks.
bool target_unwinds(const struct target *t);

// Whether an address lies in an image of any generation of any module that was updated.
bool target_in_images(const struct target *t, taddr_t addr);
