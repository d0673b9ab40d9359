// SPDX-License-Identifier: LGPL-2.1-or-later
// Clears what a tool that died left in a process: control areas of commits and return gates.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "process/ask.h"
#include "process/commit_impl.h"
#include "process/gate_impl.h"
#include "process/memory.h"
#include "util/cleanup.h"

enum {
	MAX_AREA = 256 << 20,
	MAX_ITEMS = 1 << 22,
};
static const uint64_t FREEZE_NS = 1000000000, RUN_NS = 200000000;
static const uint64_t PAGE = PAYLOAD_PAGE;

struct leftover {
	struct area area;
	bool is_gates, keep, decided;
	struct commit_header head;   // of a commit; zero when it was not filled yet
	taddr_t word;		     // its decision
	struct commit_range *ranges; // head.n_ranges of them
	struct gates gates;	     // copies of header and slots
	struct gate_header gate_head;
};

typedef VEC(struct leftover) leftover_list;

static void leftover_list_deinit(leftover_list *l)
{
	vec_for_each(it, l) {
		free(it->ranges);
		free(it->gates.slots);
	}
	vec_free(l);
}

static bool named(const struct mapping *m, const char *name)
{
	static const char prefix[] = "/memfd:";
	size_t len = strlen(name);

	return !strncmp(m->path, prefix, sizeof(prefix) - 1) &&
	       !strncmp(m->path + sizeof(prefix) - 1, name, len) &&
	       (m->path[sizeof(prefix) - 1 + len] == ' ' ||
		m->path[sizeof(prefix) - 1 + len] == '\0');
}

static struct err *busy(const struct process *p, pid_t tool)
{
	return err_with(err_new(ERR_BUSY, "molt with pid %d works on process %d (%s)",
				tool, p->pid, p->comm),
			"busy", p->comm);
}

// An area that a fork inherited names another target: its tool does not know this process.
static bool tool_lives(const struct process *p, pid_t tool, pid_t target, uint64_t start)
{
	return target == p->pid && tool > 0 && start && process_start_time(tool) == start;
}

static bool in_data(const struct area *a, uint64_t off, uint64_t n, uint64_t size)
{
	uint64_t bytes, end;

	return n <= MAX_ITEMS && !__builtin_mul_overflow(n, size, &bytes) &&
	       !__builtin_add_overflow(off, bytes, &end) && end <= a->size - PAGE;
}

// The page shared by several commits that a header names; 0: it has its own word.
static taddr_t shared_decision(const struct maps *maps, taddr_t word)
{
	const struct mapping *m = maps_at(maps, word);

	return m && m->shared && m->start == word && named(m, DECISION_NAME) ? word : 0;
}

// Nothing in the header is trusted further than that it describes this mapping.
static struct err *read_commit(const struct process *p, const struct maps *maps,
			       struct leftover *l)
{
	struct commit_header h;

	TRY(mem_read(p->pid, l->area.addr + PAGE, &h, sizeof(h)));
	if (h.magic != COMMIT_MAGIC || h.size != l->area.size ||
	    !in_data(&l->area, h.ranges_off, h.n_ranges, CG_SIZE))
		return NULL; // it died before anything could use the area
	if (tool_lives(p, h.tool_pid, h.target_pid, h.tool_start))
		return busy(p, h.tool_pid);
	l->ranges = calloc(h.n_ranges + 1u, sizeof(*l->ranges));
	if (!l->ranges)
		return err_nomem();
	TRY(mem_read(p->pid, l->area.addr + PAGE + h.ranges_off, l->ranges,
		     h.n_ranges * sizeof(*l->ranges)));
	l->head = h;
	l->word = shared_decision(maps, h.word);
	if (!l->word)
		l->word = l->area.addr + PAGE + CH_DECISION;
	TRY(mem_read(p->pid, l->word, &h.decision, sizeof(h.decision)));
	l->decided = h.decision == COMMIT_DECIDED;
	return NULL;
}

static struct err *read_gates(struct process *p, struct leftover *l)
{
	struct gate_header h;

	TRY(mem_read(p->pid, l->area.addr + PAGE, &h, sizeof(h)));
	if (h.magic != GATES_MAGIC || h.size != l->area.size || h.stubs_off > h.size ||
	    !in_data(&l->area, GH_SIZE, h.n_slots, GS_SIZE) ||
	    (h.size - h.stubs_off) / PAYLOAD_STUB < h.n_slots)
		return NULL;
	if (tool_lives(p, h.tool_pid, h.target_pid, h.tool_start))
		return busy(p, h.tool_pid);
	l->area.stubs = h.stubs_off;
	l->gate_head = h;
	l->gates = (struct gates){.p = p, .area = l->area, .max = h.n_slots};
	l->gates.slots = calloc(h.n_slots + 1u, GS_SIZE);
	if (!l->gates.slots)
		return err_nomem();
	TRY(mem_read(p->pid, l->area.addr + PAGE + GH_SIZE, l->gates.slots,
		     h.n_slots * sizeof(*l->gates.slots)));
	while (l->gates.used < h.n_slots && l->gates.slots[l->gates.used].real)
		l->gates.used++;
	return NULL;
}

