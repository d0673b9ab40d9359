// SPDX-License-Identifier: LGPL-2.1-or-later
// Judging stacks; see judge.h.
#include "update/judge.h"
#include "util/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 2048 };

void verdicts_reset(struct verdicts *v)
{
	vec_for_each(o, &v->obstacles)
		vec_free(&o->stack);
	v->obstacles.n = 0;
	v->moves.n = 0;
	v->kept_old = 0;
}

void verdicts_deinit(struct verdicts *v)
{
	verdicts_reset(v);
	vec_free(&v->moves);
	vec_free(&v->obstacles);
}

struct err *judge_add(struct judge *j, struct plan *p)
{
	struct judge_unit u = {.p = p};

	vec_for_each(c, &p->diff->types.changes)
		u.layouts_differ |= c->verdict != TYPE_SAME && c->verdict != TYPE_ADDED &&
				    c->verdict != TYPE_REMOVED &&
				    c->verdict != TYPE_RENAMED;
	return vec_push(&j->units, u);
}

void judge_deinit(struct judge *j)
{
	vec_for_each(u, &j->units) {
		vec_free(&u->known);
		vec_free(&u->asked);
	}
	vec_free(&j->units);
}

static int by_pc(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	if (x->pc != y->pc)
		return x->pc < y->pc ? -1 : 1;
	return (int)x->exact - (int)y->exact;
}

const struct judged *judge_find(const struct judge_unit *u, vaddr_t pc, bool exact)
{
	struct judged key = {.pc = pc, .exact = exact};

	return u->known.n ? bsearch(&key, u->known.v, u->known.n, sizeof(key), by_pc)
			  : NULL;
}

// The unit in whose image that runs now the pc lies, with its vaddr of OLD there; NULL when it lies in none.
struct judge_unit *judge_in_current(const struct judge *j, taddr_t pc, vaddr_t *ret)
{
	vec_for_each(u, &j->units) {
		const struct module *old = u->p->subject->old;
		taddr_t base = subject_base(u->p->subject);

		if (pc < base || pc - base >= old->span)
			continue;
		*ret = pc - base;
		return module_region(old, *ret) == REGION_TEXT ? u : NULL;
	}
	return NULL;
}

// Whether the pc lies in an older image of a module of which variables move.
static bool in_older_image(const struct judge *j, taddr_t pc)
{
	vec_for_each(u, &j->units) {
		if (!u->p->moved.n)
			continue;
		vec_for_each(im, &u->p->subject->record->images)
			if (pc >= im->base && pc - im->base < im->span)
				return true;
	}
	return false;
}

struct cfi_question {
	const struct judge *j;
	const struct plan *p;
};

static bool cfi_same(vaddr_t old_pc, vaddr_t new_pc, void *arg)
{
	const struct cfi_question *q = arg;

	return cfi_equal_at(q->j->u, q->p->subject->old, old_pc, q->p->new, new_pc);
}

static struct err *answer(struct judge *j, struct judge_unit *u)
{
	struct cfi_question q = {.j = j, .p = u->p};

	vec_for_each(a, &u->asked) {
		uint32_t f = diff_old_func_at(u->p->diff, a->exact ? a->pc : a->pc - 1);

		if (judge_find(u, a->pc, a->exact))
			continue;
		TRY(frame_judge(u->p->diff, f, a->pc, a->exact, cfi_same, &q, &a->j));
		TRY(vec_push(&u->known, *a));
		qsort(u->known.v, u->known.n, sizeof(*u->known.v), by_pc);
	}
	u->asked.n = 0;
	return NULL;
}

struct err *judge_answer(struct judge *j)
{
	vec_for_each(u, &j->units)
		TRY(answer(j, u));
	return NULL;
}

static int frame_text(const struct frame *fr, char *buf, size_t size)
{
	struct source_pos pos = {0};

	if (!fr->module)
		return snprintf(buf, size, "0x%lx", fr->pc);
	vaddr_t look = fr->pc - fr->module->base - !fr->exact;
	const struct symbol *s = module_symbol_at(fr->module->file, look, 1u << STT_FUNC);
	const char *name = s ? s->name : "?";
	if (!dwarf_line(fr->module->file, look, &pos) || !pos.file)
		return snprintf(buf, size, "%s", name);
	return snprintf(buf, size, "%s (%s:%d)", name, path_base(pos.file), pos.line);
}

