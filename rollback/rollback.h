// SPDX-License-Identifier: LGPL-2.1-or-later
// Putting a living process back to where it was when a checkpoint of it was made.
#pragma once

#include "resource/resource.h"

struct rollback_options {
	void (*progress)(void *arg, const char *text);
	bool (*interrupted)(void *arg);
	void *arg;
};

struct rollback_result {
	char comm[16];
	uint64_t stop_ns, compare_ns,
		total_ns;	     // stopped; of it comparing memory; the whole
	uint64_t bytes;		     // of memory put back
	size_t threads, ended, made; // as it is now; ended; made again
	size_t closed, reopened;     // descriptors
	VEC(char *) notes;
};

// All or nothing, whatever ends the tool: see rollback.c. What can be refused is refused before the process is stopped, or, what only
// shows then, with nothing changed.
struct err *rollback_run(pid_t pid, const struct checkpoint *c,
			 const struct rollback_options *opt, struct rollback_result *ret)
	must_check;
void rollback_result_deinit(struct rollback_result *r);
