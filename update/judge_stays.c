// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames that nothing can move: may they go on in their old bodies? See judge.h.
#include <string.h>

#include "update/judge.h"

// gcc's clones for direct calls get no entry jump: an old caller goes on calling the old one.
static bool calls_old_clone(const struct judge_unit *u, uint32_t func)
{
	const struct diff *d = u->p->diff;

	vec_for_each(in, &d->old_funcs.v[func].body.insns) {
		if (in->ref != REF_CODE)
			continue;
		uint32_t callee = diff_old_func_at(d, in->target);
		const struct func_pair *fp =
			callee == NO_TWIN ? NULL : diff_pair_of_old(d, callee);
		if (fp && entry_is_left_out(fp, &d->old_funcs.v[callee]))
			return true;
	}
	return false;
}

static const struct judge_unit *in_older(const struct judge *j, taddr_t pc)
{
	vec_for_each(u, &j->units)
		vec_for_each(im, &u->p->subject->record->images)
			if (pc >= im->base && pc - im->base < im->span)
				return u;
	return NULL;
}

// Code of an earlier generation: the function is known by its name only.
static void stays_in_older(const struct judge *j, const struct judge_unit *u, taddr_t pc,
			   struct stay *ret)
{
	const struct diff *d = u->p->diff;
	const struct loaded_module *m = unwinder_module_at(j->u, pc);
	const struct symbol *s =
		m ? module_symbol_at(m->file, pc - 1 - m->base, 1u << STT_FUNC) : NULL;
	bool found = false, same = true;

	ret->reason = "it is code of an earlier generation, whose function changed";
	if (u->p->moved.n || !s)
		return;
	ret->func = s->name;
	for (uint32_t i = 0; i < d->old_funcs.n; i++) {
		const struct func_pair *fp = diff_pair_of_old(d, i);

		if (strcmp(d->old_funcs.v[i].name, s->name))
			continue;
		found = true;
		same &= fp && fp->verdict == FUNC_SAME && !u->p->refers_moved[i] &&
			!calls_old_clone(u, i);
	}
	ret->may = found && same && !u->layouts_differ;
}

// By the judgement of a frame that could be moved.
static struct err *ask(struct judge_unit *u, vaddr_t pc, bool exact, struct stay *ret)
{
	const struct judged *known = judge_find(u, pc, exact);

	if (!known) {
		struct judged question = {.pc = pc, .exact = exact};

		ret->unjudged = true;
		ret->reason = "it is not judged yet";
		return vec_push(&u->asked, question);
	}
	enum frame_verdict v = known->j.verdict;
	ret->may = v == FRAME_SAME || v == FRAME_NOTHING_LEFT;
	ret->reason = v == FRAME_WAIT
			      ? known->j.reason
			      : "what changed lies ahead of it, and a frame that no "
				"thread is in cannot be moved";
	return NULL;
}

struct err *judge_stays(struct judge *j, taddr_t pc, bool exact, struct stay *ret)
{
	vaddr_t at;
	struct judge_unit *u = judge_in_current(j, pc, &at);

	*ret = (struct stay){.func = "", .reason = "it is code without a symbol"};
	if (!u) {
		const struct judge_unit *older = in_older(j, pc);

		if (older)
			stays_in_older(j, older, pc, ret);
		else
			ret->may = true; // of no module that changes
		return NULL;
	}
	const struct diff *d = u->p->diff;
	uint32_t func = diff_old_func_at(d, exact ? at : at - 1);
	if (func == NO_TWIN)
		return NULL;
	ret->func = d->old_funcs.v[func].name;
	ret->reason = "it may hold the address of a variable that moves";
	if (u->p->refers_moved[func])
		return NULL;
	ret->may = judge_is_kept(j, u, func);
	if (ret->may)
		return NULL;
	ret->reason = "it calls a function that has no jump to its new body";
	if (calls_old_clone(u, func))
		return NULL;
	const struct func_pair *fp = diff_pair_of_old(d, func);
	ret->may = !u->layouts_differ && fp && fp->verdict == FUNC_SAME;
	return ret->may ? NULL : ask(u, at, exact, ret);
}
