// SPDX-License-Identifier: LGPL-2.1-or-later
// What one pair of the product does to the places that hold equal values.
#include <stdlib.h>
#include <string.h>

#include "diff/flow_product.h"

enum pair_kind pair_kind_of(const struct flow *f, uint32_t n, uint32_t o)
{
	uint32_t near = flow_near(f, n);
	const struct facts *x = &f->new->facts[n], *y = &f->old->facts[o];

	if (near == o) {
		if (!flow_equal(f, n, o))
			return PAIR_CHANGED;
		for (unsigned i = 0; i < x->nmem; i++) // the same name of another place
			if (x->mem[i].on_stack != y->mem[i].on_stack ||
			    x->mem[i].offset != y->mem[i].offset)
				return PAIR_CHANGED;
		return PAIR_EQUAL;
	}
	if (near == NO_TWIN)
		return PAIR_INSERTED;
	return f->new_of[o] == NO_TWIN ? PAIR_DELETED : PAIR_DIVERGED;
}

static void blame(struct product *p, unsigned loc, uint32_t insn, bool in_new)
{
	if (!p->culprits[loc].set)
		p->culprits[loc] = (struct culprit){insn, in_new, true};
}

static void drop(struct product *p, struct locs *at, uint64_t regs,
		 const struct locs *slots, uint32_t insn, bool in_new)
{
	uint64_t gone = at->regs & regs;

	for (; gone; gone &= gone - 1)
		blame(p, (unsigned)__builtin_ctzll(gone), insn, in_new);
	at->regs &= ~regs;
	for (unsigned i = 0; slots && i < SLOT_WORDS; i++) {
		for (gone = at->slots[i] & slots->slots[i]; gone; gone &= gone - 1)
			blame(p, LOCS + i * 64 + (unsigned)__builtin_ctzll(gone), insn,
			      in_new);
		at->slots[i] &= ~slots->slots[i];
	}
}

// The object of the frame that an indexed access may reach.
static struct locs indexed_extent(const struct flow *f, int32_t offset)
{
	struct locs whole = {0}, ret = {0};

	slot_map_range(&f->slots, offset, flow_object_end(f, offset) - offset, &whole,
		       &ret);
	return ret;
}

// What a call leaves in clobbered registers and somebody reads by name.
static uint64_t results_read(const struct product *p, uint32_t insn, bool in_new)
{
	const struct graph *g = in_new ? p->f->new : p->f->old;
	const struct locs *named = in_new ? p->f->named_new : p->f->named_old;
	struct locs behind = flow_live_behind(g, named, insn);

	return LOC(GPR_RAX) | (behind.regs & LOC_CLOBBERED & ~LOC(LOC_FLAGS));
}

// All that the instruction writes holds something else now.
static void taint(struct product *p, struct locs *at, uint32_t insn, bool in_new)
{
	const struct graph *g = (in_new ? p->f->new : p->f->old);
	const struct facts *x = &g->facts[insn];
	bool call = g->b->insns.v[insn].flags & INSN_CALL;

	drop(p, at, x->kill | x->part, NULL, insn, in_new);
	if (g->b->insns.v[insn].flags &
	    INSN_SYSCALL) // the kernel leaves no news in these two
		at->regs |= LOC(GPR_RCX) | LOC(11);
	for (unsigned i = 0; i < x->nmem; i++) {
		struct locs touched = access_slots(p->f, &x->mem[i], false);

		if (!x->mem[i].write)
			continue;
		if (x->mem[i].on_stack && x->mem[i].indexed)
			touched = indexed_extent(p->f, x->mem[i].offset);
		if (x->mem[i].unknown)
			memset(&touched, 0xff, sizeof(touched));
		drop(p, at, 0, &touched, insn, in_new);
	}
	if (!call)
		return;
	// With -fipa-ra a caller may keep values in registers that a callee leaves alone; other clobbered
	// registers hold nothing that a correct program reads.
	drop(p, at, results_read(p, insn, in_new), NULL, insn, in_new);
	at->regs |= LOC_CLOBBERED & ~results_read(p, insn, in_new);
}

