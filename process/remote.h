// SPDX-License-Identifier: LGPL-2.1-or-later
// System calls made by a thread of another process, in its own context: with its descriptor table, its credentials, its
// signal mask. The helper (helper.h) has tables of its own, so what belongs to a thread or to the descriptor table is read
// and set through this. Two kinds exist: of a process that restore/ is building, and of a living one that stands still
// (ask.h).
#pragma once

#include "process/helper.h"

struct remote {
	pid_t pid;
	pid_t tid; // of the thread that is meant where none is named
	// Memory that both share, for arguments and results; addr is the target's view, map ours.
	taddr_t addr;
	uint8_t *map;
	size_t size, used;
	// Runs them in order in thread `tid`; stops behind the first that fails (ret < 0) unless `all`. *done says how many ran, a failed one included.
	struct err *(*calls)(struct remote *r, pid_t tid, struct syscall_req *reqs,
			     size_t n, bool all, size_t *done);
	// Optional: called before descriptors arrive, whose numbers will stand in `n` ints at `at` (-1 until then).
	struct err *(*announce)(struct remote *r, taddr_t at, size_t n);
	int channel;	    // our end of a UNIX datagram pair; -1: none
	int remote_channel; // the number of the other end in the target
};

// One call in r->tid; the kernel's -errno comes back in *ret.
struct err *remote_call(struct remote *r, long nr, const uint64_t args[6], int64_t *ret)
	must_check;
struct err *remote_call_in(struct remote *r, pid_t tid, long nr, const uint64_t args[6],
			   int64_t *ret) must_check;
// Several in r->tid; an error names `what` and errno when one fails.
struct err *remote_must(struct remote *r, struct syscall_req *reqs, size_t n,
			const char *what) must_check;

// Room in the shared memory, 16-aligned; NULL when it is used up. remote_at gives the target's address of such a place.
// remote_release gives back all that was taken since the mark (r->used).
void *remote_take(struct remote *r, size_t len);
taddr_t remote_at(const struct remote *r, const void *place);
static inline void remote_release(struct remote *r, size_t mark)
{
	r->used = mark;
}

// Passes descriptors of the tool's to the target (SCM_RIGHTS, in portions); their numbers there come in `there`.
struct err *remote_give(struct remote *r, const int *fds, size_t n, int *there) must_check;
