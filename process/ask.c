// SPDX-License-Identifier: LGPL-2.1-or-later
// The area for system calls in a target's threads, and the channel for descriptors; see ask.h.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/ask_impl.h"
#include "process/fault.h"
#include "process/memory.h"
#include "util/cleanup.h"

static const uint64_t FREEZE_NS = 1000000000;
enum { ARGS_MAX = 64 << 20, MAX_AREA = 256 << 20 };

static void put_stubs(struct ask *a)
{
	for (size_t i = 0; i < 2 * (ASK_THREADS + 1); i++) {
		uint64_t off = a->area.stubs + i * PAYLOAD_STUB;
		struct ask_record *r = &a->records[i / 2];
		struct thread_state_rec *s = i % 2 ? &r->new_state : &r->old_state;

		s->exit_stub = a->area.addr + off;
		payload_exit_stub(a->area.map + off, a->area.addr + off, ask_at(a, s));
	}
}

static struct err *map_area(struct ask *a, size_t size)
{
	const uint64_t page = PAYLOAD_PAGE;
	uint64_t records = page + AH_SIZE, reqs = records + (ASK_THREADS + 1) * AR_SIZE;
	uint64_t args = roundup(reqs + ASK_REQS * AQ_SIZE, page);
	uint64_t stubs = args + roundup(size, page);
	uint64_t total = stubs + roundup(2 * (ASK_THREADS + 1) * PAYLOAD_STUB, page);

	TRY(area_create(a->p, a->h, helper_near(a->h), ASK_AREA_NAME, stubs, total,
			&a->area));
	a->head = (struct ask_header *)(a->area.map + page);
	a->records = (struct ask_record *)(a->area.map + records);
	a->reqs = (struct syscall_req *)(a->area.map + reqs);
	a->remote.map = a->area.map + args;
	a->remote.addr = a->area.addr + args;
	a->remote.size = stubs - args;
	*a->head = (struct ask_header){
		.alive = (uint32_t)helper_tid(a->h),
		.tool_pid = getpid(),
		.tool_start = process_start_time(getpid()),
		.target_pid = a->p->pid,
		.size = total,
	};
	memcpy(a->area.map, payload_ask, (size_t)(payload_ask_end - payload_ask));
	put_stubs(a);
	__atomic_store_n(&a->head->magic, ASK_MAGIC, __ATOMIC_RELEASE);
	return area_seal(a->h, &a->area);
}

// The kernel clears the word at this address and wakes one of those that wait there when the helper ends.
static struct err *watch_helper(const struct ask *a, taddr_t word)
{
	int64_t r;

	TRY(helper_syscall(a->h, SYS_set_tid_address, (uint64_t[6]){word}, &r));
	return r < 0 ? err_refuse("seccomp", "set_tid_address",
				  "the seccomp filter of process %d (%s) does not allow "
				  "set_tid_address, which molt has to do in it",
				  a->p->pid, a->p->comm)
		     : NULL;
}

static struct err *keep_from_children(const struct ask *a)
{
	int64_t r;

	TRY(helper_syscall(a->h, SYS_madvise,
			   (uint64_t[6]){a->area.addr, a->area.size, MADV_DONTFORK}, &r));
	return r < 0 ? err_sys((int)r, "cannot keep the area from child processes") : NULL;
}

struct err *ask_create(struct process *p, struct helper *h, size_t size,
		       struct remote **ret)
{
	struct ask *a;

	if (size > ARGS_MAX)
		return err_new(ERR_INTERNAL, "%zu bytes of arguments", size);
	TRY(ask_recover(p, h));
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_nomem();
	a->p = p;
	a->h = h;
	a->remote = (struct remote){.pid = p->pid,
				    .tid = p->pid,
				    .calls = ask_calls,
				    .channel = -1,
				    .remote_channel = -1};
	struct err *e = map_area(a, size);
	if (!e)
		e = keep_from_children(a);
	if (!e)
		e = watch_helper(a, ask_at(a, &a->head->alive));
	if (!e)
		e = fault_point("ask-mapped");
	if (e) {
		err_free(ask_free(&a->remote));
		return err_wrap(e, "cannot prepare calls in process %d", p->pid);
	}
	*ret = &a->remote;
	return NULL;
}

struct err *ask_free(struct remote *r)
{
	struct err *e = NULL;
	struct ask *a;

