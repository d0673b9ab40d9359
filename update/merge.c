// SPDX-License-Identifier: LGPL-2.1-or-later
// Three-way merge of initial data (design 2, point 5): base = OLD's file, ours = the process, theirs = NEW's
// file. By DWARF member where the type is known, else by word.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "elf/type_fields.h"
#include "update/initial.h"
#include "update/pointers.h"
#include "util/cleanup.h"

enum {
	STRING_MAX = 4096,
	WINDOW = 1 << 18, // bytes of a variable that are looked at at once
};

// A variable being merged.
struct merging {
	struct plan *p;
	const struct var *old, *new;
	taddr_t ours; // where its bytes are now
	taddr_t dest; // where they will be; differs from `ours` for a moved variable
	struct commit *carry; // moved: patches go here, inside the stop
	uint64_t now_size;    // how much of it both programs have
	uint8_t *window;      // its bytes in the process, from `begin` on
	uint64_t begin, in_window;
	bool conflict; // of the unit at hand
	bool differs;  // some word of the unit differs in both files
	bool touched;  // the process has changed some word of it
};

static void put(uint8_t *to, uint64_t value, uint8_t len)
{
	memcpy(to, &value, len);
}

// Whether an address lies in read-only memory of a program that is or was mapped.
static bool in_constants(const struct plan *p, taddr_t addr)
{
	const struct mapping *m = maps_at(&p->subject->target->maps, addr);

	if (!m || (m->prot & PROT_WRITE))
		return false;
	vec_for_each(im, &p->subject->record->images)
		if (addr >= im->base && addr - im->base < im->span)
			return true;
	return false;
}

// The process may hold a pointer to an equal string of an older image: it was never changed. An equal string on
// the heap is the program's own.
static struct err *points_to_string(const struct plan *p, uint64_t ours, const char *s,
				    bool *ret)
{
	char buf[STRING_MAX];

	*ret = false;
	if (!s || strlen(s) >= sizeof(buf) || !in_constants(p, ours))
		return NULL;
	struct err *e = mem_read_string(p->subject->process->pid, ours, buf, sizeof(buf));
	if (e)
		err_free(e);
	else
		*ret = !strcmp(buf, s);
	return NULL;
}

// Whether a word is as OLD's file initialised it.
static struct err *is_pristine(const struct plan *p, const struct initial_word *base,
			       uint64_t ours, bool *ret)
{
	uint64_t value;
	bool known;

	TRY(initial_value_old(p, base, &value, &known));
	*ret = known && ours == value;
	if (*ret)
		return NULL;
	return points_to_string(p, ours, initial_string(p->subject->old, base), ret);
}

static struct err *begin_merging(struct merging *m)
{
	m->now_size = m->old->size < m->new->size ? m->old->size : m->new->size;
	m->window = malloc(m->now_size < WINDOW ? m->now_size + 1 : WINDOW);
	return m->window ? NULL : err_nomem();
}

// Some bytes of the variable in the process.
static struct err *ours_at(struct merging *m, uint64_t off, uint8_t len, uint64_t *ret)
{
	if (off < m->begin || off + len > m->begin + m->in_window) {
		uint64_t left = m->now_size - off;

		m->begin = off;
		m->in_window = left < WINDOW ? left : WINDOW;
		TRY(mem_read(m->p->subject->process->pid, m->ours + off, m->window,
			     m->in_window));
	}
	*ret = 0;
	memcpy(ret, m->window + (off - m->begin), len);
	return NULL;
}

// One word in place: ours == base takes theirs, else ours stays.
static struct err *merge_word(struct merging *m, uint64_t off, uint8_t len)
{
	struct plan *p = m->p;
	struct initial_word base = initial_word(p->subject->old, m->old->addr + off, len);
	struct initial_word theirs = initial_word(p->new, m->new->addr + off, len);
	uint64_t ours, their_value;
	bool known, pristine;

	TRY(ours_at(m, off, len, &ours));
	TRY(is_pristine(p, &base, ours, &pristine));
	m->touched |= !pristine;
	if (initial_equal(p, &base, &theirs))
		return NULL;
	m->differs = true;
	TRY(initial_value_new(p, &theirs, &their_value, &known));
	if (known && ours == their_value)
		return NULL;
	if (!known || !pristine) {
		m->conflict = true;
		return NULL;
	}
	uint8_t old_bytes[8], new_bytes[8];
	put(old_bytes, ours, len);
	put(new_bytes, their_value, len);
	p->merged++;
	return plan_patch(p, m->dest + off, old_bytes, new_bytes, len, "initial data");
}

// The new image already holds theirs; a word the process has changed is carried over.
static struct err *carry_word(struct merging *m, uint64_t off, uint8_t len)
{
	struct plan *p = m->p;
	struct initial_word base = initial_word(p->subject->old, m->old->addr + off, len);
	uint64_t ours, base_value, image_value = 0;
	bool base_known;

