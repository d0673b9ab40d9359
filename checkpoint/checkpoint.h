// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving processes that run: order of operations (design 3).
#pragma once

#include "resource/resource.h"

enum after_save { SAVE_GO_ON, SAVE_STOP, SAVE_KILL }; // what becomes of the processes

struct checkpoint_options {
	const char *store;   // NULL: the default
	const char *name;    // NULL: none
	const char *parent;  // id of the checkpoint it builds on, or NULL
	const char *trigger; // for the manifest: "command", or the function
	unsigned generation; // for the manifest: of the root, as its records of updates have it
	enum after_save after;
	bool tree, compress, all_memory; // all_memory: MADV_DONTDUMP is no matter
	struct save_options save;
	void (*progress)(void *arg, const char *text);
	bool (*interrupted)(void *arg);
	void *arg;
};

struct checkpoint_result {
	pid_t pid;
	char comm[16];
	char *id, *path;
	uint64_t bytes;		    // of memory written to the cores
	uint64_t stop_ns, total_ns; // first thread stopped to last released; the whole
	uint64_t stop2_ns; // a short stop of each process before that, the longest
	size_t processes, threads;
	VEC(char *) notes;
};

struct err *checkpoint_take(pid_t pid, const struct checkpoint_options *opt,
			    struct checkpoint_result *ret) must_check;
void checkpoint_result_deinit(struct checkpoint_result *r);
