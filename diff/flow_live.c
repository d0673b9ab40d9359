// SPDX-License-Identifier: LGPL-2.1-or-later
// Which registers and words of the frame are still read, at each instruction.
#include <stdlib.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

enum { STACK_ARGS = 48 }; // bytes of arguments on the stack that a call is taken to read

struct live {
	const struct flow *f;
	const struct graph *g;
	bool named_only;
	struct locs sent; // words written through rsp: arguments on the stack are among them
	struct locs *before;
};

struct locs access_slots(const struct flow *f, const struct access *a, bool whole)
{
	struct locs w = {0}, t = {0};

	if (a->on_stack && !a->indexed && !a->lea)
		slot_map_range(&f->slots, a->offset, a->size, &w, &t);
	return whole ? w : t;
}

// Objects end where the next one begins whose address is taken, at the latest at the CFA.
int64_t flow_object_end(const struct flow *f, int32_t offset)
{
	vec_for_each(l, &f->new_leas)
		if (*l > offset)
			return *l;
	return offset < 0 ? 0 : INT32_MAX;
}

struct locs flow_escaped(const struct flow *f)
{
	struct locs whole = {0}, ret = {0};

	vec_for_each(l, &f->new_leas)
		slot_map_range(&f->slots, *l, flow_object_end(f, *l) - *l, &whole, &ret);
	return ret;
}

static void add_slots(struct locs *to, const struct locs *from)
{
	for (unsigned i = 0; i < SLOT_WORDS; i++)
		to->slots[i] |= from->slots[i];
}

static void remove_slots(struct locs *to, const struct locs *from)
{
	for (unsigned i = 0; i < SLOT_WORDS; i++)
		to->slots[i] &= ~from->slots[i];
}

// What a call reads that it does not name.
static void add_call_args(const struct live *l, uint32_t i, struct locs *at)
{
	int32_t rsp = l->g->facts[i].rsp;
	struct locs whole = {0}, args = {0};

	at->regs |= LOC_ARGS | LOC(GPR_RAX) | LOC(10);
	if (rsp == STACK_UNKNOWN) {
		add_slots(at, &l->sent);
		return;
	}
	slot_map_range(&l->f->slots, rsp, STACK_ARGS, &whole, &args);
	for (unsigned k = 0; k < SLOT_WORDS; k++)
		at->slots[k] |= args.slots[k] & l->sent.slots[k];
}

static struct locs step_back(const struct live *l, uint32_t i, struct locs at)
{
	const struct facts *f = &l->g->facts[i];
	uint16_t flags = l->g->b->insns.v[i].flags;

	at.regs &= ~f->kill;
	if (flags & INSN_CALL)
		at.regs &= ~LOC_CLOBBERED;
	for (unsigned k = 0; k < f->nmem; k++) {
		struct locs whole = access_slots(l->f, &f->mem[k], true);

		if (f->mem[k].write)
			remove_slots(&at, &whole);
	}
	at.regs |= f->use;
	for (unsigned k = 0; k < f->nmem; k++) {
		struct locs touched = access_slots(l->f, &f->mem[k], false);

		if (f->mem[k].read)
			add_slots(&at, &touched);
		if (f->mem[k].unknown && (f->mem[k].read || f->mem[k].lea))
			memset(at.slots, 0xff, sizeof(at.slots));
	}
	if (l->named_only)
		return at;
	if (flags & INSN_CALL)
		add_call_args(l, i, &at);
	if (flags & INSN_SYSCALL)
		at.regs |= LOC_SYSCALL_ARGS;
	if (graph_leaves(l->g, i)) {
		at.regs |= LOC_CALLEE_SAVED | LOC_RESULTS;
		if (!(flags & INSN_RET))
			add_call_args(l, i, &at);
	}
	return at;
}

struct locs flow_live_behind(const struct graph *g, const struct locs *live, uint32_t i)
{
	struct locs ret = {0};

	for (uint32_t k = g->succ_at[i]; k < g->succ_at[i + 1]; k++) {
		ret.regs |= live[g->succ[k]].regs;
		add_slots(&ret, &live[g->succ[k]]);
	}
	return ret;
}

static void collect_sent(struct live *l)
{
	for (uint32_t i = 0; i < l->g->n; i++) {
		const struct facts *f = &l->g->facts[i];

		for (unsigned k = 0; k < f->nmem; k++) {
			struct locs touched = access_slots(l->f, &f->mem[k], false);

			if (f->mem[k].write && f->mem[k].base == BASE_RSP)
				add_slots(&l->sent, &touched);
		}
	}
}

static bool update(struct live *l, uint32_t i)
{
	struct locs now = step_back(l, i, flow_live_behind(l->g, l->before, i));
	bool changed = memcmp(&now, &l->before[i], sizeof(now)) != 0;

	l->before[i] = now;
	return changed;
}

struct err *flow_liveness(const struct flow *f, const struct graph *g, bool named_only,
			  struct locs **ret)
{
	struct live l = {.f = f, .g = g, .named_only = named_only};
	_cleanup_free_ uint32_t *work = malloc(((size_t)g->n + 1) * sizeof(*work));
	_cleanup_free_ bool *queued = malloc((size_t)g->n + 1);
	uint32_t n = 0;

	l.before = calloc((size_t)g->n + 1, sizeof(*l.before));
	*ret = l.before;
	if (!work || !queued || !l.before)
		return err_nomem();
	collect_sent(&l);
	for (uint32_t i = 0; i < g->n; i++) { // the last one is taken first
		work[n++] = i;
		queued[i] = true;
	}
	while (n) {
		uint32_t i = work[--n];

		queued[i] = false;
		if (!update(&l, i))
			continue;
		for (uint32_t k = g->pred_at[i]; k < g->pred_at[i + 1]; k++) {
			if (!queued[g->pred[k]]) {
				queued[g->pred[k]] = true;
				work[n++] = g->pred[k];
			}
		}
	}
	return NULL;
}