char *obstacle_text(const struct obstacle *o)
{
	char path[PATH_TEXT] = "", *text;
	size_t at = 0;

	for (size_t i = 0; i < o->stack.n && at + 1 < sizeof(path); i++) {
		int n = snprintf(path + at, sizeof(path) - at, "%s", i ? " < " : "");

		at += (size_t)n;
		if (at >= sizeof(path))
			break;
		n = frame_text(&o->stack.v[i], path + at, sizeof(path) - at);
		at += (size_t)n;
	}
	if (asprintf(&text, "%s; call path: %s", o->reason, path) < 0)
		return NULL;
	return text;
}

struct err *obstacle_add(struct verdicts *ret, struct obstacle *o, const struct frames *f)
{
	TRY(vec_reserve(&o->stack, f->v.n));
	memcpy(o->stack.v, f->v.v, f->v.n * sizeof(*f->v.v));
	o->stack.n = f->v.n;
	struct err *e = vec_push(&ret->obstacles, *o);
	if (e)
		vec_free(&o->stack);
	return e;
}

bool judge_is_kept(const struct judge *j, const struct judge_unit *u, uint32_t func)
{
	const char *name = func == NO_TWIN ? "" : u->p->diff->old_funcs.v[func].name;

	for (size_t i = 0; i < j->n_keep_old; i++)
		if (!strcmp(j->keep_old[i], name))
			return true;
	return false;
}

// Position in an unchanged function: the same instruction, or behind the same call. NOPs are not counted,
// so a pc on one means the instruction behind them.
static bool same_position(const struct diff *d, uint32_t func, vaddr_t pc, bool exact,
			  vaddr_t *ret)
{
	const struct func_pair *fp = diff_pair_of_old(d, func);
	const struct body *old = &d->old_funcs.v[func].body;

	if (!fp || fp->new == NO_TWIN || fp->verdict != FUNC_SAME)
		return false;
	const struct body *new = &d->new_funcs.v[fp->new].body;
	uint32_t i = exact ? body_index(old, pc) : body_index_ending(old, pc);
	if (i == UINT32_MAX && exact)
		for (uint32_t k = 0; k < old->insns.n && i == UINT32_MAX; k++)
			if (old->insns.v[k].addr > pc && k &&
			    old->insns.v[k - 1].addr + old->insns.v[k - 1].len <= pc &&
			    old->insns.v[k].addr - pc < 16)
				i = k;
	if (i >= new->insns.n)
		return false;
	*ret = new->insns.v[i].addr + (exact ? 0 : new->insns.v[i].len);
	return true;
}

// What becomes of one frame; sets *wait with the reason when it must return first.
static struct err *judge_frame(struct judge *j, struct judge_unit *u, pid_t tid,
			       const struct frame *fr, vaddr_t pc, struct verdicts *ret,
			       bool *wait, bool *unjudged, const char **reason)
{
	const struct diff *d = u->p->diff;
	uint32_t func = diff_old_func_at(d, fr->exact ? pc : pc - 1);
	struct frame_move m = {.tid = tid, .slot = fr->pc_slot, .from = fr->pc};
	vaddr_t to;

	*wait = true;
	*reason = "it is in a PLT entry or in code without a symbol";
	if (func == NO_TWIN)
		return NULL;
	if (u->p->refers_moved[func]) {
		*reason = "it may hold the address of a variable that moves";
		return NULL;
	}
	if (!u->layouts_differ && same_position(d, func, pc, fr->exact, &to)) {
		*wait = false;
		m.to = u->p->layout.base + to;
		return vec_push(&ret->moves, m);
	}
	const struct judged *known = judge_find(u, pc, fr->exact);
	if (!known) {
		struct judged ask = {.pc = pc, .exact = fr->exact};

		*unjudged = true;
		return vec_push(&u->asked, ask);
	}
	if (known->j.verdict != FRAME_WAIT) {
		*wait = false;
		m.to = u->p->layout.base + known->j.new_pc;
		return vec_push(&ret->moves, m);
	}
	*reason = known->j.reason;
	if (judge_is_kept(j, u, func)) {
		*wait = false;
		ret->kept_old++;
	}
	return NULL;
}

