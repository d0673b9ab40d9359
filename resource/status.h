// SPDX-License-Identifier: LGPL-2.1-or-later
// What /proc/PID/task/TID/status says of a thread beyond os_status: ids, capabilities, signal sets.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/vec.h"

enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FS, ID_KINDS };
enum {
	CAPS_INHERITABLE,
	CAPS_PERMITTED,
	CAPS_EFFECTIVE,
	CAPS_BOUNDING,
	CAPS_AMBIENT,
	CAPS_SETS
};

struct thread_status {
	uint32_t uid[ID_KINDS], gid[ID_KINDS]; // as molt's own user namespace sees them
	VEC(uint32_t) groups;
	uint64_t caps[CAPS_SETS];
	uint64_t pending, shared_pending, ignored, caught; // bit n - 1: signal n
	uint32_t umask;
	uint32_t seccomp; // 0 none, 1 strict, 2 filter
	bool no_new_privs, shadow_stack;
	char *cpus; // list of the processors it may run on: "0-3,7"
};

// tid 0: the process itself. ERR_LOST when it is gone.
struct err *thread_status_read(pid_t pid, pid_t tid, struct thread_status *ret) must_check;
void thread_status_deinit(struct thread_status *s);

// "uid[real]" and the like, for messages and as members in an image.
extern const char *const id_names[ID_KINDS];
extern const char *const caps_names[CAPS_SETS];
