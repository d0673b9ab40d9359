// SPDX-License-Identifier: LGPL-2.1-or-later
// What must be known of a process before its memory is searched for hidden stacks: where code is, where the
// threads' own stacks are, how glibc disguises the words of a jump buffer.
#include <string.h>
#include <sys/mman.h>

#include "process/memory.h"
#include "update/hidden_impl.h"

enum {
	GUARD_OFFSET =
		0x30, // of the pointer guard in the thread control block (glibc, tls.h)
	TCB_BYTES = 0x900, // of a struct pthread, in which its stack stands
	STACK_LEAST = 4096,
	ABOVE_TCB = 64 << 10,
	LONGEST_CALL = 7,
};

static const uint64_t STACK_MOST = 1ull << 36;

// The module that changes of which it is an image, or NULL.
static const struct judge_unit *image_at(const struct hidden *h, taddr_t addr)
{
	vec_for_each(u, &h->j->units)
		vec_for_each(im, &u->p->subject->record->images)
			if (addr >= im->base && addr - im->base < im->span)
				return u;
	return NULL;
}

static void widen(struct text *t, const struct mapping *m)
{
	if (!t->hi || m->start < t->lo)
		t->lo = m->start;
	if (m->end > t->hi)
		t->hi = m->end;
}

static struct err *learn_text(struct hidden *h)
{
	h->texts.n = 0;
	h->program = h->libraries = h->modules = (struct text){0};
	vec_for_each(m, &h->maps.v) {
		if (!(m->prot & PROT_EXEC) || m->start >> 63)
			continue;
		const struct judge_unit *u = image_at(h, m->start);
		bool exe = u && subject_is_exe(u->p->subject);

		TRY(vec_push(&h->texts, (struct text){m->start, m->end}));
		widen(exe ? &h->program : &h->libraries, m);
		if (u && !exe)
			widen(&h->modules, m);
	}
	return NULL;
}

// The fields stackblock and stackblock_size of glibc's struct pthread, found by what they say: a range that has
// the control block near its end.
static bool stack_of(const struct hidden *h, taddr_t tcb, struct native *ret)
{
	uint64_t w[TCB_BYTES / 8];
	struct err *e = mem_read(h->process->pid, tcb, w, sizeof(w));

	if (e) {
		err_free(e);
		return false;
	}
	for (size_t i = 3; i + 1 < ARRAY_SIZE(w); i++) {
		taddr_t end;

		if (w[i] < tcb && w[i + 1] >= STACK_LEAST && w[i + 1] < STACK_MOST &&
		    !__builtin_add_overflow(w[i], w[i + 1], &end) && end > tcb &&
		    end - tcb <= ABOVE_TCB && end - tcb >= TCB_BYTES / 2) {
			*ret = (struct native){.lo = w[i], .hi = end, .fs_base = tcb};
			return true;
		}
	}
	return false;
}

static struct err *learn_threads(struct hidden *h)
{
	h->natives.n = 0;
	vec_for_each(t, &h->process->threads) {
		struct native n = {0};

		if (!h->guard && t->regs.fs_base)
			err_free(mem_read(h->process->pid, t->regs.fs_base + GUARD_OFFSET,
					  &h->guard, sizeof(h->guard)));
		if (t->tid == h->process->pid) {
			vec_for_each(m, &h->maps.v)
				if (!strcmp(m->path, "[stack]"))
					n = (struct native){.lo = m->start,
							    .hi = m->end,
							    .fs_base = t->regs.fs_base};
		} else if (!t->regs.fs_base || !stack_of(h, t->regs.fs_base, &n)) {
			continue;
		}
		n.live = true;
		if (t->regs.rsp >= n.lo && t->regs.rsp < n.hi)
			n.sp = t->regs.rsp;
		TRY(vec_push(&h->natives, n));
	}
	return NULL;
}

struct err *hidden_learn(struct hidden *h)
{
	struct maps now = {0};

	TRY(maps_read(h->process->pid, &now));
	maps_deinit(&h->maps);
	h->maps = now;
	TRY(learn_text(h));
	return learn_threads(h);
}

struct err *hidden_add_dead(struct hidden *h, taddr_t tcb)
{
	struct native n;

	vec_for_each(known, &h->natives)
		if (known->fs_base == tcb)
			return NULL;
	return stack_of(h, tcb, &n) ? vec_push(&h->natives, n) : NULL;
}

const struct native *hidden_native_at(const struct hidden *h, taddr_t addr)
{
	vec_for_each(n, &h->natives)
		if (addr >= n->lo && addr < n->hi)
			return n;
	return NULL;
}

static bool is_text(const struct hidden *h, taddr_t addr)
{
	size_t lo = 0, hi = h->texts.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->texts.v[mid].hi <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < h->texts.n && h->texts.v[lo].lo <= addr;
}

// Intel SDM, CALL: e8 rel32, or ff /2 with any operand.
static bool ends_in_call(const uint8_t b[LONGEST_CALL])
{
	const uint8_t *end = b + LONGEST_CALL;

	if (end[-5] == 0xe8)
		return true;
	for (int len = 2; len <= LONGEST_CALL; len++) {
		uint8_t modrm = end[1 - len], mod = modrm >> 6, rm = modrm & 7;
		int want = 2 + (mod != 3 && rm == 4) + (mod == 1) + 4 * (mod == 2);

		if (mod == 0 && rm == 5)
			want += 4;
		if (mod == 0 && rm == 4 && len > 2 && (end[2 - len] & 7) == 5)
			want += 4;
		if (end[-len] == 0xff && ((modrm >> 3) & 7) == 2 && want == len)
			return true;
	}
	return false;
}

// Tables of functions hold entries, and the function before one may end in a call. That call does not return.
static bool is_entry(const struct hidden *h, taddr_t pc)
{
	const struct loaded_module *m = unwinder_module_at(h->j->u, pc);
	const struct symbol *s =
		m && m->file ? module_symbol_at(m->file, pc - m->base, 1u << STT_FUNC)
			     : NULL;

	return s && s->addr == pc - m->base;
}

static bool follows_call(const struct hidden *h, taddr_t pc)
{
	uint8_t b[LONGEST_CALL];

	if (!is_text(h, pc - 1) || !is_text(h, pc - LONGEST_CALL))
		return false;
	vec_for_each(u, &h->j->units) { // no system call for most
		vaddr_t at = pc - subject_base(u->p->subject);

		if (at < u->p->subject->old->span && at >= LONGEST_CALL)
			return ends_in_call(u->p->live + at - LONGEST_CALL);
	}
	struct err *e = mem_read(h->process->pid, pc - LONGEST_CALL, b, sizeof(b));
	if (!e)
		return ends_in_call(b);
	err_free(e);
	return false;
}

bool hidden_after_call(const struct hidden *h, taddr_t pc)
{
	return follows_call(h, pc) && !is_entry(h, pc);
}
