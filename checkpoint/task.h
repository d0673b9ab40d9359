// SPDX-License-Identifier: LGPL-2.1-or-later
// One process in a checkpoint; checkpoint.c puts the steps together for all of them.
#pragma once

#include <pthread.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/memory.h"
#include "checkpoint/modules.h"
#include "checkpoint/shared.h"
#include "process/ask.h"
#include "process/tracker.h"

struct found_pages { // of a mapping
	struct page_ranges present, dirty;
};

struct search { // for what was written; a thread of the tool does it while others do what needs ptrace
	const struct task *task;
	struct found_pages *found; // for each of vmas
	size_t n;
	pthread_t thread;
	bool running;
	struct err *error;
};

struct task {
	const struct checkpoint_options *opt;
	struct process *process;
	struct helper *helper;
	struct remote *ask;
	struct core_writer *core;
	int lock, pidfd;
	struct pagemap pagemap;
	struct tracker *tracker; // NULL: everything is written in the stop
	struct memory memory;
	struct vmas vmas;	    // as they were looked at last
	struct page_ranges present; // that the core holds in the end
	struct saver saver;
	struct search search;
	json_t *state;
	uint64_t first_stop;
	uint64_t short_stop; // ns that it stood before
	bool frozen;
};

// The process running.
struct err *task_open(pid_t pid, const struct checkpoint_options *opt, int dir,
		      const struct core *parent, struct task **ret) must_check;
struct err *task_freeze(struct task *t, uint64_t deadline) must_check;
// In the stop, in this order: which pages were written is looked for while the rest is saved; then memory.
struct err *task_search_begin(struct task *t) must_check;
void task_search_deinit(struct task *t);
struct err *task_save_memory(struct task *t, struct saving *all, struct shared *shared)
	must_check;
struct err *task_save_state(struct task *t, struct saving *all) must_check;
struct err *task_thaw(struct task *t, uint64_t *last) must_check;
// What molt has in it is taken away; it is closed.
struct err *task_leave(struct task *t) must_check;
// The process running, or gone: completes the core. `objects` NULL: not the first.
struct err *task_finish(struct task *t, struct modules *modules, struct store *store,
			const json_t *objects, json_t **entry) must_check;
// The ELF headers of kept modules, for debuggers; after memory_add_runs.
struct err *task_add_headers(const struct task *t, const struct store *store) must_check;
void task_free(struct task *t); // lets it go on if it stands
