// SPDX-License-Identifier: LGPL-2.1-or-later
// Could the new code have come to this place with the state that the old code made? Then the frame may go
// on there. Nothing must be live that differing code made (the state), and no differing check, call or
// store may lie on the way from the function's entry to the place (the way).
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"
#include "util/path.h"

struct prefix {
	const struct flow *f;
	const struct place *at;
	bool *new_before,
		*old_before; // on a way from the entry that does not pass the place
	bool refused;
	char *why;
	size_t size;
};

static void refuse(struct prefix *p, const char *fmt, ...) printf_like(2, 3);

static void refuse(struct prefix *p, const char *fmt, ...)
{
	va_list ap;

	if (p->refused)
		return;
	p->refused = true;
	va_start(ap, fmt);
	vsnprintf(p->why, p->size, fmt, ap);
	va_end(ap);
}

struct where {
	char text[80];
};

static struct where where(const struct prefix *p, uint32_t insn, bool in_new)
{
	const struct module *m = in_new ? p->f->d->new : p->f->d->old;
	const struct func *fn = in_new ? p->f->new_fn : p->f->old_fn;
	vaddr_t addr = fn->body.insns.v[insn].addr;
	struct source_pos pos;
	struct where w;

	if (!dwarf_line(m, addr, &pos) || !pos.file) {
		snprintf(w.text, sizeof(w.text), "0x%" PRIx64, addr);
		return w;
	}
	snprintf(w.text, sizeof(w.text), "%.40s:%d", path_base(pos.file), pos.line);
	return w;
}

static struct err *mark_before(struct prefix *p)
{
	struct {
		const struct graph *g;
		uint32_t to;
		bool **ret;
	} sides[] = {{p->f->new, p->at->n, &p->new_before},
		     {p->f->old, p->at->o, &p->old_before}};

	for (unsigned i = 0; i < ARRAY_SIZE(sides); i++) {
		size_t n = (size_t)sides[i].g->n + 1;
		_cleanup_free_ bool *back = calloc(n, 1);

		*sides[i].ret = calloc(n, 1);
		if (!back || !*sides[i].ret)
			return err_nomem();
		TRY(graph_forward(sides[i].g, 0, sides[i].to, *sides[i].ret));
		TRY(graph_backward(sides[i].g, sides[i].to, back));
		for (size_t k = 0; k < n; k++)
			(*sides[i].ret)[k] &= back[k];
	}
	return NULL;
}

// A store that other code can see. Words of the frame are looked at by their contents.
static bool stores(const struct facts *f)
{
	for (unsigned i = 0; i < f->nmem; i++)
		if (f->mem[i].write && !f->mem[i].on_stack)
			return true;
	return false;
}

static bool acts(const struct graph *g, uint32_t i)
{
	return (g->b->insns.v[i].flags & (INSN_CALL | INSN_SYSCALL)) ||
	       stores(&g->facts[i]);
}

// A store of another constant to the same place, as against a store to another place.
static bool same_place(const struct flow *f, uint32_t n, uint32_t o)
{
	const struct insn *x = &f->new->b->insns.v[n], *y = &f->old->b->insns.v[o];
	struct var_reading a, b;
	const struct var_pair *pair;

	if (x->ref == REF_NONE && y->ref == REF_NONE)
		return true;
	if (x->ref != REF_DATA || y->ref != REF_DATA)
		return false;
	a = diff_new_var_at(f->d, x->target);
	b = diff_old_var_at(f->d, y->target);
	if (a.inside == NO_TWIN || b.inside == NO_TWIN)
		return false;
	pair = diff_var_of_new(f->d, a.inside);
	return pair && pair->old == b.inside &&
	       x->target - f->d->new_vars.v[a.inside].addr ==
		       y->target - f->d->old_vars.v[b.inside].addr;
}

static void check_new_insn(struct prefix *p, uint32_t n)
{
	const struct flow *f = p->f;
	uint32_t o = flow_near(f, n);

	if (product_branch_differs(f->product, n))
		refuse(p, "the check at %s before this point differs",
		       where(p, n, true).text);
	if (o == NO_TWIN && acts(f->new, n))
		refuse(p, "new code before this point at %s would be skipped",
		       where(p, n, true).text);
	if (o == NO_TWIN || flow_equal(f, n, o) || !acts(f->new, n))
		return;
	if ((f->new->b->insns.v[n].flags &INSN_CALL) || !same_place(f, n, o))
		refuse(p, "the %s before this point at %s has another target",
		       f->new->b->insns.v[n].flags &INSN_CALL ? "call" : "store",
		       where(p, n, true).text);
}