// A frame that works with the tables which the update changes, NULL for others: ld.so binds a slot, loads or looks up
// a module; libgcc carries an exception along return addresses that it read before.
static const char *runtime_at_work(const struct judge *j, const struct frame *fr)
{
	const struct target *t = j->units.v[0].p->subject->target;
	const struct loaded_module *m = fr->module;

	if (!m)
		return NULL;
	if (m->base <= t->links.r_debug && t->links.r_debug - m->base < m->file->span)
		return "ld.so is at work for it";
	return strstr(m->file->path, "libgcc_s.so") ? "an exception is on its way" : NULL;
}

// The outermost frame that must return, SIZE_MAX for none; the reason goes into `o`.
static struct err *judge_frames(struct judge *j, const struct frames *f,
				struct obstacle *o, struct verdicts *ret,
				size_t *outermost)
{
	*outermost = SIZE_MAX;
	for (size_t i = 0; i < f->v.n; i++) {
		const struct frame *fr = &f->v.v[i];
		bool wait = false;
		const char *reason = "";
		vaddr_t pc;

		struct judge_unit *u = judge_in_current(j, fr->pc, &pc);
		const char *runtime = u ? NULL : runtime_at_work(j, fr);
		if (runtime) {
			*outermost = i;
			snprintf(o->reason, sizeof(o->reason), "thread %d (%s): %s",
				 o->tid, o->comm, runtime);
			continue;
		}
		if (!u) {
			if (!in_older_image(j, fr->pc))
				continue;
			// A frame that an earlier update let go on in its old body.
			*outermost = i;
			snprintf(o->reason, sizeof(o->reason),
				 "thread %d (%s) is in code of an earlier generation, "
				 "which may "
				 "use a variable that moves",
				 o->tid, o->comm);
			continue;
		}
		TRY(judge_frame(j, u, o->tid, fr, pc, ret, &wait, &o->unjudged, &reason));
		if (!wait)
			continue;
		*outermost = i;
		const struct diff *d = u->p->diff;
		uint32_t func = diff_old_func_at(d, fr->exact ? pc : pc - 1);
		snprintf(o->reason, sizeof(o->reason), "thread %d (%s) is in %s: %s",
			 o->tid, o->comm,
			 func == NO_TWIN ? "code without a symbol"
					 : d->old_funcs.v[func].name,
			 reason);
	}
	return NULL;
}

struct err *judge_stack(struct judge *j, pid_t tid, const char *comm,
			const struct frames *f, struct verdicts *ret)
{
	struct obstacle o = {.tid = tid};
	size_t outermost;

	snprintf(o.comm, sizeof(o.comm), "%s", comm);
	TRY(judge_frames(j, f, &o, ret, &outermost));
	if (!f->complete) {
		snprintf(o.reason, sizeof(o.reason),
			 "thread %d (%s): its stack cannot be walked: %s", tid, comm,
			 f->why);
		o.unjudged = false;
		return obstacle_add(ret, &o, f);
	}
	if (outermost == SIZE_MAX)
		return NULL;
	if (outermost + 1 < f->v.n)
		o.gate_slot = f->v.v[outermost + 1].pc_slot;
	return obstacle_add(ret, &o, f);
}

bool stack_has(const struct judge *j, const struct frames *f, const char *func,
	       taddr_t *slot)
{
	vaddr_t pc;

	for (size_t i = 0; i + 1 < f->v.n; i++) {
		const struct judge_unit *u = judge_in_current(j, f->v.v[i].pc, &pc);
		if (!u)
			continue;
		const struct diff *d = u->p->diff;
		uint32_t k = diff_old_func_at(d, f->v.v[i].exact ? pc : pc - 1);
		if (k != NO_TWIN && !strcmp(d->old_funcs.v[k].name, func)) {
			*slot = f->v.v[i + 1].pc_slot;
			return true;
		}
	}
	return false;
}