	TRY(ours_at(m, off, len, &ours));
	TRY(initial_value_old(p, &base, &base_value, &base_known));
	if (base_known && ours == base_value)
		return NULL;
	memcpy(&image_value, p->image + m->new->addr + off, len);
	if (ours == image_value)
		return NULL;
	struct patch patch = {.addr = m->dest + off, .len = len, .what = "moved variable"};
	put(patch.old_bytes, image_value, len);
	put(patch.new_bytes, ours, len);
	return commit_add(m->carry, &patch);
}

// One member (a number, a pointer, a string, a union): taken as a whole or not at all.
static struct err *merge_unit(struct merging *m, uint64_t off, uint64_t size)
{
	size_t mark = m->p->patches.n, merged = m->p->merged;

	m->conflict = m->differs = m->touched = false;
	for (uint64_t at = off; at < off + size;) {
		uint64_t left = off + size - at;
		uint8_t len = (uint8_t)(left < 8 - at % 8 ? left : 8 - at % 8);

		TRY(m->carry ? carry_word(m, at, len) : merge_word(m, at, len));
		at += len;
	}
	if (!m->conflict && !(m->differs && m->touched && m->p->patches.n > mark))
		return NULL;
	m->p->patches.n = mark;
	m->p->merged = merged;
	m->p->conflicts++;
	return plan_note(
		m->p,
		"%s+%lu: the process has changed it, and so did NEW's initial value: "
		"the process's value stays",
		m->new->name, off);
}

static struct err *merge_by_word(struct merging *m)
{
	for (uint64_t off = 0; off < m->now_size; off += 8)
		TRY(merge_unit(m, off, m->now_size - off < 8 ? m->now_size - off : 8));
	return NULL;
}

static struct err *merge_units(struct merging *m)
{
	struct type_fields fields = {0};
	struct err *e = NULL;

	if (!m->new->type_die)
		return merge_by_word(m);
	TRY(type_fields(&m->p->diff->new_names, m->new->type_die, m->now_size, &fields));
	if (!fields.v.n)
		e = merge_by_word(m);
	vec_for_each(f, &fields.v)
		if (!e && !f->is_padding && f->offset < m->now_size &&
		    f->size <= m->now_size - f->offset)
			e = merge_unit(m, f->offset, f->size);
	type_fields_deinit(&fields);
	return e;
}

// What a variable grew into is padding: it takes theirs.
static struct err *fill_growth(struct merging *m)
{
	uint8_t now[8];

	if (m->dest != m->ours)
		return NULL;
	for (uint64_t off = m->now_size; off < m->new->size;) {
		uint64_t left = m->new->size - off, value;
		uint8_t len = (uint8_t)(left < 8 - off % 8 ? left : 8 - off % 8);
		struct initial_word theirs =
			initial_word(m->p->new, m->new->addr + off, len);
		bool known;

		TRY(initial_value_new(m->p, &theirs, &value, &known));
		if (!known)
			return err_refuse(
				"var-resized", m->new->name,
				"variable %s grows, and what its new part holds "
				"is not known before it runs",
				m->new->name);
		TRY(mem_read(m->p->subject->process->pid, m->dest + off, now, len));
		TRY(plan_patch(m->p, m->dest + off, now, &value, len, "grown variable"));
		off += len;
	}
	return NULL;
}

// True when a relocated word of the variable leads to something that moved.
static bool leads_to_moved(const struct plan *p, const struct var *new)
{
	for (size_t i = module_reloc_lower_bound(p->new, new->addr); i < p->new->relocs.n;
	     i++) {
		const struct reloc *r = &p->new->relocs.v[i];

		if (r->addr >= new->addr + new->size)
			break;
		vaddr_t at = (r->sym_defined ? r->sym_addr : 0) + (uint64_t)r->addend;
		struct var_reading vr = diff_new_var_at(p->diff, at);
		const struct var_pair *vp =
			vr.inside != NO_TWIN ? diff_var_of_new(p->diff, vr.inside) : NULL;
		if (vp && vp->old != NO_TWIN && p->home_moved[vp - p->diff->vars.v])
			return true;
	}
	return false;
}

static struct err *merge_pair(struct plan *p, uint32_t pair)
{
	const struct var_pair *vp = &p->diff->vars.v[pair];

