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

void ask_reset_record(struct ask *a, size_t i, pid_t tid)
{
	struct ask_record *r = &a->records[i];

	*r = (struct ask_record){.tid = tid};
	for (size_t k = 0; k < 2; k++) {
		uint64_t off = a->area.stubs + (2 * i + k) * PAYLOAD_STUB;
		struct thread_state_rec *s = k ? &r->new_state : &r->old_state;

		s->exit_stub = a->area.addr + off;
		payload_exit_stub(a->area.map + off, a->area.addr + off, ask_at(a, s));
	}
}

struct ask_record *ask_stay(struct ask *a, pid_t tid)
{
	size_t i = ASK_STAYING + a->staying.n;
	struct err *e =
		a->staying.n < a->max_staying ? vec_push(&a->staying, tid) : err_nomem();

	if (!e && a->outcomes.n < a->staying.n)
		e = vec_push(&a->outcomes, (struct ask_outcome){0});
	if (e) {
		err_free(e);
		return NULL;
	}
	ask_reset_record(a, i, tid);
	return &a->records[i];
}

static struct err *map_area(struct ask *a, size_t size)
{
	const uint64_t page = PAYLOAD_PAGE;
	uint64_t n_records = ASK_STAYING + a->max_staying;
	uint64_t records = page + AH_SIZE, reqs = records + n_records * AR_SIZE;
	uint64_t undo = reqs + ASK_REQS * AQ_SIZE;
	uint64_t args = roundup(undo + (a->max_undo + 1) * AQ_SIZE, page);
	uint64_t stubs = args + roundup(size, page);
	uint64_t total = stubs + roundup(2 * n_records * PAYLOAD_STUB, page);

	TRY(area_create(a->p, a->h, helper_near(a->h), ASK_AREA_NAME, stubs, total,
			&a->area));
	a->head = (struct ask_header *)(a->area.map + page);
	a->records = (struct ask_record *)(a->area.map + records);
	a->reqs = (struct syscall_req *)(a->area.map + reqs);
	a->undo = (struct syscall_req *)(a->area.map + undo);
	// Behind the list stands a call that does nothing: while one is added the list is one too long for a moment.
	a->undo[a->max_undo].nr = SYS_rt_sigprocmask;
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

struct err *ask_create_with(struct process *p, struct helper *h, size_t size,
			    size_t staying, size_t undo, struct ask **ret)
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
	a->max_staying = staying;
	a->max_undo = undo;
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
	*ret = a;
	return NULL;
}

struct err *ask_create(struct process *p, struct helper *h, size_t size,
		       struct remote **ret)
{
	struct ask *a;

	TRY(ask_create_with(p, h, size, 1, 2, &a));
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
	vec_free(&a->staying);
	vec_free(&a->outcomes);
	free(a);
	return e;
}

void ask_freep(struct remote **r)
{
	err_free(ask_free(*r));
}

static bool is_named(const struct mapping *m, const char *name)
{
	static const char prefix[] = "/memfd:";
	size_t len = strlen(name);

	return m->shared && !strncmp(m->path, prefix, sizeof(prefix) - 1) &&
	       !strncmp(m->path + sizeof(prefix) - 1, name, len) &&
	       (m->path[sizeof(prefix) - 1 + len] == ' ' ||
		!m->path[sizeof(prefix) - 1 + len]);
}

static struct err *read_header(const struct process *p, const struct mapping *m,
			       struct ask_header *ret)
{
	TRY(mem_read(p->pid, m->start + PAYLOAD_PAGE, ret, sizeof(*ret)));
	if (ret->magic != ASK_MAGIC || ret->size > MAX_AREA ||
	    ret->size % PAYLOAD_PAGE) { // it died before anything could use it
		*ret = (struct ask_header){.size = m->end - m->start};
		return NULL;
	}
	if (ret->target_pid == p->pid && ret->tool_pid > 0 && ret->tool_start &&
	    process_start_time(ret->tool_pid) == ret->tool_start)
		return err_with(err_new(ERR_BUSY,
					"molt with pid %d works on process %d (%s)",
					ret->tool_pid, p->pid, p->comm),
				"busy", p->comm);
	return NULL;
}

static struct err *see_vacant(struct process *p, const struct area *area, bool *vacant)
{
	TRY(process_freeze(p, monotonic_ns() + FREEZE_NS, NULL));
	*vacant = true;
	vec_for_each(t, &p->threads)
		if (t->state == THREAD_STOPPED && area_visited(p, area, t))
			*vacant = false;
	return process_thaw(p, NULL);
}

// An area that a tool left; its threads have gone back by themselves.
static struct err *clear(struct process *p, struct helper *h, const struct mapping *m,
			 bool *kept)
{
	struct area area = {.addr = m->start, .stubs = PAYLOAD_PAGE};
	struct ask_header head;
	bool vacant = true;

	TRY(read_header(p, m, &head));
	area.size = head.size;
	if (head.magic)
		TRY(see_vacant(p, &area, &vacant));
	*kept |= !vacant;
	return vacant ? helper_munmap(h, area.addr, area.size) : NULL;
}

struct err *ask_recover(struct process *p, struct helper *h)
{
	_cleanup_(maps_deinit) struct maps maps = {0};
	bool kept = false;

	TRY(maps_read(p->pid, &maps));
	vec_for_each(m, &maps.v)
		if (!m->offset && is_named(m, ASK_AREA_NAME))
			TRY(clear(p, h, m, &kept));
	// What their lists refer to goes when nobody can be at one.
	vec_for_each(m, &maps.v)
		if (!kept && is_named(m, ASK_STAGE_NAME))
			TRY(helper_munmap(h, m->start, m->end - m->start));
	return NULL;
}
