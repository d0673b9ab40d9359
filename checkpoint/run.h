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
	size_t drops; // of run_drop_ended
};

// Opens the process and makes its core, the process running.
struct err *run_open_task(struct run *r, pid_t pid) must_check;
// The same for a descendant: none when it has ended.
struct err *run_open_child(struct run *r, pid_t pid) must_check;
// What became of a step with the i-th process: a descendant that has ended meanwhile is left out, and its error with it; so is one that
// became another program, which is found again when the tree is read again.
struct err *run_drop_ended(struct run *r, size_t i, struct err *e) must_check;
void run_say(const struct run *r, const char *text);
struct err *run_interrupted(const struct run *r) must_check;

// The manifest, when all cores are finished.
struct err *run_manifest(const struct run *r, json_t *processes, json_t *ret) must_check;