	if (vp->old == NO_TWIN || vp->new == NO_TWIN || p->home_moved[pair])
		return NULL;
	struct merging m = {.p = p,
			    .old = &p->diff->old_vars.v[vp->old],
			    .new = &p->diff->new_vars.v[vp->new]};
	if (m.old->region == REGION_TLS || m.new->linker || m.new->copy_reloc ||
	    m.old->copy_reloc)
		return NULL;
	if (vp->verdict == VAR_SAME && !leads_to_moved(p, m.new))
		return NULL;
	m.ours = m.dest = layout_data(&p->layout, m.new->addr);
	struct err *e = begin_merging(&m);
	if (!e)
		e = merge_units(&m);
	if (!e)
		e = fill_growth(&m);
	free(m.window);
	return e;
}

// It must be so still in the stop: its bytes are verified there, though nothing is written.
static struct err *verify_removed(struct plan *p, struct merging *m)
{
	enum { VERIFY_MAX = 65536 };

	for (uint64_t off = 0; off < m->now_size && off < VERIFY_MAX; off += 8) {
		uint8_t len = (uint8_t)(m->now_size - off < 8 ? m->now_size - off : 8);
		uint64_t ours;

		TRY(ours_at(m, off, len, &ours));
		TRY(plan_patch(p, m->ours + off, &ours, &ours, len, "removed variable"));
	}
	return NULL;
}

// A variable that is gone in NEW may go only if it has nothing to tell: it still has its initial value.
static struct err *check_removed(struct plan *p, const struct var *old)
{
	struct merging m = {.p = p, .old = old, .new = old};

	if (!region_writable(old->region) || old->linker || old->copy_reloc || !old->size)
		return NULL;
	m.ours = layout_data(&p->subject->record->layout, old->addr);
	struct err *e = begin_merging(&m);
	bool pristine = true;
	for (uint64_t off = 0; !e && pristine && off < old->size; off += 8) {
		uint8_t len = (uint8_t)(old->size - off < 8 ? old->size - off : 8);
		struct initial_word base =
			initial_word(p->subject->old, old->addr + off, len);
		uint64_t ours;

		e = ours_at(&m, off, len, &ours);
		if (!e)
			e = is_pristine(p, &base, ours, &pristine);
	}
	if (!e && pristine && !p->allow_lost)
		e = verify_removed(p, &m);
	free(m.window);
	if (!e && !pristine && p->allow_lost)
		e = plan_note(p, "variable %s goes, with what it holds", old->name);
	else if (!e && !pristine)
		e = err_refuse(
			"var-vanished",
			old->name, "variable %s%s%s%s is gone in NEW, and the process has changed it",
			old->name, old->file ? " (" : "", old->file ? old->file : "",
			old->file ? ")" : "");
	return e;
}

struct err *merge_initial_data(struct plan *p)
{
	p->notes_before_merge = p->notes.n;
	for (uint32_t i = 0; i < p->diff->vars.n; i++) {
		const struct var_pair *vp = &p->diff->vars.v[i];

		if (vp->new == NO_TWIN && vp->old != NO_TWIN)
			TRY(check_removed(p, &p->diff->old_vars.v[vp->old]));
		else if (vp->old == NO_TWIN && vp->written_at_start_only)
			TRY(plan_note(
				p,
				"new variable %s is written at start only: it keeps its "
				"initial value",
				p->diff->new_vars.v[vp->new].name));
		else
			TRY(merge_pair(p, i));
	}
	return NULL;
}

bool patch_is_merged(const struct patch *patch)
{
	static const char *const whats[] = {"initial data", "grown variable",
					    "removed variable"};

	for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
		if (!strcmp(patch->what, whats[i]))
			return true;
	return false;
}

struct err *merge_again(struct plan *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->patches.n; i++)
		if (!patch_is_merged(&p->patches.v[i]))
			p->patches.v[kept++] = p->patches.v[i];
	p->patches.n = kept;
	while (p->notes.n > p->notes_before_merge)
		free(p->notes.v[--p->notes.n]);
	p->merged = p->conflicts = 0;
	return merge_initial_data(p);
}

struct err *merge_moved(struct plan *p, const struct moved_var *moved, struct commit *c)
{
	const struct var_pair *vp = &p->diff->vars.v[moved->pair];
	struct merging m = {.p = p,
			    .old = &p->diff->old_vars.v[vp->old],
			    .new = &p->diff->new_vars.v[vp->new],
			    .ours = moved->from,
			    .dest = moved->to,
			    .carry = c};
	taddr_t pointer = 0;

	if (moved->search)
		TRY(pointers_find(p, m.old, moved->from, &pointer));
	if (!pointer)
		pointer = pointers_in_registers(p, m.old, moved->from);
	if (pointer)
		return err_refuse(
			"var-resized", m.new->name,
			"variable %s is resized, cannot grow where it is, and there is a "
			"pointer to it (0x%lx)",
			m.new->name, pointer);
	struct err *e = begin_merging(&m);
	if (!e)
		e = merge_units(&m);
	free(m.window);
	return e;
}
