// SPDX-License-Identifier: LGPL-2.1-or-later
// The channel for descriptors; see ask.h.
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/ask_impl.h"
#include "process/fault.h"
#include "util/cleanup.h"

static struct err *fetch(const struct ask *a, int32_t there, int *ret)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, a->p->pid, 0);

	if (pidfd < 0)
		return err_sys(errno, "cannot open process %d", a->p->pid);
	*ret = (int)syscall(SYS_pidfd_getfd, pidfd, there, 0);
	return *ret < 0 ? err_sys(errno, "cannot take a descriptor from process %d",
				  a->p->pid)
			: NULL;
}

// Both ends, wherever they are: behind a call that failed the numbers are still -1.
static struct err *undo_pair(struct ask *a)
{
	for (int i = 0; i < 2; i++)
		TRY(ask_undo(&a->remote,
			     &(struct syscall_req){.nr = SYS_close | ASK_INDIRECT,
						   .args = {ask_at(a, &a->pair[i])}}));
	return NULL;
}

static struct err *park(struct ask *a)
{
	struct thread *t = process_thread(a->p, a->remote.tid);

	if (!t || t->state != THREAD_STOPPED)
		return err_new(ERR_INTERNAL, "thread %d is not stopped", a->remote.tid);
	TRY(ask_check_place(a, t));
	struct ask_record *rec = ask_stay(a, t->tid);
	if (!rec)
		return err_nomem();
	area_state_from(&rec->old_state, &t->regs, t->sigmask);
	return NULL;
}

struct err *ask_undo(struct remote *r, const struct syscall_req *req)
{
	struct ask *a = ask_of(r);
	struct ask_list *l = &a->records[ASK_STAYING].undo;

	if (!a->staying.n || l->n == a->max_undo)
		return err_new(ERR_INTERNAL, "no room for a step to be taken back");
	a->undo[a->max_undo - l->n - 1] = *req;
	l->all = true;
	if (!l->addr)
		l->addr = ask_at(a, &a->undo[a->max_undo]);
	// In this order a tool that dies in between leaves a list that is right.
	__atomic_store_n(&l->n, l->n + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&l->addr, l->addr - AQ_SIZE, __ATOMIC_RELEASE);
	return NULL;
}

static struct err *make_pair(struct ask *a)
{
	struct remote *r = &a->remote;
	int64_t ret;

	a->pair = remote_take(&a->remote, 2 * sizeof(*a->pair));
	if (!a->pair)
		return err_new(ERR_INTERNAL, "no room in the shared memory");
	a->pair[0] = a->pair[1] = -1;
	TRY(undo_pair(a));
	TRY(remote_call(
		r, SYS_socketpair,
		(uint64_t[6]){AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ask_at(a, a->pair)},
		&ret));
	if (ret < 0)
		return err_sys((int)ret, "cannot make a pair of sockets in process %d",
			       r->pid);
	TRY(fault_point("ask-channel"));
	TRY(fetch(a, a->pair[0], &r->channel));
	TRY(remote_call(r, SYS_close, (uint64_t[6]){(uint64_t)a->pair[0]}, &ret));
	a->pair[0] = -1;
	r->remote_channel = a->pair[1];
	return NULL;
}

struct err *ask_open_channel(struct remote *r)
{
	struct ask *a = ask_of(r);

	if (a->pair || (a->staying.n && !a->gathered))
		return err_new(ERR_INTERNAL, "the channel is open");
	if (!a->gathered)
		TRY(park(a));
	struct err *e = make_pair(a);
	return e ? err_first(e, ask_close_channel(r)) : NULL;
}

struct err *ask_close_channel(struct remote *r)
{
	struct ask *a = ask_of(r);
	struct err *e = NULL;
	int64_t ret;

	for (int i = 0; i < 2 && a->pair; i++) {
		if (a->pair[i] < 0)
			continue;
		e = err_first(e, remote_call(r, SYS_close,
					     (uint64_t[6]){(uint64_t)a->pair[i]}, &ret));
		a->pair[i] = -1;
	}
	a->pair = NULL;
	if (a->staying.n && !a->gathered) {
		pid_t tid = a->staying.v[0];

		a->staying.n = 0;
		e = err_first(e, ask_put_back(a, tid));
	}
	if (r->channel >= 0)
		close(r->channel);
	r->channel = r->remote_channel = -1;
	return e;
}
