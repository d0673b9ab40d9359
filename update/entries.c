// SPDX-License-Identifier: LGPL-2.1-or-later
// Entry jumps: every address by which the process may enter a function leads to its newest body.
#include <stdlib.h>
#include <string.h>

#include "update/caves.h"
#include "update/plan.h"

enum {
	JUMP_LEN = 5,  // e9 rel32
	ENDBR_LEN = 4, // f3 0f 1e fa stays first (indirect branch tracking)
	ENTRY_LEN = ENDBR_LEN + JUMP_LEN,
};

static const uint8_t endbr64[ENDBR_LEN] = {0xf3, 0x0f, 0x1e, 0xfa};

static bool is_padding(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0x90 && p[i] != 0xcc && p[i] != 0)
			return false;
	return true;
}

// Bytes at the entry that may be overwritten: the function itself and padding behind it. Padding of more
// than one byte is made of long NOPs, which end where the next function starts.
static uint64_t entry_room(const struct plan *p, const struct func *f)
{
	const struct module *old = p->subject->old;
	const struct symbol *next = NULL;

	if (f->size >= ENTRY_LEN)
		return f->size;
	vec_for_each(sym, &old->symbols)
		if (sym->addr > f->addr && sym->region == REGION_TEXT &&
		    (!next || sym->addr < next->addr))
			next = sym;
	vaddr_t end = next ? next->addr : f->addr + f->size;
	if (end > f->addr + 16)
		end = f->addr + 16;
	const uint8_t *pad = module_bytes(old, f->addr + f->size, end - f->addr - f->size);
	// A multi-byte NOP starts with 66 or 0f; a function would have a symbol there.
	if (pad && end > f->addr + f->size &&
	    (is_padding(pad, end - f->addr - f->size) || pad[0] == 0x66 || pad[0] == 0x0f))
		return end - f->addr;
	return f->size;
}

// A clone that gcc made for direct calls may have another calling convention in NEW. Only old code calls the
// old clone, with the old convention.
bool entry_is_left_out(const struct func_pair *fp, const struct func *old)
{
	return fp->verdict != FUNC_SAME && !old->address_taken && !old->in_dynsym &&
	       (strstr(old->name, ".isra.") || strstr(old->name, ".constprop.") ||
		strstr(old->name, ".part."));
}

// One place where the process may enter a function.
struct entry {
	const char *name;
	taddr_t at, to;
	bool needed; // whatever stands there now
	bool current; // in the image that runs now; others may hold a jump of an earlier update
	taddr_t body;  // that runs now
	uint64_t room; // in the image that runs now
	bool is_short; // that is not enough
};

static int by_address(const void *a, const void *b)
{
	taddr_t x = *(const taddr_t *)a, y = *(const taddr_t *)b;

	return x < y ? -1 : x > y;
}

static struct err *collect_entries(struct plan *p)
{
	vec_for_each(c, &p->layout.canonicals)
		TRY(vec_push(&p->entries, c->entry));
	vec_for_each(a, &p->layout.aliases)
		TRY(vec_push(&p->entries, a->entry));
	if (p->entries.n)
		qsort(p->entries.v, p->entries.n, sizeof(*p->entries.v), by_address);
	return NULL;
}

// Whether another function begins where a jump at [from, to) would be written.
static bool overlaps_entry(const struct plan *p, taddr_t from, taddr_t to)
{
	size_t lo = 0, hi = p->entries.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->entries.v[mid] <= from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->entries.n && p->entries.v[lo] < to;
}

static struct err *write_jump(struct plan *p, taddr_t at, const uint8_t *was, taddr_t to)
{
	int64_t rel = (int64_t)(to - (at + JUMP_LEN));
	int32_t rel32 = (int32_t)rel;
	uint8_t jump[8] = {0xe9};

	if (rel != rel32)
		return err_refuse("no-room", NULL,
				  "entry 0x%lx is more than 2 GB from the new image", at);
	memcpy(jump + 1, &rel32, sizeof(rel32));
	p->jumps++;
	return plan_patch(p, at, was, jump, JUMP_LEN, "entry jump");
}

// A function of an older image that has a short jump leads on by way of its cave.
static struct err *jump_in_older(struct plan *p, const struct entry *en, taddr_t cave)
{
	uint8_t was[JUMP_LEN];

	TRY(mem_read(p->subject->process->pid, cave, was, sizeof(was)));
	return write_jump(p, cave, was, en->to);
}

// A function too short for a jump: two bytes lead to padding nearby, which has it.
static struct err *jump_by_cave(struct plan *p, const struct entry *en)
{
	taddr_t base = subject_base(p->subject);
	bool endbr = !memcmp(p->live + (en->at - base), endbr64, ENDBR_LEN);
	taddr_t at = en->at + (endbr ? ENDBR_LEN : 0);
	bool fits = en->room >=
		    at - en->at + SHORT_JUMP_LEN; // else it would reach into the next one
	vaddr_t cave = fits ? cave_find(p, at - base + SHORT_JUMP_LEN) : 0;
	const uint8_t jump[SHORT_JUMP_LEN] = {
		0xeb, (uint8_t)(cave - (at - base + SHORT_JUMP_LEN))};