// The area that begins with mapping i: as far as the same file goes on.
static struct area extent(const struct maps *maps, size_t i)
{
	const struct mapping *m = &maps->v.v[i];
	taddr_t end = m->end;

	for (size_t k = i + 1; k < maps->v.n; k++) {
		const struct mapping *next = &maps->v.v[k];

		if (next->ino != m->ino || next->dev != m->dev || next->start != end ||
		    next->offset != end - m->start)
			break;
		end = next->end;
	}
	return (struct area){.addr = m->start, .stubs = PAGE, .size = end - m->start};
}

static struct err *find(struct process *p, leftover_list *list)
{
	struct maps maps;
	struct err *e = NULL;

	TRY(maps_read(p->pid, &maps));
	for (size_t i = 0; i < maps.v.n && !e; i++) {
		const struct mapping *m = &maps.v.v[i];
		bool is_gates = named(m, GATES_AREA_NAME);

		if (m->offset || !m->shared || (!is_gates && !named(m, COMMIT_AREA_NAME)))
			continue;
		e = vec_push(list, (struct leftover){.is_gates = is_gates,
						     .area = extent(&maps, i)});
		if (e)
			break;
		struct leftover *l = &list->v[list->n - 1];

		if (l->area.size > PAGE && l->area.size <= MAX_AREA)
			e = is_gates ? read_gates(p, l) : read_commit(p, &maps, l);
	}
	maps_deinit(&maps);
	return e;
}

// As it is now; its decision is the one that counts, be it shared.
static struct err *read_header(const struct process *p, const struct leftover *l,
			       struct commit_header *ret)
{
	TRY(mem_read(p->pid, l->area.addr + PAGE, ret, sizeof(*ret)));
	return mem_read(p->pid, l->word, &ret->decision, sizeof(ret->decision));
}

// A commit that is decided but not executed belongs to threads that wait in its gates (the whole process
// is in a job-control stop): it has to stay as it is.
static bool unfinished(const struct process *p, const struct leftover *l)
{
	struct commit_header h;

	if (!l->head.magic)
		return false;
	struct err *e = read_header(p, l, &h);
	if (e) {
		err_free(e);
		return true;
	}
	return (h.decision == COMMIT_DECIDED && !h.done) ||
	       (h.decision == COMMIT_UNDOING && !h.undone);
}

static void regs_from(struct thread *t, const struct thread_state_rec *s)
{
	struct user_regs_struct *r = &t->regs;

	r->r15 = s->r15, r->r14 = s->r14, r->r13 = s->r13, r->r12 = s->r12;
	r->r11 = s->r11, r->r10 = s->r10, r->r9 = s->r9, r->r8 = s->r8;
	r->rax = s->rax, r->rbx = s->rbx, r->rcx = s->rcx, r->rdx = s->rdx;
	r->rsi = s->rsi, r->rdi = s->rdi, r->rbp = s->rbp, r->rsp = s->rsp;
	r->rip = s->rip, r->eflags = s->flags;
	r->orig_rax = ~0ull;
	t->sigmask = s->sigmask;
	t->regs_dirty = t->mask_dirty = true;
}

static struct err *put_word(const struct process *p, taddr_t addr, uint32_t value)
{
	return mem_write(p->pid, addr, &value, sizeof(value));
}

// With all threads stopped: what their gates would have done first. *decided: they go the new way.
static struct err *finish_log(struct process *p, struct helper *h,
			      const struct leftover *l, bool *decided)
{
	struct commit_header head;
	uint64_t result;

	TRY(read_header(p, l, &head));
	*decided = head.decision == COMMIT_DECIDED;
	if (head.decision == COMMIT_UNDECIDED)
		return put_word(p, l->word, COMMIT_ABORTED);
	// Nobody is inside, so that a lock that was taken is that of a helper thread that ended.
	if (head.decision == COMMIT_DECIDED && !head.done) {
		TRY(put_word(p, l->area.addr + PAGE + CH_LOCK, 0));
		return helper_call(h, l->area.addr + payload_commit_redo, 0, RUN_NS,
				   &result);
	}
	if (head.decision == COMMIT_UNDOING && !head.undone) {
		TRY(put_word(p, l->area.addr + PAGE + CH_UNLOCK, 0));
		return helper_call(h, l->area.addr + payload_commit_undo, 0, RUN_NS,
				   &result);
	}
	return NULL;
}

