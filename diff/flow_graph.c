// SPDX-License-Identifier: LGPL-2.1-or-later
// The control-flow graph of one body, instruction by instruction.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

static bool is_part_end(const struct body *b, uint32_t i)
{
	vec_for_each(p, &b->parts)
		if (p->n && i == p->first + p->n - 1)
			return true;
	return i + 1 >= b->insns.n;
}

static bool falls_through(const struct body *b, uint32_t i)
{
	uint16_t flags = b->insns.v[i].flags;

	return !(flags & (INSN_JUMP | INSN_RET | INSN_STOP)) && !is_part_end(b, i);
}

struct edges {
	VEC(uint32_t) v;
	struct err *err;
};

static void add_edge(struct edges *e, uint32_t to, uint32_t n)
{
	if (!e->err && to < n)
		e->err = vec_push(&e->v, to);
}

// All entries of the tables that this indirect jump may use; false when there is none.
static bool add_table_edges(const struct body *b, uint32_t i, struct edges *e)
{
	bool any = false;

	vec_for_each(t, &b->tables) {
		if (t->jump != i || t->first > b->table_targets.n ||
		    b->table_targets.n - t->first < t->n)
			continue;
		any = true;
		for (uint32_t k = 0; k < t->n; k++)
			add_edge(e, b->table_targets.v[t->first + k],
				 (uint32_t)b->insns.n);
	}
	return any;
}

static void add_edges(const struct body *b, uint32_t i, struct edges *e)
{
	const struct insn *insn = &b->insns.v[i];

	if (falls_through(b, i))
		add_edge(e, i + 1, (uint32_t)b->insns.n);
	if ((insn->flags & (INSN_JUMP | INSN_COND)) && !(insn->flags & INSN_INDIRECT) &&
	    insn->ref == REF_BRANCH)
		add_edge(e, insn->target_index, (uint32_t)b->insns.n);
	if ((insn->flags & INSN_JUMP) && (insn->flags & INSN_INDIRECT))
		add_table_edges(b, i, e);
}

static struct err *build_successors(struct graph *g)
{
	struct edges e = {0};

	g->succ_at = calloc((size_t)g->n + 2, sizeof(*g->succ_at));
	if (!g->succ_at)
		return err_nomem();
	for (uint32_t i = 0; i < g->n; i++) {
		g->succ_at[i] = (uint32_t)e.v.n;
		add_edges(g->b, i, &e);
	}
	g->succ_at[g->n] = (uint32_t)e.v.n;
	g->succ = e.v.v;
	return e.err;
}

static struct err *build_predecessors(struct graph *g)
{
	uint32_t total = g->succ_at[g->n];

	g->pred_at = calloc((size_t)g->n + 2, sizeof(*g->pred_at));
	g->pred = calloc((size_t)total + 1, sizeof(*g->pred));
	if (!g->pred_at || !g->pred)
		return err_nomem();
	for (uint32_t k = 0; k < total; k++)
		g->pred_at[g->succ[k] + 2]++;
	for (uint32_t i = 2; i < g->n + 2; i++)
		g->pred_at[i] += g->pred_at[i - 1];
	for (uint32_t i = 0; i < g->n; i++)
		for (uint32_t k = g->succ_at[i]; k < g->succ_at[i + 1]; k++)
			g->pred[g->pred_at[g->succ[k] + 1]++] = i;
	return NULL;
}

// Whether a label's address may stand somewhere, as computed goto needs it.
static bool labels_taken(const struct graph *g)
{
	vec_for_each(i, &g->b->insns)
		if ((i->flags & INSN_LEA) && i->ref == REF_BRANCH)
			return true;
	vec_for_each(t, &g->b->tables)
		if (t->jump == UINT32_MAX)
			return true;
	if (!g->m->pie && g->m->type == ET_EXEC)
		return true; // absolute words carry no mark
	vec_for_each(r, &g->m->relocs) {
		vaddr_t to = r->sym_addr + (vaddr_t)r->addend;

		vec_for_each(p, &g->b->parts)
			if (to > p->addr && to - p->addr < p->size)
				return true;
	}
	return false;
}

// An indirect jump without a table is a tail call when the frame is gone and no label's address is taken.
static void check_indirect_jumps(struct graph *g)
{
	int labels = -1;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct insn *insn = &g->b->insns.v[i];

		if (!(insn->flags & INSN_JUMP) || !(insn->flags & INSN_INDIRECT) ||
		    g->succ_at[i] != g->succ_at[i + 1])
			continue;
		if (labels < 0)
			labels = labels_taken(g);
		if (g->facts[i].rsp == -8 && !labels)
			continue;
		snprintf(g->unprovable, sizeof(g->unprovable),
			 "nobody knows where the jump at 0x%" PRIx64 " leads", insn->addr);
	}
}

struct err *graph_create(const struct module *m, const struct body *b, struct graph **ret)
{
	enum { INSNS_MAX = 60000 };
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return err_nomem();
	g->m = m;
	g->b = b;
	g->n = b->insns.n < INSNS_MAX ? (uint32_t)b->insns.n : 0;
	TRY(build_successors(g));
	TRY(build_predecessors(g));
	TRY(facts_decode(g));
	TRY(stack_offsets(g));
	if (b->undecodable)
		snprintf(g->unprovable, sizeof(g->unprovable), "it cannot be decoded");
	else if (!g->n)
		snprintf(g->unprovable, sizeof(g->unprovable), "it is too large");
	else if (!g->unprovable[0])
		check_indirect_jumps(g);
	*ret = take_ptr(g);
	return NULL;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	free(g->facts);
	free(g->succ_at);
	free(g->succ);
	free(g->pred_at);
	free(g->pred);
	free(g);
}

void graph_freep(struct graph **g)
{
	graph_free(*g);
}

static struct err *reach(const uint32_t *at, const uint32_t *to, uint32_t n,
			 uint32_t from, uint32_t barrier, bool *mark)
{
	_cleanup_free_ uint32_t *work = malloc(((size_t)n + 1) * sizeof(*work));
	uint32_t len = 0;

	if (!work)
		return err_nomem();
	if (from < n && from != barrier) {
		mark[from] = true;
		work[len++] = from;
	}
	while (len) {
		uint32_t i = work[--len];

		for (uint32_t k = at[i]; k < at[i + 1]; k++) {
			if (mark[to[k]] || to[k] == barrier)
				continue;
			mark[to[k]] = true;
			work[len++] = to[k];
		}
	}
	return NULL;
}

struct err *graph_forward(const struct graph *g, uint32_t from, uint32_t barrier,
			  bool *mark)
{
	return reach(g->succ_at, g->succ, g->n, from, barrier, mark);
}

struct err *graph_backward(const struct graph *g, uint32_t to, bool *mark)
{
	return reach(g->pred_at, g->pred, g->n, to, NO_TWIN, mark);
}

bool graph_leaves(const struct graph *g, uint32_t i)
{
	uint16_t flags = g->b->insns.v[i].flags;

	return (flags & INSN_RET) ||
	       ((flags & INSN_JUMP) && g->succ_at[i] == g->succ_at[i + 1]) ||
	       ((flags & INSN_COND) && g->b->insns.v[i].ref != REF_BRANCH);
}

bool graph_decides(const struct graph *g, uint32_t i)
{
	return g->succ_at[i + 1] - g->succ_at[i] > 1 ||
	       (g->b->insns.v[i].flags & INSN_COND);
}
