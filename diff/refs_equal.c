// SPDX-License-Identifier: LGPL-2.1-or-later
// Do two references lead to the same thing? (design 2.1, the table; boundary rule of findings-update)
#include <string.h>

#include "diff/private.h"

// Does the function refer into the variable other than by this address?
static bool has_base(const struct func *f, const struct var *v, vaddr_t except)
{
	vec_for_each(in, &f->body.insns) {
		if ((in->ref == REF_DATA || in->ref == REF_RODATA) &&
		    in->target != except && in->target - v->addr < v->size)
			return true;
	}
	return false;
}

// ld defines __stop_SECTION where a list ends; whatever begins there is not what is meant.
static bool is_list_end(const struct module *m, vaddr_t addr)
{
	const struct symbol *s = module_symbol_at(m, addr, 1u << STT_NOTYPE);

	for (; s && s < m->symbols.v + m->symbols.n && s->addr == addr; s++) {
		if (!strncmp(s->name, "__stop_", 7))
			return true;
	}
	return false;
}

static bool inside_equal(struct comparer *c, const struct insn *o, const struct insn *n,
			 uint32_t vo, uint32_t vn)
{
	const struct var *a = &c->old->vars[vo], *b = &c->new->vars[vn];

	if (c->old->pair_of_var[vo] == vn)
		return o->target - a->addr == n->target - b->addr;
	if (!a->is_const || !b->is_const || c->old->pair_of_var[vo] != NO_TWIN ||
	    c->new->pair_of_var[vn] != NO_TWIN)
		return false;
	// Constants that nobody could pair (compilers number them) are equal by content.
	if (o->access)
		return ranges_equal(c, o->target, n->target, o->access);
	return a->size == b->size && o->target - a->addr == n->target - b->addr &&
	       ranges_equal(c, a->addr, b->addr, a->size);
}

// Writable data without a name: at the same distance behind the same variable.
static bool gap_equal(const struct comparer *c, vaddr_t old, vaddr_t new)
{
	for (vaddr_t back = 0; back < 64; back++) {
		struct var_reading o = side_var_at(c->old, old - back);
		struct var_reading n = side_var_at(c->new, new - back);

		if (o.end_of == NO_TWIN && n.end_of == NO_TWIN)
			continue;
		return o.end_of != NO_TWIN && c->old->pair_of_var[o.end_of] == n.end_of;
	}
	return false;
}

// gcc keeps the initial values of an automatic array of pointers in .data, under a local label; it is
// a constant in all but place. Zeros alone would prove nothing.
static bool template_equal(struct comparer *c, const struct insn *o, const struct insn *n)
{
	uint64_t size =
		o->access ? o->access : side_extent(c->new, n->target, true) - n->target;
	const uint8_t *p = module_bytes(c->new->m, n->target, size);
	size_t r = module_reloc_lower_bound(c->new->m, n->target);
	bool telling =
		r < c->new->m->relocs.n && c->new->m->relocs.v[r].addr - n->target < size;

	for (uint64_t i = 0; p && i < size && !telling; i++)
		telling = p[i];
	return telling && unnamed_equal(c, o->target, n->target, o->access);
}

static vaddr_t load_start(const struct module *m)
{
	vec_for_each(s, &m->segments) {
		if (s->type == PT_LOAD)
			return s->addr;
	}
	return 0;
}

static bool plain_equal(struct comparer *c, const struct insn *o, const struct insn *n,
			uint32_t vo, uint32_t vn)
{
	enum region a, b;

	if (vo != NO_TWIN && vn != NO_TWIN)
		return inside_equal(c, o, n, vo, vn);
	if (o->target == load_start(c->old->m) && n->target == load_start(c->new->m))
		return true; // __ehdr_start
	a = module_region(c->old->m, o->target);
	b = module_region(c->new->m, n->target);
	bool ca = a == REGION_RODATA || a == REGION_RELRO || a == REGION_TEXT;
	bool cb = b == REGION_RODATA || b == REGION_RELRO || b == REGION_TEXT;
	if (ca && cb)
		return unnamed_equal(c, o->target, n->target, o->access);
	if (ca || cb || vo != vn)
		return false;
	return gap_equal(c, o->target, n->target) ||
	       (a == REGION_DATA && b == REGION_DATA && template_equal(c, o, n));
}

// Where one object ends and another begins a lea may mean either.
static bool boundary_equal(struct comparer *c, const struct func *of, const struct insn *o,
			   const struct func *nf, const struct insn *n,
			   struct var_reading ro, struct var_reading rn)
{
	bool base_o, base_n, end_equal;

	end_equal = ro.end_of != NO_TWIN && rn.end_of != NO_TWIN &&
		    c->old->pair_of_var[ro.end_of] == rn.end_of &&
		    c->old->vars[ro.end_of].size == c->new->vars[rn.end_of].size;
	base_o = ro.end_of != NO_TWIN && has_base(of, &c->old->vars[ro.end_of], o->target);
	base_n = rn.end_of != NO_TWIN && has_base(nf, &c->new->vars[rn.end_of], n->target);
	if (is_list_end(c->old->m, o->target) || is_list_end(c->new->m, n->target))
		return end_equal && plain_equal(c, o, n, ro.inside, rn.inside);
	if (!base_o && !base_n) {
		if (end_equal && ro.inside == NO_TWIN && rn.inside == NO_TWIN &&
		    module_region(c->old->m, o->target) != REGION_RODATA)
			return true;
		return plain_equal(c, o, n, ro.inside, rn.inside);
	}
	if (!end_equal)
		return false;
	// The end is meant for certain where on one side nothing else begins there.
	if (base_o && base_n && (ro.inside == NO_TWIN || rn.inside == NO_TWIN) &&
	    module_region(c->old->m, o->target) != REGION_RODATA)
		return true;
	return plain_equal(c, o, n, ro.inside, rn.inside);
}

