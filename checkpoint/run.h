// SPDX-License-Identifier: LGPL-2.1-or-later
// One checkpoint under way: what checkpoint.c, stop.c and manifest.c share.
#pragma once

#include "checkpoint/task.h"

struct run {
	pid_t root;
	const struct checkpoint_options *opt;
	struct checkpoint_result *ret;
	struct store *store;
	struct pending *pending;
	struct checkpoint parent; // opt->parent; .path NULL: none
	VEC(struct task *) tasks; // the root first
	struct saving saving;
	struct shared shared;
	struct modules modules;
	uint64_t start;
};

// Opens the process and makes its core, the process running.
struct err *run_open_task(struct run *r, pid_t pid) must_check;
// The same for a descendant: none when it has ended.
struct err *run_open_child(struct run *r, pid_t pid) must_check;
void run_say(const struct run *r, const char *text);
struct err *run_interrupted(const struct run *r) must_check;

// The manifest, when all cores are finished.
struct err *run_manifest(const struct run *r, json_t *processes, json_t *ret) must_check;
