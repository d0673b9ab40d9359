// SPDX-License-Identifier: LGPL-2.1-or-later
// Credentials of a thread: ids, groups, capabilities, securebits, no_new_privs, seccomp.
#pragma once

#include "resource/resource.h"
#include "resource/status.h"

// In the threads' objects, as `credentials`; left out when they are the first thread's.
struct err *save_thread_credentials(struct saver *s, const struct thread *t,
				    const struct thread_status *status,
				    int64_t securebits, json_t *out) must_check;

struct credentials {
	uint32_t uid[ID_KINDS], gid[ID_KINDS];
	VEC(uint32_t) groups;
	uint64_t caps[CAPS_SETS];
	uint32_t securebits;
	bool no_new_privs;
	const json_t *seccomp; // array of filters, newest first; NULL: none
	bool strict;	       // SECCOMP_MODE_STRICT
};

// Of state["threads"][i], with every check.
struct err *credentials_read(const json_t *state, size_t i, struct credentials *ret)
	must_check;
void credentials_deinit(struct credentials *c);

// Filters, newest first, as `seccomp`. restore_seccomp installs them, the oldest first.
struct err *save_seccomp(const struct thread *t, json_t *out) must_check;
struct err *restore_seccomp(struct restorer *r, pid_t tid, const struct credentials *c)
	must_check;
struct err *check_seccomp(const struct credentials *c) must_check;

// Whether the caller may give all that: refused (privilege) with what is missing.
struct err *check_credentials(struct restoring *all, const json_t *state) must_check;
// The end of restoring a process's credentials: what changing them resets.
struct err *restore_process_last(struct restorer *r) must_check;