static bool subset(const uint64_t *a, const uint64_t *b)
{
	for (unsigned i = 0; i < SLOT_WORDS; i++)
		if (a[i] & ~b[i])
			return false;
	return true;
}

bool product_inputs_equal(const struct product *p, const struct locs *at, uint32_t n)
{
	const struct facts *x = &p->f->new->facts[n];
	uint16_t flags = p->f->new->b->insns.v[n].flags;
	struct locs slots;

	if (x->use & ~at->regs)
		return false;
	for (unsigned i = 0; i < x->nmem; i++) {
		const struct access *a = &x->mem[i];

		if (!a->read)
			continue;
		if (a->unknown)
			return false;
		slots = a->on_stack && a->indexed ? indexed_extent(p->f, a->offset)
						  : access_slots(p->f, a, false);
		if (!subset(slots.slots, at->slots))
			return false;
	}
	if ((flags & INSN_SYSCALL) && (LOC_SYSCALL_ARGS & ~at->regs))
		return false;
	if (!(flags & INSN_CALL))
		return true;
	if (LOC_ARGS & ~at->regs)
		return false;
	slots = (struct locs){0};
	if (x->rsp != STACK_UNKNOWN)
		slot_map_range(&p->f->slots, x->rsp, 48, &(struct locs){0}, &slots);
	return subset(slots.slots, at->slots);
}

static void transfer_equal(struct product *p, struct locs *at, uint32_t n)
{
	const struct facts *x = &p->f->new->facts[n];
	bool call = p->f->new->b->insns.v[n].flags &INSN_CALL;
	bool floats = call && (p->f->new->floats || p->f->old->floats) &&
		      (LOC_ARGS & LOC_VECTORS & ~at->regs);
	struct locs named;

	if (!product_inputs_equal(p, at, n)) {
		taint(p, at, n, true);
		// A floating result may be handed on to the next call without being named.
		if (floats)
			drop(p, at, LOC_RESULTS & LOC_VECTORS, NULL, n, true);
		return;
	}
	at->regs |= x->kill;
	for (unsigned i = 0; i < x->nmem; i++) {
		struct locs whole = access_slots(p->f, &x->mem[i], true), lost;

		if (!x->mem[i].write)
			continue;
		memset(&lost, 0xff, sizeof(lost));
		if (x->mem[i].unknown)
			drop(p, at, 0, &lost, n, true);
		for (unsigned k = 0; k < SLOT_WORDS; k++)
			at->slots[k] |= whole.slots[k];
	}
	if (!call)
		return;
	named = flow_live_behind(p->f->new, p->f->named_new, n);
	at->regs |= LOC_RESULTS | (LOC_CLOBBERED & ~named.regs);
}

struct locs product_transfer(struct product *p, const struct node *x, enum pair_kind kind)
{
	struct locs at = x->equal;

	switch (kind) {
	case PAIR_EQUAL:
		transfer_equal(p, &at, x->n);
		break;
	case PAIR_CHANGED:
		taint(p, &at, x->n, true);
		taint(p, &at, x->o, false);
		break;
	case PAIR_INSERTED:
		taint(p, &at, x->n, true);
		break;
	case PAIR_DELETED:
		taint(p, &at, x->o, false);
		break;
	case PAIR_DIVERGED:
		break;
	}
	return at;
}

void product_forget_written(struct product *p, struct locs *at, const bool *mark,
			    bool in_new)
{
	const struct graph *g = in_new ? p->f->new : p->f->old;

	for (uint32_t i = 0; i < g->n; i++) {
		if (!mark[i])
			continue;
		taint(p, at, i, in_new);
		// Where the ways meet again, what a call left behind differs too.
		if (g->b->insns.v[i].flags & INSN_CALL)
			drop(p, at, LOC_CLOBBERED, NULL, i, in_new);
	}
}
