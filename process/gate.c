// SPDX-License-Identifier: LGPL-2.1-or-later
// Return gates; see gate.h.
#include "process/gate.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/gate_impl.h"
#include "process/memory.h"
#include "util/cleanup.h"

enum { MAX_GATES = 1 << 16 };
static const uint64_t MS = 1000000;
static const uint64_t FREE_DEADLINE_NS = 500000000;

static void fill_area(struct gates *g)
{
	taddr_t common = g->area.addr + payload_gates_common;

	g->head = (struct gate_header *)(g->area.map + PAYLOAD_PAGE);
	g->slots = (struct gate_slot *)(g->head + 1);
	*g->head = (struct gate_header){
		.hold_ns = GATE_HOLD_MS * MS,
		.slice_nsec = MS,
		.n_slots = (uint32_t)g->max,
		.size = g->area.size,
		.stubs_off = g->area.stubs,
		.tool_pid = getpid(),
		.target_pid = g->p->pid,
		.tool_start = process_start_time(getpid()),
	};
	memcpy(g->area.map, payload_gates, (size_t)(payload_gates_end - payload_gates));
	for (size_t i = 0; i < g->max; i++) {
		uint64_t off = g->area.stubs + i * PAYLOAD_STUB;

		payload_gate_stub(g->area.map + off, g->area.addr + off, (uint32_t)i,
				  common);
	}
	__atomic_store_n(&g->head->magic, GATES_MAGIC, __ATOMIC_RELEASE);
}

struct err *gates_create(struct process *p, struct helper *h, taddr_t near, size_t max,
			 struct gates **ret)
{
	_cleanup_(gates_freep) struct gates *g = NULL;
	uint64_t stubs, size;

	if (!max || max > MAX_GATES)
		return err_new(ERR_INTERNAL, "%zu return gates", max);
	g = calloc(1, sizeof(*g));
	if (!g)
		return err_nomem();
	g->p = p;
	g->h = h;
	g->max = max;
	stubs = PAYLOAD_PAGE + roundup(GH_SIZE + max * GS_SIZE, (uint64_t)PAYLOAD_PAGE);
	size = stubs + roundup(max * PAYLOAD_STUB, (uint64_t)PAYLOAD_PAGE);
	TRY(area_create(p, h, near, GATES_AREA_NAME, stubs, size, &g->area));
	fill_area(g);
	TRY(area_seal(h, &g->area));
	TRY(fault_point("gates-mapped"));
	*ret = take_ptr(g);
	return NULL;
}

void gates_set_hold(struct gates *g, uint64_t hold_ns)
{
	__atomic_store_n(&g->head->hold_ns, hold_ns, __ATOMIC_RELEASE);
}

static void renew_lease(struct gates *g)
{
	__atomic_store_n(&g->head->lease, monotonic_ns() + GATE_LEASE_MS * MS,
			 __ATOMIC_RELEASE);
}

static taddr_t stub_of(const struct gates *g, size_t i)
{
	return g->area.addr + g->area.stubs + i * PAYLOAD_STUB;
}

// The number of the gate whose stub `addr` is in; SIZE_MAX: none.
static size_t gate_at(const struct gates *g, taddr_t addr, unsigned *offset)
{
	uint64_t off = addr - g->area.addr - g->area.stubs;

	*offset = off % PAYLOAD_STUB;
	return off / PAYLOAD_STUB < g->used ? off / PAYLOAD_STUB : SIZE_MAX;
}

taddr_t gates_real(const struct gates *g, taddr_t addr)
{
	unsigned offset;
	size_t i = gate_at(g, addr, &offset);

	return i == SIZE_MAX || offset ? 0 : g->slots[i].real;
}

// A slot is used again only for the same place and address: a forked child, whose stack may still hold the
// gate, shares the slots.
static struct err *slot_for(struct gates *g, taddr_t addr, taddr_t real, size_t *ret)
{
	size_t i = 0;

	while (i < g->used && (g->slots[i].addr != addr || g->slots[i].real != real))
		i++;
	if (i == g->max)
		return err_with(
			err_new(ERR_BUSY, "all %zu return gates are used up", g->max),
			"not-quiescent", NULL);
	*ret = i;
	return NULL;
}

struct err *gates_plant(struct gates *g, pid_t tid, taddr_t slot)
{
	const struct thread *t = process_thread(g->p, tid);
	taddr_t real, stub;
	size_t i = 0;

