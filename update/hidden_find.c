// SPDX-License-Identifier: LGPL-2.1-or-later
// Searching a process's memory for saved contexts and for words that look like return addresses.
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "process/memory.h"
#include "process/scan.h"
#include "update/hidden_impl.h"

enum {
	BLOCK = 32, // words that are looked at together
	CONTEXTS_MAX = 1 << 16,
	LOOSE_MAX = 1 << 16,
	ROTATION = 0x11, // glibc, PTR_MANGLE of x86-64
	WORD = 8,
	// A word of a ucontext_t that points into it: uc_mcontext.fpregs at 0xe0, __fpregs_mem at 0x1a8.
	FPREGS = 0xe0,
	FPREGS_POINTS = 0x1a8 - FPREGS,
	UCONTEXT_RIP = 168,
	// A thread control block begins with its own address and has it again here.
	TCB_SELF = 16,
	BELOW = 16 << 10, // the frames below a return address take no more than this
	SAVED_WORDS = 16, // that a switch pushes
};

struct find {
	struct hidden *h;
	const struct scan_piece *piece;
	// The second search: for pointers to what lies below a loose word.
	const struct loose *first, *end;
};

static uint64_t demangle(uint64_t guard, uint64_t w)
{
	return ((w >> ROTATION) | (w << (64 - ROTATION))) ^ guard;
}

static bool within(const struct text *t, uint64_t w)
{
	return w - t->lo < t->hi - t->lo;
}

static bool block_may_hit(const struct hidden *h, const uint64_t *w, taddr_t at)
{
	const struct text program = h->program, libraries = h->libraries,
			  modules = h->modules;
	bool any = false;

	for (unsigned i = 0; i < BLOCK; i++) {
		uint64_t d = demangle(h->guard, w[i]), self = w[i] - (at + i * WORD);

		any |= within(&program, w[i]) | within(&modules, w[i]) |
		       within(&program, d) | within(&libraries, d) | (self == 0) |
		       (self == FPREGS_POINTS);
	}
	return any;
}

static bool word_at(const struct find *f, taddr_t at, uint64_t *ret)
{
	const struct scan_piece *p = f->piece;

	if (at >= p->addr && (at - p->addr) / WORD < p->n) {
		*ret = p->words[(at - p->addr) / WORD];
		return true;
	}
	struct err *e = mem_read(f->h->process->pid, at, ret, sizeof(*ret));
	err_free(e);
	return !e;
}

static bool is_writable(const struct hidden *h, taddr_t addr)
{
	const struct mapping *m = maps_at(&h->maps, addr);

	return m && m->prot & 2;
}

static struct err *add_context(struct find *f, enum context_kind kind, taddr_t at)
{
	if (f->h->contexts.n >= CONTEXTS_MAX) {
		f->h->complete = false;
		return NULL;
	}
	return vec_push(&f->h->contexts, (struct context){.kind = kind, .at = at});
}

// A pointer in the initial data (a table of labels) is no return address.
static bool is_relocated(const struct hidden *h, taddr_t at)
{
	vec_for_each(u, &h->j->units) {
		const struct subject *s = u->p->subject;
		taddr_t base = subject_base(s);

		if (at - base < s->old->span)
			return module_reloc_at(s->old, at - base);
	}
	return false;
}

static struct err *look_plain(struct find *f, taddr_t at, uint64_t w)
{
	struct hidden *h = f->h;

	if (!(within(&h->program, w) || within(&h->modules, w)) ||
	    hidden_native_at(h, at) || !hidden_after_call(h, w) || is_relocated(h, at))
		return NULL;
	if (h->loose.n >= LOOSE_MAX) {
		h->complete = false;
		return NULL;
	}
	return vec_push(&h->loose, (struct loose){.slot = at, .pc = w});
}

static struct err *look_at_word(struct find *f, taddr_t at, uint64_t w)
{
	struct hidden *h = f->h;
	uint64_t d = demangle(h->guard, w), other;

	if (w == at && word_at(f, at + TCB_SELF, &other) && other == at)
		return hidden_add_dead(h, at);
	if (w - at == FPREGS_POINTS) {
		taddr_t pc = at - FPREGS + UCONTEXT_RIP;

		if (word_at(f, pc, &other) && hidden_after_call(h, other))
			TRY(add_context(f, CONTEXT_UCONTEXT, pc));
	}
	if ((within(&h->program, d) || within(&h->libraries, d)) &&
	    hidden_after_call(h, d) && word_at(f, at - WORD, &other) &&
	    is_writable(h, demangle(h->guard, other)))
		TRY(add_context(f, CONTEXT_JUMP, at));
	return look_plain(f, at, w);
}

static struct err *first_search(void *arg, const struct scan_piece *piece)
{
	struct find *f = arg;

	f->piece = piece;
	for (size_t i = 0; i + BLOCK <= piece->n; i += BLOCK) {
		taddr_t at = piece->addr + i * WORD;

		if (!block_may_hit(f->h, piece->words + i, at))
			continue;
		for (size_t k = i; k < i + BLOCK; k++)
			TRY(look_at_word(f, piece->addr + k * WORD, piece->words[k]));
	}
	return NULL;
}