static bool at_entry(const struct leftover *l, const struct thread *t)
{
	return t->regs.rip == l->area.addr + payload_commit_gate;
}

static bool same_code(const struct process *p, const struct leftover *l)
{
	uint8_t code[PAYLOAD_PAGE];
	size_t len = (size_t)(payload_commit_end - payload_commit);
	struct err *e = mem_read(p->pid, l->area.addr, code, len);

	if (e) {
		err_free(e);
		return false;
	}
	return !memcmp(code, payload_commit, len);
}

// Threads that stand in front of their gate since the tool died (the process is in a job-control stop):
// where they really are must not stay hidden from what comes next.
static struct err *pass_gates(struct process *p, struct helper *h,
			      const struct leftover *l)
{
	bool any = false, decided = false;

	vec_for_each(t, &p->threads)
		any |= t->state == THREAD_STOPPED && at_entry(l, t);
	if (!any)
		return NULL;
	TRY(finish_log(p, h, l, &decided));
	vec_for_each(t, &p->threads) {
		struct commit_record r;

		if (t->state != THREAD_STOPPED || !at_entry(l, t))
			continue;
		TRY(mem_read(p->pid, t->regs.r15, &r, sizeof(r)));
		if (r.tid != t->tid)
			return err_new(ERR_CORRUPT, "thread %d has the gate of thread %d",
				       t->tid, r.tid);
		regs_from(t, decided ? &r.new_state : &r.old_state);
	}
	return NULL;
}

// Whether a thread is on its way through the gate: it is out in a moment.
static bool passing(const struct process *p, const struct leftover *l)
{
	bool same = same_code(p, l);

	vec_for_each(t, &p->threads)
		if (t->state == THREAD_STOPPED && t->regs.rip - l->area.addr < PAGE &&
		    !(same && at_entry(l, t)))
			return true;
	return false;
}

static struct err *inspect(struct process *p, struct helper *h, leftover_list *list,
			   bool *again)
{
	*again = false;
	vec_for_each(l, list)
		*again |= !l->is_gates && passing(p, l);
	if (*again)
		return NULL;
	vec_for_each(l, list) {
		if (!l->is_gates) {
			TRY(pass_gates(p, h, l));
		} else if (l->gates.used) {
			l->gates.head = &l->gate_head;
			TRY(gates_withdraw(&l->gates));
		}
	}
	vec_for_each(l, list) {
		vec_for_each(t, &p->threads)
			if (t->state == THREAD_STOPPED && area_visited(p, &l->area, t))
				l->keep = true;
		l->keep |= unfinished(p, l);
	}
	return NULL;
}

// Stops the process, takes its threads out of what is left over, and lets it go on.
static struct err *settle_threads(struct process *p, struct helper *h, leftover_list *list)
{
	uint64_t deadline = monotonic_ns() + FREEZE_NS;
	const struct timespec nap = {.tv_nsec = 2000000};
	struct err *e;
	bool again;

	for (;;) {
		TRY(process_freeze(p, deadline, NULL));
		e = inspect(p, h, list, &again);
		e = err_first(e, process_thaw(p, NULL));
		if (e || !again)
			return e;
		if (monotonic_ns() >= deadline)
			return err_with(err_new(ERR_BUSY,
						"a thread stays in the gate of an "
						"earlier commit"),
					"busy", p->comm);
		nanosleep(&nap, NULL);
	}
}

static struct err *clear(struct process *p, struct helper *h, const struct leftover *l)
{
	struct area area = l->area;
	struct maps maps;
	struct err *e;

	if (l->keep)
		return NULL;
	if (l->head.n_ranges) {
		TRY(maps_read(p->pid, &maps));
		e = commit_unprotect(h, &maps, l->ranges, l->head.n_ranges);
		maps_deinit(&maps);
		if (e)
			return e;
	}
	return area_unmap(h, &area);
}

struct err *commit_recover(struct process *p, struct helper *h,
			   struct commit_leftover *ret)
{
	_cleanup_(leftover_list_deinit) leftover_list list = {0};
	struct err *e;

	*ret = (struct commit_leftover){0};
	TRY(ask_recover(p, h));
	TRY(find(p, &list));
	if (!list.n)
		return NULL;
	e = settle_threads(p, h, &list);
	vec_for_each(l, &list)
		ret->kept += l->keep;
	// Before the areas, which tell that there may be such a page. A forked child has it too.
	if (!e && !ret->kept)
		e = decision_unmap(p, h);
	vec_for_each(l, &list) {
		if (!e)
			e = clear(p, h, l);
		ret->commits += !l->is_gates;
		ret->committed += l->decided;
		ret->gate_areas += l->is_gates;
	}
	return err_wrap(e, "cannot clear what an earlier molt left in process %d", p->pid);
}
