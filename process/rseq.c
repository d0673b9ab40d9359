// SPDX-License-Identifier: LGPL-2.1-or-later
// See rseq.h.
#include "process/rseq.h"

#include <stddef.h>

#include "os/ptrace.h"
#include "process/memory.h"

struct rseq_section { // struct rseq_cs of linux/rseq.h
	uint32_t version, flags;
	uint64_t start, length, abort;
};

struct err *rseq_abort_address(const struct process *p, const struct thread *t,
			       taddr_t *ret)
{
	// What the kernel itself knows of the thread: at the same place of one that never registered its area may be
	// anything.
	struct uapi_rseq_configuration rseq;
	struct rseq_section s;
	taddr_t at;

	*ret = 0;
	if (os_ptrace_rseq(t->tid, &rseq) < 0 || !rseq.pointer)
		return NULL;
	TRY(mem_read(p->pid, rseq.pointer + offsetof(struct uapi_rseq, rseq_cs), &at,
		     sizeof(at)));
	if (!at)
		return NULL;
	TRY(mem_read(p->pid, at, &s, sizeof(s)));
	if (t->regs.rip - s.start < s.length)
		*ret = s.abort;
	return NULL;
}