	if (!t || t->state != THREAD_STOPPED)
		return err_new(ERR_INTERNAL, "thread %d is not stopped", tid);
	TRY(mem_read(g->p->pid, slot, &real, sizeof(real)));
	if (gates_real(g, real))
		return NULL;
	TRY(slot_for(g, slot, real, &i));
	g->slots[i].real = real;
	g->slots[i].addr = slot;
	g->slots[i].tid = tid;
	__atomic_store_n(&g->slots[i].state, GATE_PLANTED, __ATOMIC_RELEASE);
	g->used = MAX(g->used, i + 1);
	renew_lease(g);
	__atomic_store_n(&g->head->hold, 1, __ATOMIC_RELEASE);
	g->planted = true;
	stub = stub_of(g, i);
	TRY(mem_write(g->p->pid, slot, &stub, sizeof(stub)));
	return fault_point("gate-planted");
}

static uint32_t state_of(const struct gates *g, size_t i)
{
	return __atomic_load_n(&g->slots[i].state, __ATOMIC_ACQUIRE);
}

static bool is_held(const struct gates *g, pid_t tid)
{
	for (size_t i = 0; i < g->used; i++)
		if (g->slots[i].tid == tid && state_of(g, i) == GATE_REACHED)
			return true;
	return false;
}

static bool has_ended(const struct gates *g, pid_t tid)
{
	struct os_status s;

	int r = os_proc_status(g->p->pid, tid, &s);
	return r < 0 ? os_proc_is_gone(r) : s.state == 'Z' || s.state == 'X';
}

// Counts gates that hold somebody, and says whether a living thread with a planted one is still to come.
static unsigned look(const struct gates *g, bool *waiting)
{
	unsigned held = 0;

	*waiting = false;
	for (size_t i = 0; i < g->used; i++) {
		uint32_t state = state_of(g, i);

		held += state == GATE_REACHED;
		if (!*waiting && state == GATE_PLANTED && !is_held(g, g->slots[i].tid))
			*waiting = !has_ended(g, g->slots[i].tid);
	}
	return held;
}

static struct err *wait_in(struct gates *const *g, size_t n, bool any, uint64_t deadline,
			   unsigned *reached)
{
	for (;;) {
		uint64_t now = monotonic_ns();
		const struct gates *late = NULL; // somebody is still to come there
		uint32_t seen = 0;

		*reached = 0;
		for (size_t i = 0; i < n; i++) {
			uint32_t arrivals =
				__atomic_load_n(&g[i]->head->arrivals, __ATOMIC_ACQUIRE);
			bool waiting;

			renew_lease(g[i]);
			*reached += look(g[i], &waiting);
			if (!waiting)
				continue;
			late = g[i];
			seen = arrivals;
			if (!process_alive(g[i]->p))
				return err_new(ERR_LOST, "process %d (%s) has ended",
					       g[i]->p->pid, g[i]->p->comm);
		}
		if (!late || (any && *reached) || now >= deadline)
			return *reached ? fault_point("gates-reached") : NULL;
		// Several areas cannot be waited for at once: short looks at all of them.
		uint64_t slice = n > 1 ? MS : GATE_LEASE_MS * MS / 2;
		const struct timespec ts = {.tv_nsec = (long)MIN(deadline - now, slice)};
		syscall(SYS_futex, &late->head->arrivals, FUTEX_WAIT, seen, &ts, NULL, 0);
	}
}

struct err *gates_wait(struct gates *g, uint64_t deadline, unsigned *reached)
{
	return wait_in(&g, 1, false, deadline, reached);
}

struct err *gates_wait_any(struct gates *g, uint64_t deadline, unsigned *reached)
{
	return wait_in(&g, 1, true, deadline, reached);
}

struct err *gates_wait_several(struct gates *const *g, size_t n, uint64_t deadline,
			       unsigned *reached)
{
	return wait_in(g, n, false, deadline, reached);
}

// How many saved words are on the stack at an offset of the common code.
static const struct gate_step *step_at(uint64_t offset)
{
	const struct gate_step *found = NULL;

	for (uint32_t i = 0; i < payload_gates_n_steps; i++)
		if (payload_gates_steps[i].offset <= offset)
			found = &payload_gates_steps[i];
	return found;
}

static void put_saved(struct user_regs_struct *r, unsigned which, taddr_t value)
{
	unsigned long long *const order[GATE_SAVED] = {
		&r->eflags, &r->rax, &r->rcx, &r->rdx, &r->rsi,
		&r->rdi,    &r->r8,  &r->r9,  &r->r10, &r->r11,
	};

	*order[which] = value;
}