static void check_old_insn(struct prefix *p, uint32_t o)
{
	const struct graph *g = p->f->old;

	if (p->f->new_of[o] != NO_TWIN)
		return;
	if (acts(g, o))
		refuse(p, "code before this point at %s is gone in the new program",
		       where(p, o, false).text);
	else if (g->succ_at[o + 1] - g->succ_at[o] > 1 ||
		 (g->b->insns.v[o].flags & INSN_COND))
		refuse(p, "the check before this point at %s is gone in the new program",
		       where(p, o, false).text);
}

static void name_register(unsigned loc, char *buf, size_t size)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp",	    "rbp",
					    "rsi", "rdi", "r8",	 "r9",	"r10",	    "r11",
					    "r12", "r13", "r14", "r15", "the flags"};

	if (loc < ARRAY_SIZE(names))
		snprintf(buf, size, "%s", names[loc]);
	else if (loc < LOC_X87)
		snprintf(buf, size, "xmm%u", loc - LOC_VECTOR);
	else if (loc >= LOCS && loc - LOCS < SLOTS)
		snprintf(buf, size, "a local variable");
	else
		snprintf(buf, size, "a register");
}

static void refuse_live(struct prefix *p, unsigned loc)
{
	struct culprit c = product_culprit(p->f->product, loc);
	char name[24];

	name_register(loc, name, sizeof(name));
	if (c.set)
		refuse(p, "%s is live here and %s code at %s made it", name,
		       c.in_new ? "differing" : "removed",
		       where(p, c.insn, c.in_new).text);
	else
		refuse(p, "%s is live here and differs", name);
}

static void check_live(struct prefix *p, const struct locs *need, const struct locs *equal)
{
	uint64_t bad = need->regs & ~equal->regs & LOC_ALL & ~LOC(GPR_RSP);

	if (bad)
		refuse_live(p, (unsigned)__builtin_ctzll(bad));
	for (unsigned i = 0; i < SLOT_WORDS && !p->refused; i++) {
		bad = need->slots[i] & ~equal->slots[i];
		if (bad)
			refuse_live(p, LOCS + 64 * i + (unsigned)__builtin_ctzll(bad));
	}
}

// A register that calls may clobber lives across this one only when the callee is known to leave it alone
// (-fipa-ra). The old callee runs: it keeps what the old caller needed, no more.
static void check_clobbered(struct prefix *p)
{
	const struct flow *f = p->f;
	struct locs new = flow_live_behind(f->new, f->named_new, p->at->n);
	struct locs old = flow_live_behind(f->old, f->named_old, p->at->o);
	uint64_t bad = new.regs & ~old.regs &LOC_CLOBBERED & ~LOC_RESULTS;
	char name[24];

	if (!bad || !(f->new->b->insns.v[p->at->n].flags &INSN_CALL))
		return;
	name_register((unsigned)__builtin_ctzll(bad), name, sizeof(name));
	refuse(p, "the new code expects %s to survive the call", name);
}

static bool has_lea(const int32_t *v, size_t n, int32_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == offset)
			return true;
	return false;
}

static void check_layout(struct prefix *p)
{
	const struct flow *f = p->f;

	vec_for_each(l, &f->new_leas)
		if (!has_lea(f->old_leas.v, f->old_leas.n, *l))
			refuse(p, "the old frame has no object at CFA%+d as the new one",
			       *l);
}

static struct err *check_choices(struct prefix *p)
{
	for (unsigned i = 0; i < 2 && !p->refused; i++) {
		uint32_t check;

		TRY(flow_differing_choice(p->f, p->at, i == 0, &check));
		if (check != NO_TWIN)
			refuse(p, "what is live here depends on the check at %s, which differs",
			       where(p, check, i == 0).text);
	}
	return NULL;
}

static struct locs live_at(const struct flow *f, const struct place *at)
{
	struct locs escaped = flow_escaped(f);
	struct locs need = at->behind ? flow_live_behind(f->new, f->live_new, at->n)
				      : f->live_new[at->n];

	for (unsigned i = 0; i < SLOT_WORDS; i++)
		need.slots[i] |= escaped.slots[i];
	return need;
}