	if (!cave)
		return err_refuse(
			"short-function", en->name,
			"function %s is too short for the jump to its new body, "
			"and there is no room for one near it",
			en->name);
	TRY(write_jump(p, base + cave, p->live + cave, en->to));
	return plan_patch(p, at, p->live + (at - base), jump, SHORT_JUMP_LEN,
			  "entry jump");
}

static struct err *jump_at(struct plan *p, const struct entry *en)
{
	pid_t pid = p->subject->process->pid;
	uint8_t was[ENTRY_LEN];
	int off = 0;

	if (en->at == en->to) // an image of before: the body itself stands there again
		return NULL;
	TRY(mem_read(pid, en->at, was, sizeof(was)));
	if (!memcmp(was, endbr64, ENDBR_LEN))
		off = ENDBR_LEN;
	if (!en->current) {
		taddr_t cave = cave_of_jump(pid, en->at + (uint64_t)off, en->body);

		if (cave)
			return jump_in_older(p, en, cave);
	}
	if (!en->needed && (en->current || was[off] != 0xe9))
		return NULL;
	if (en->current && en->is_short)
		return jump_by_cave(p, en);
	if (overlaps_entry(p, en->at, en->at + (uint64_t)off + JUMP_LEN)) {
		if (!en->needed)
			return NULL;
		return err_refuse(
			"short-function", en->name,
			"function %s has no room for a jump at 0x%lx, where an older "
			"image has it",
			en->name, en->at);
	}
	return write_jump(p, en->at + (uint64_t)off, was + off, en->to);
}

static bool has_room(const struct plan *p, const struct func *old)
{
	bool endbr = old->size >= ENDBR_LEN &&
		     !memcmp(p->live + old->addr, endbr64, ENDBR_LEN);

	return entry_room(p, old) >= (endbr ? ENTRY_LEN : JUMP_LEN);
}

// An unchanged function that may be called by its address but has no place for a whole jump: its old body would
// run, and what unwinds the stack (exceptions, thread cancellation) finds no table for it there.
static bool must_unwind(const struct plan *p, const struct func *old)
{
	if (!(old->address_taken || old->in_dynsym) || !subject_unwinds(p->subject))
		return false;
	vec_for_each(i, &old->body.insns)
		if (i->flags & (INSN_CALL | INSN_JUMP)) // to where something may be thrown
			return true;
	return false;
}

// Whether it branches back into the place of a short jump, behind its beginning.
static bool branches_into_short(const struct plan *p, const struct func *old)
{
	bool endbr = old->size >= ENDBR_LEN &&
		     !memcmp(p->live + old->addr, endbr64, ENDBR_LEN);
	vaddr_t from = old->addr + (endbr ? ENDBR_LEN : 0);

	vec_for_each(i, &old->body.insns)
		if (i->ref == REF_BRANCH && i->target > from &&
		    i->target < from + SHORT_JUMP_LEN)
			return true;
	return false;
}

// The old body may still be entered by its address: by pointers, as an exported symbol, through entries of
// older images, from frames that go on in an old body. An unchanged function that nobody can reach so
// keeps its entry, and one too short for a jump, or that branches into it, goes on in its equal old body.
static struct err *plan_entry(struct plan *p, const struct func_pair *fp)
{
	const struct func *old = &p->diff->old_funcs.v[fp->old];
	const struct func *new = &p->diff->new_funcs.v[fp->new];
	taddr_t canonical = layout_function(&p->layout, new->addr);
	taddr_t current = subject_base(p->subject) + old->addr;
	bool must = fp->verdict != FUNC_SAME || p->refers_moved[fp->old];
	bool room = has_room(p, old), may = room && !old->body.branches_into_entry;
	const struct entry_alias *alias;
	size_t n = layout_aliases(&p->layout, new->addr, &alias);

	if (entry_is_left_out(fp, old))
		return NULL;
	struct entry en = {.name = old->name,
			   .at = canonical,
			   .to = p->layout.base + new->addr,
			   .current = canonical == current,
			   .body = current,
			   .room = entry_room(p, old),
			   .is_short = !room};
	en.needed = must || (may && (old->address_taken || old->in_dynsym));
	if (!en.needed && !may && must_unwind(p, old)) {
		if (branches_into_short(p, old))
			return err_refuse("short-function", old->name,
					  "function %s branches back into its first "
					  "bytes, where the jump to its new body goes",
					  old->name);
		en.needed = en.is_short = true;
	}
	TRY(jump_at(p, &en));
	for (size_t i = 0; i < n; i++) {
		en.at = alias[i].entry;
		en.current = en.at == current;
		en.needed = must;
		TRY(jump_at(p, &en));
	}
	return NULL;
}

struct err *plan_entries(struct plan *p)
{
	TRY(collect_entries(p));
	for (size_t i = 0; i < p->diff->funcs.n; i++) {
		const struct func_pair *fp = &p->diff->funcs.v[i];

		if (fp->old != NO_TWIN && fp->new != NO_TWIN)
			TRY(plan_entry(p, fp));
	}
	return NULL;
}