static bool held_in_common(const struct gates *g, const struct thread *t,
			   struct user_regs_struct *regs)
{
	const struct gate_step *s = step_at(t->regs.rip - g->area.addr);
	taddr_t words[GATE_SAVED + 1], base;
	struct err *e;

	if (!s || s->pushed > GATE_SAVED)
		return false;
	base = t->regs.rsp + s->extra;
	e = mem_read(g->p->pid, base, words, (s->pushed + 1u) * sizeof(words[0]));
	if (e) {
		err_free(e);
		return false;
	}
	for (unsigned i = 0; i < s->pushed; i++)
		put_saved(regs, s->pushed - 1u - i, words[i]);
	// The last word is the gate's number until the code has put the real address there.
	regs->rip = words[s->pushed] < g->used ? g->slots[words[s->pushed]].real
					       : words[s->pushed];
	regs->rsp = base + (s->pushed + 1u) * sizeof(words[0]) + GATE_RED_ZONE;
	return true;
}

bool gates_held(const struct gates *g, const struct thread *t,
		struct user_regs_struct *regs)
{
	unsigned offset;
	size_t i;

	*regs = t->regs;
	if (!area_contains(&g->area, t->regs.rip))
		return false;
	if (t->regs.rip - g->area.addr < PAYLOAD_PAGE) {
		if (!held_in_common(g, t, regs))
			return false;
	} else {
		i = gate_at(g, t->regs.rip, &offset);
		if (i == SIZE_MAX)
			return false;
		regs->rip = g->slots[i].real;
		regs->rsp += offset == 0   ? 0
			     : offset == 5 ? GATE_RED_ZONE
					   : GATE_RED_ZONE + 8;
	}
	regs->orig_rax = ~0ull; // the wait of the gate is not started again
	return true;
}

// Whatever the slot's state says: a thread that jumped out (longjmp) never comes, and in a forked child
// the gate is on the stack although the parent's thread has passed it. Only the value counts.
static struct err *restore_slot(struct gates *g, size_t i, bool *restored)
{
	taddr_t value, stub = stub_of(g, i);
	struct err *e = mem_read(g->p->pid, g->slots[i].addr, &value, sizeof(value));

	*restored = false;
	if (e) { // the stack is gone
		err_free(e);
		return NULL;
	}
	if (value != stub)
		return NULL;
	*restored = true;
	return mem_write(g->p->pid, g->slots[i].addr, &g->slots[i].real, sizeof(value));
}

struct err *gates_withdraw(struct gates *g)
{
	struct user_regs_struct regs;
	struct err *first = NULL;
	bool restored, any = false;

	for (size_t i = 0; i < g->used; i++) {
		struct err *e = restore_slot(g, i, &restored);

		if (!e && restored && !any)
			e = fault_point("in-withdraw");
		any |= restored;
		if (e && first)
			err_free(e);
		else if (e)
			first = e;
	}
	vec_for_each(t, &g->p->threads) {
		if (t->state == THREAD_STOPPED && gates_held(g, t, &regs)) {
			t->regs = regs;
			t->regs_dirty = true;
		}
	}
	for (size_t i = 0; i < g->used; i++)
		g->slots[i].state = GATE_FREE;
	g->planted = false;
	__atomic_store_n(&g->head->hold, 0, __ATOMIC_RELEASE);
	syscall(SYS_futex, &g->head->hold, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	return first ? first : fault_point("after-withdraw");
}

// Whether the area may be unmapped. When nobody ever came there is nobody inside.
static struct err *make_vacant(struct gates *g, bool *vacant)
{
	struct err *e = NULL;

	*vacant = true;
	if (!g->planted && !__atomic_load_n(&g->head->arrivals, __ATOMIC_ACQUIRE))
		return NULL;
	TRY(process_freeze(g->p, monotonic_ns() + FREE_DEADLINE_NS, NULL));
	e = gates_withdraw(g);
	vec_for_each(t, &g->p->threads)
		if (t->state == THREAD_STOPPED && area_visited(g->p, &g->area, t))
			*vacant = false;
	return err_first(e, process_thaw(g->p, NULL));
}

void gates_free(struct gates *g)
{
	bool vacant = false;
	struct err *e;

	if (!g)
		return;
	if (g->area.addr && g->head) {
		e = make_vacant(g, &vacant);
		if (!e)
			e = fault_point("before-gates-free");
		if (!e && vacant)
			e = area_unmap(g->h, &g->area);
		err_free(e);
	}
	area_deinit(&g->area);
	free(g);
}

void gates_freep(struct gates **g)
{
	gates_free(*g);
}