// Whether [w, w + BELOW] has a loose word; they are sorted.
static bool is_below_loose(const struct find *f, uint64_t w)
{
	size_t lo = 0, hi = (size_t)(f->end - f->first);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->first[mid].slot < w)
			lo = mid + 1;
		else
			hi = mid;
	}
	return f->first + lo < f->end && f->first[lo].slot - w <= BELOW;
}

static struct err *second_search(void *arg, const struct scan_piece *piece)
{
	struct find *f = arg;
	struct text span = {f->first->slot - BELOW, f->end[-1].slot + 1};
	struct user_regs_struct regs;

	f->piece = piece;
	for (size_t i = 0; i < piece->n; i++) {
		struct context c = {.kind = CONTEXT_SWITCH, .at = piece->addr + i * WORD};

		if (!within(&span, piece->words[i]) || piece->words[i] % WORD ||
		    hidden_native_at(f->h, c.at) || !is_below_loose(f, piece->words[i]))
			continue;
		if (hidden_registers(f->h, &c, &regs))
			TRY(add_context(f, c.kind, c.at));
	}
	return NULL;
}

static int by_slot(const void *a, const void *b)
{
	const struct loose *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

// Words on stacks of ended threads that were met before their control blocks; and what may stay as it is.
static struct err *drop_harmless(struct hidden *h, bool *asked)
{
	size_t kept = 0;

	*asked = false;
	for (size_t i = 0; i < h->loose.n; i++) {
		struct loose l = h->loose.v[i];
		struct stay s;

		if (hidden_native_at(h, l.slot))
			continue;
		TRY(judge_stays(h->j, l.pc, false, &s));
		*asked |= s.unjudged;
		if (!s.may)
			h->loose.v[kept++] = l;
	}
	h->loose.n = kept;
	return NULL;
}

struct err *hidden_find(struct hidden *h, bool stopped, uint64_t limit)
{
	struct find f = {.h = h};
	bool complete, asked;

	h->contexts.n = h->loose.n = 0;
	h->complete = true;
	TRY(hidden_learn(h));
	TRY(scan_writable(h->process->pid, &h->maps, limit, first_search, &f, &complete));
	h->complete &= complete;
	TRY(drop_harmless(h, &asked));
	if (asked && !stopped) {
		TRY(judge_answer(h->j));
		TRY(drop_harmless(h, &asked));
	}
	if (!h->loose.n)
		return NULL;
	qsort(h->loose.v, h->loose.n, sizeof(*h->loose.v), by_slot);
	f.first = h->loose.v;
	f.end = h->loose.v + h->loose.n;
	TRY(scan_writable(h->process->pid, &h->maps, limit, second_search, &f, &complete));
	h->complete &= complete;
	return NULL;
}

// The word with the pc on a stack that a switch has left: the first that is one.
static bool switch_registers(const struct hidden *h, const struct context *c,
			     struct user_regs_struct *ret)
{
	uint64_t sp, w[SAVED_WORDS];
	struct err *e = mem_read(h->process->pid, c->at, &sp, sizeof(sp));

	if (!e)
		e = mem_read(h->process->pid, sp, w, sizeof(w));
	if (e) {
		err_free(e);
		return false;
	}
	for (size_t i = 0; i < SAVED_WORDS; i++) {
		if (!hidden_after_call(h, w[i]))
			continue;
		*ret = (struct user_regs_struct){.rip = w[i], .rsp = sp + (i + 1) * WORD};
		// The frame pointer, where there is one, is the saved word that leads up this stack.
		for (size_t k = 0; k < i; k++)
			if (w[k] > ret->rsp && w[k] - ret->rsp < BELOW)
				ret->rbp = w[k];
		return true;
	}
	return false;
}

bool hidden_registers(const struct hidden *h, const struct context *c,
		      struct user_regs_struct *ret)
{
	enum { BEFORE = 12 }; // words in front of the pc that hold registers
	uint64_t w[BEFORE + 1];
	const uint64_t *pc = w + BEFORE;

	if (c->kind == CONTEXT_SWITCH)
		return switch_registers(h, c, ret);
	struct err *e = mem_read(h->process->pid, c->at - BEFORE * WORD, w, sizeof(w));
	if (e) {
		err_free(e);
		return false;
	}
	if (c->kind == CONTEXT_UCONTEXT) // REG_R12 to REG_RIP of ucontext_t
		*ret = (struct user_regs_struct){.rip = *pc,
						 .rsp = pc[-1],
						 .rbx = pc[-5],
						 .rbp = pc[-6],
						 .r15 = pc[-9],
						 .r14 = pc[-10],
						 .r13 = pc[-11],
						 .r12 = pc[-12]};
	else // __jmp_buf: rbx, rbp, r12 to r15, rsp, rip
		*ret = (struct user_regs_struct){.rip = demangle(h->guard, *pc),
						 .rsp = demangle(h->guard, pc[-1]),
						 .rbx = pc[-7],
						 .rbp = demangle(h->guard, pc[-6]),
						 .r12 = pc[-5],
						 .r13 = pc[-4],
						 .r14 = pc[-3],
						 .r15 = pc[-2]};
	return hidden_after_call(h, ret->rip) && is_writable(h, ret->rsp);
}