static bool equal_at(struct product *product, const struct place *at, struct locs *ret)
{
	return at->behind ? product_behind(product, at->n, at->o, ret)
			  : product_before(product, at->n, at->o, ret);
}

static bool misses_slots(const struct locs *need, const struct locs *equal)
{
	for (unsigned i = 0; i < SLOT_WORDS; i++)
		if (need->slots[i] & ~equal->slots[i])
			return true;
	return false;
}

// Objects whose address is taken are memory like any other: what earlier rounds of a loop through the
// place left in them is history, as it is for the heap. What counts is the state they had when the place
// was reached for the first time.
static struct err *forgive_history(const struct prefix *p, const struct locs *need,
				   struct locs *equal)
{
	const struct flow *f = p->f;
	struct locs escaped = flow_escaped(f), first;
	struct product *once = NULL;
	struct err *err;

	if (!misses_slots(need, equal))
		return NULL;
	err = product_walk(f, p->at, &once);
	if (!err && !product_unprovable(once) && equal_at(once, p->at, &first))
		for (unsigned i = 0; i < SLOT_WORDS; i++)
			equal->slots[i] |= first.slots[i] & escaped.slots[i];
	product_free(once);
	return err;
}

static struct err *check_state(struct prefix *p)
{
	const struct flow *f = p->f;
	const char *unprovable = product_unprovable(f->product);
	struct locs equal, need = live_at(f, p->at);

	if (unprovable) {
		refuse(p, "%s", unprovable);
		return NULL;
	}
	if (!equal_at(f->product, p->at, &equal)) {
		refuse(p, "the way from the function's entry to this point differs");
		return NULL;
	}
	TRY(forgive_history(p, &need, &equal));
	check_live(p, &need, &equal);
	return NULL;
}

static bool reads_escaped(const struct flow *f, uint32_t n, const struct locs *escaped)
{
	const struct facts *x = &f->new->facts[n];

	for (unsigned i = 0; i < x->nmem; i++) {
		struct locs touched = access_slots(f, &x->mem[i], false);

		for (unsigned k = 0; x->mem[i].read && k < SLOT_WORDS; k++)
			if (touched.slots[k] & escaped->slots[k])
				return true;
	}
	return false;
}

// Without type information an object that others filled in may have another layout in the new program;
// code ahead that looks at it in another way tells so.
static struct err *check_objects(struct prefix *p)
{
	const struct flow *f = p->f;
	struct locs escaped = flow_escaped(f);
	_cleanup_free_ bool *ahead = calloc((size_t)f->new->n + 1, 1);

	if (!ahead)
		return err_nomem();
	if (f->d->types.old_has_dwarf && f->d->types.new_has_dwarf)
		return NULL;
	TRY(graph_forward(f->new, p->at->n, NO_TWIN, ahead));
	for (uint32_t n = 0; n < f->new->n && !p->refused; n++) {
		uint32_t o = flow_near(f, n);

		if (ahead[n] && (o == NO_TWIN || !flow_equal(f, n, o)) &&
		    reads_escaped(f, n, &escaped))
			refuse(p, "an object of the frame is used in another way at %s",
			       where(p, n, true).text);
	}
	return NULL;
}

static struct err *check_way(struct prefix *p)
{
	struct err *err = mark_before(p);

	for (uint32_t i = 0; !err && i < p->f->new->n && !p->refused; i++)
		if (p->new_before[i])
			check_new_insn(p, i);
	for (uint32_t i = 0; !err && i < p->f->old->n && !p->refused; i++)
		if (p->old_before[i])
			check_old_insn(p, i);
	free(p->new_before);
	free(p->old_before);
	if (product_diverged(p->f->product, p->at->n, p->at->o))
		refuse(p, "the way from the function's entry to this point differs");
	return err;
}

struct err *flow_state_equal(const struct flow *f, const struct place *at, bool *ret,
			     char *why, size_t size)
{
	struct prefix p = {.f = f, .at = at, .why = why, .size = size};

	TRY(check_state(&p));
	check_clobbered(&p);
	check_layout(&p);
	TRY(check_choices(&p));
	*ret = !p.refused;
	return NULL;
}

struct err *flow_way_equal(const struct flow *f, const struct place *at, bool *ret,
			   char *why, size_t size)
{
	struct prefix p = {.f = f, .at = at, .why = why, .size = size};

	TRY(check_objects(&p));
	TRY(check_way(&p));
	*ret = !p.refused;
	return NULL;
}