	if (!r)
		return NULL;
	a = ask_of(r);
	if (r->channel >= 0)
		e = ask_close_channel(r);
	// A thread that is in there still needs the word: it goes back when the helper ends.
	if (a->area.addr && !a->stuck) {
		e = err_first(e, watch_helper(a, 0));
		e = err_first(e, area_unmap(a->h, &a->area));
	}
	area_deinit(&a->area);
	free(a);
	return e;
}

void ask_freep(struct remote **r)
{
	err_free(ask_free(*r));
}

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
static void undo_list(struct ask *a, struct syscall_req undo[2])
{
	for (int i = 0; i < 2; i++)
		undo[i] = (struct syscall_req){.nr = SYS_close | ASK_INDIRECT,
					       .args = {ask_at(a, &a->pair[i])}};
}

static struct err *park(struct ask *a)
{
	struct ask_record *rec = &a->records[ASK_PARKED];
	struct thread *t = process_thread(a->p, a->remote.tid);
	struct syscall_req *undo = remote_take(&a->remote, 2 * sizeof(*undo));

	a->pair = remote_take(&a->remote, 2 * sizeof(*a->pair));
	if (!undo || !a->pair)
		return err_new(ERR_INTERNAL, "no room in the shared memory");
	if (!t || t->state != THREAD_STOPPED)
		return err_new(ERR_INTERNAL, "thread %d is not stopped", a->remote.tid);
	a->pair[0] = a->pair[1] = -1;
	undo_list(a, undo);
	rec->undo = (struct ask_list){.addr = ask_at(a, undo), .n = 2, .all = true};
	rec->finish = rec->run = (struct ask_list){0};
	rec->role = rec->go = rec->left = rec->done = 0;
	rec->xstate = 0;
	rec->tid = t->tid;
	area_state_from(&rec->old_state, &t->regs, t->sigmask);
	a->parked = t->tid;
	return NULL;
}

static struct err *make_pair(struct ask *a)
{
	struct remote *r = &a->remote;
	int64_t ret;

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

	if (a->parked)
		return err_new(ERR_INTERNAL, "the channel is open");
	TRY(park(a));
	struct err *e = make_pair(a);
	return e ? err_first(e, ask_close_channel(r)) : NULL;
}

struct err *ask_close_channel(struct remote *r)
{
	struct ask *a = ask_of(r);
	struct syscall_req reqs[2];
	size_t done;

	if (!a->parked)
		return NULL;
	undo_list(a, reqs);
	struct err *e = ask_calls(r, a->parked, reqs, 2, true, &done);
	a->pair[0] = a->pair[1] = -1;
	pid_t tid = a->parked;
	a->parked = 0;
	e = err_first(e, ask_put_back(a, tid));
	if (r->channel >= 0)
		close(r->channel);
	r->channel = r->remote_channel = -1;
	return e;
}

static bool is_stale(const struct mapping *m)
{
	static const char name[] = "/memfd:" ASK_AREA_NAME;

	return !m->offset && m->shared && !strncmp(m->path, name, sizeof(name) - 1) &&
	       (m->path[sizeof(name) - 1] == ' ' || !m->path[sizeof(name) - 1]);
}

// An area that a tool left; its threads have gone back by themselves.
static struct err *clear(struct process *p, struct helper *h, const struct mapping *m)
{
	struct area area = {.addr = m->start, .stubs = PAYLOAD_PAGE};
	struct ask_header head;
	bool vacant = true;

	TRY(mem_read(p->pid, m->start + PAYLOAD_PAGE, &head, sizeof(head)));
	if (head.magic != ASK_MAGIC || head.size > MAX_AREA ||
	    head.size % PAYLOAD_PAGE) // it died before anything could use it
		return helper_munmap(h, m->start, m->end - m->start);
	if (head.target_pid == p->pid && head.tool_pid > 0 && head.tool_start &&
	    process_start_time(head.tool_pid) == head.tool_start)
		return err_with(err_new(ERR_BUSY,
					"molt with pid %d works on process %d (%s)",
					head.tool_pid, p->pid, p->comm),
				"busy", p->comm);
	area.size = head.size;
	TRY(process_freeze(p, monotonic_ns() + FREEZE_NS, NULL));
	vec_for_each(t, &p->threads)
		if (t->state == THREAD_STOPPED && area_visited(p, &area, t))
			vacant = false;
	TRY(process_thaw(p, NULL));
	return vacant ? helper_munmap(h, area.addr, area.size) : NULL;
}

struct err *ask_recover(struct process *p, struct helper *h)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(p->pid, &maps));
	vec_for_each(m, &maps.v)
		if (is_stale(m))
			TRY(clear(p, h, m));
	return NULL;
}