static bool is_writable(const struct module *m, vaddr_t addr)
{
	enum region r = module_region(m, addr);

	return r == REGION_DATA || r == REGION_BSS;
}

static bool is_crt(const struct func *f)
{
	return f->file && !strcmp(f->file, "crtstuff.c");
}

// The compiler's start-up code refers to ends of sections, which other objects share by chance.
static bool same_label(const struct comparer *c, vaddr_t old, vaddr_t new)
{
	const unsigned types = 1u << STT_NOTYPE | 1u << STT_OBJECT;
	const struct module *m = c->old->m;
	const struct symbol *o = module_symbol_at(m, old, types);

	for (; o && o < m->symbols.v + m->symbols.n && o->addr == old; o++) {
		const struct symbol *n =
			o->size ? NULL : module_symbol_named(c->new->m, o->name);

		if (n && n->addr == new)
			return true;
	}
	return false;
}

static bool data_equal(struct comparer *c, const struct func *of, const struct insn *o,
		       const struct func *nf, const struct insn *n)
{
	struct var_reading ro = side_var_at(c->old, o->target);
	struct var_reading rn = side_var_at(c->new, n->target);

	if (o->access != n->access)
		return false;
	if (is_crt(of) && is_crt(nf) && same_label(c, o->target, n->target))
		return true;
	if (c->guesses && is_writable(c->old->m, o->target) &&
	    is_writable(c->new->m, n->target) &&
	    guesses_hold(c->guesses, o->target, n->target))
		return true;
	if ((o->flags & INSN_LEA) && (ro.end_of != NO_TWIN || rn.end_of != NO_TWIN))
		return boundary_equal(c, of, o, nf, n, ro, rn);
	return plain_equal(c, o, n, ro.inside, rn.inside);
}

static bool slots_equal(struct comparer *c, vaddr_t old, vaddr_t new)
{
	const struct reloc *o = module_reloc_at(c->old->m, old),
			   *n = module_reloc_at(c->new->m, new);

	if (!o || !n || o->type != n->type || o->addend != n->addend) {
		if (!o || !n || o->type != n->type || o->type != R_X86_64_IRELATIVE)
			return false;
		return code_equal(c, (vaddr_t)o->addend, (vaddr_t)n->addend);
	}
	if (!o->name || !n->name)
		return o->name == n->name;
	return !strcmp(o->name, n->name) && !o->version == !n->version &&
	       (!o->version || !strcmp(o->version, n->version));
}

static bool tables_equal(const struct func *of, const struct insn *o,
			 const struct func *nf, const struct insn *n)
{
	const struct jump_table *a = NULL, *b = NULL;

	vec_for_each(t, &of->body.tables) {
		if (t->lea == (uint32_t)(o - of->body.insns.v))
			a = t;
	}
	vec_for_each(t, &nf->body.tables) {
		if (t->lea == (uint32_t)(n - nf->body.insns.v))
			b = t;
	}
	return a && b && a->n == b->n &&
	       !memcmp(of->body.table_targets.v + a->first,
		       nf->body.table_targets.v + b->first, a->n * sizeof(uint32_t));
}

static bool is_data(uint8_t ref)
{
	return ref == REF_DATA || ref == REF_RODATA;
}

bool refs_equal(struct comparer *c, const struct func *of, const struct insn *o,
		const struct func *nf, const struct insn *n)
{
	vaddr_t so, sn;

	if (is_data(o->ref) && is_data(n->ref))
		return data_equal(c, of, o, nf, n);
	if (o->ref != n->ref)
		return false;
	switch ((enum ref_kind)o->ref) {
	case REF_NONE:
		return true;
	case REF_BRANCH:
		return o->target_index == n->target_index;
	case REF_CODE:
		return code_equal(c, o->target, n->target);
	case REF_PLT:
		return plt_entry_slot(c->old->m, o->target, &so) &&
		       plt_entry_slot(c->new->m, n->target, &sn) && slots_equal(c, so, sn);
	case REF_GOT:
		return slots_equal(c, o->target, n->target);
	case REF_TABLE:
		return tables_equal(of, o, nf, n);
	case REF_ABS:
		// Into the middle of an own instruction, or to a fixed place.
		if (o->target - of->addr < of->size)
			return o->target - of->addr == n->target - nf->addr &&
			       o->addr - of->addr == n->addr - nf->addr;
		// 0 is a weak symbol that nobody defines.
		return o->target == n->target &&
		       (!o->target || module_region(c->old->m, o->target) == REGION_NONE);
	case REF_DATA:
	case REF_RODATA:
		break;
	}
	return false;
}
