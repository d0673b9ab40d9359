// SPDX-License-Identifier: LGPL-2.1-or-later
// The data objects of one program, and what else of its data is referred to.
#include <stdlib.h>
#include <string.h>

#include "diff/side.h"
#include "util/arena.h"
#include "util/path.h"

static bool is_linker_symbol(const struct symbol *s)
{
	static const char *const names[] = {
		"_DYNAMIC",	      "_GLOBAL_OFFSET_TABLE_", "__dso_handle",
		"__TMC_END__",	      "_IO_stdin_used",	       "__FRAME_END__",
		"__GNU_EH_FRAME_HDR",
	};

	if (!s->size)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(s->name, names[i]))
			return true;
	}
	return false;
}

static bool is_variable(const struct symbol *s)
{
	switch (s->region) {
	case REGION_RODATA:
	case REGION_RELRO:
	case REGION_DATA:
	case REGION_BSS:
		break;
	case REGION_NONE:
	case REGION_TEXT:
	case REGION_TLS:
		return false;
	}
	return s->type == STT_OBJECT || s->type == STT_COMMON ||
	       (s->type == STT_NOTYPE && s->size);
}

// "main|0|counter" reads "main|counter" for people.
static const char *printable_scope(struct side *s, const struct dwarf_var *d)
{
	const char *first = strchr(d->scope, '|'), *last = strrchr(d->scope, '|');

	if (!first || first == last)
		return d->scope;
	return arena_printf(&s->strings, "%.*s%s", (int)(first - d->scope), d->scope,
			    last);
}

static struct err *push_var(struct side *s, var_list *vars, const struct symbol *sym)
{
	const struct dwarf_var *d = dwarf_var_at(s->names, sym->addr);
	const struct reloc *r = module_reloc_at(s->m, sym->addr);
	struct var v = {
		.name = sym->name,
		.addr = sym->addr,
		.size = sym->size,
		.region = sym->region,
		.local = sym->bind == STB_LOCAL,
		.linker = is_linker_symbol(sym),
		.copy_reloc = r && r->type == R_X86_64_COPY,
		.is_const = sym->region == REGION_RODATA || sym->region == REGION_RELRO,
	};

	if (d && d->addr == sym->addr) {
		v.type_die = d->die;
		v.type_name = d->type_name;
	} else {
		d = NULL;
	}
	if (v.local) {
		v.file = sym->file;
		if (d && d->scope && strchr(d->scope, '|'))
			v.name = printable_scope(s, d);
		if (!v.name)
			return err_nomem();
	}
	return vec_push(vars, v);
}

static struct err *push_alias(struct side *s, const struct symbol *sym, size_t index)
{
	bool local = sym->bind == STB_LOCAL;

	return vec_push(&s->var_aliases,
			(struct alias){.name = sym->name,
				       .file = local ? path_base(sym->file) : NULL,
				       .index = (uint32_t)index,
				       .local = local});
}

struct err *side_list_variables(struct side *s, var_list *vars)
{
	vaddr_t reach = 0;

	vec_for_each(sym, &s->m->symbols) {
		struct var *last = vars->n ? &vars->v[vars->n - 1] : NULL;

		if (!is_variable(sym))
			continue;
		if (last && last->addr == sym->addr && last->size == sym->size) {
			TRY(push_alias(s, sym, vars->n - 1));
			if (last->local && sym->bind != STB_LOCAL) {
				last->name = sym->name;
				last->file = NULL;
				last->local = false;
			}
			continue;
		}
		TRY(push_alias(s, sym, vars->n));
		TRY(push_var(s, vars, sym));
	}
	s->vars = vars->v;
	s->n_vars = vars->n;
	for (size_t i = 0; i < s->n_vars; i++) {
		if (s->vars[i].addr + s->vars[i].size > reach)
			reach = s->vars[i].addr + s->vars[i].size;
		TRY(vec_push(&s->var_reach, reach));
	}
	return NULL;
}

// First variable that starts above addr.
static size_t var_above(const struct side *s, vaddr_t addr)
{
	size_t low = 0, high = s->n_vars;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->vars[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct var_reading side_var_at(const struct side *s, vaddr_t addr)
{
	struct var_reading r = {NO_TWIN, NO_TWIN};
	uint32_t zero = NO_TWIN;

	// Of several at one address the largest stands first, so the last one seen is taken.
	for (size_t i = var_above(s, addr); i--;) {
		const struct var *v = &s->vars[i];

		if (s->var_reach.v[i] < addr)
			break;
		if (!v->size && v->addr == addr)
			zero = (uint32_t)i;
		else if (addr - v->addr < v->size &&
			 (r.inside == NO_TWIN || v->addr == s->vars[r.inside].addr))
			r.inside = (uint32_t)i;
		else if (v->size && v->addr + v->size == addr &&
			 (r.end_of == NO_TWIN || v->addr == s->vars[r.end_of].addr))
			r.end_of = (uint32_t)i;
	}
	if (r.inside == NO_TWIN)
		r.inside = zero;
	return r;
}

static int by_value(const void *a, const void *b)
{
	const vaddr_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static vaddr_t next_above(const vaddr_t *v, size_t n, vaddr_t addr)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v[mid] <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n ? v[low] : UINT64_MAX;
}

static vaddr_t section_end(const struct module *m, vaddr_t addr)
{
	vec_for_each(s, &m->alloc_sections) {
		if (addr - s->addr < s->size)
			return s->addr + s->size;
	}
	vec_for_each(p, &m->segments) {
		if (p->type == PT_LOAD && addr - p->addr < p->memsz)
			return p->addr + p->memsz;
	}
	return addr;
}

vaddr_t side_extent(const struct side *s, vaddr_t addr, bool lea_only)
{
	vaddr_t end = section_end(s->m, addr);
	size_t next = var_above(s, addr);
	vaddr_t ref = lea_only ? next_above(s->lea_refs.v, s->lea_refs.n, addr)
			       : next_above(s->refs.v, s->refs.n, addr);

	if (next < s->n_vars && s->vars[next].addr < end)
		end = s->vars[next].addr;
	return ref < end ? ref : end;
}

bool side_is_template(const struct side *s, vaddr_t addr)
{
	if (module_region(s->m, addr) != REGION_DATA ||
	    side_var_at(s, addr).inside != NO_TWIN)
		return false;
	return next_above(s->writes.v, s->writes.n, addr - 1) >=
	       side_extent(s, addr, true);
}

static void sort_unique(vaddr_t *v, size_t *n)
{
	size_t kept = 0;

	if (*n)
		qsort(v, *n, sizeof(*v), by_value);
	for (size_t i = 0; i < *n; i++) {
		if (!kept || v[kept - 1] != v[i])
			v[kept++] = v[i];
	}
	*n = kept;
}

static void note_code(struct side *s, vaddr_t addr)
{
	uint32_t f = side_func_at(s, addr);

	if (f != NO_TWIN && s->funcs[f].addr == addr)
		s->funcs[f].address_taken = true;
}

static struct err *note_reference(struct side *s, const struct insn *in)
{
	switch ((enum ref_kind)in->ref) {
	case REF_CODE:
		if (in->flags & INSN_LEA)
			note_code(s, in->target);
		return NULL;
	case REF_DATA:
	case REF_RODATA:
	case REF_TABLE:
		TRY(vec_push(&s->refs, in->target));
		if (in->flags & INSN_WRITE)
			TRY(vec_push(&s->writes, in->target));
		if (in->flags & INSN_LEA)
			TRY(vec_push(&s->lea_refs, in->target));
		return NULL;
	case REF_NONE:
	case REF_BRANCH:
	case REF_PLT:
	case REF_GOT:
	case REF_ABS:
		break;
	}
	return NULL;
}

static struct err *note_relocs(struct side *s)
{
	vec_for_each(r, &s->m->relocs) {
		vaddr_t to;

		if (r->type == R_X86_64_RELATIVE)
			to = (vaddr_t)r->addend;
		else if (r->type == R_X86_64_64 && r->sym_defined)
			to = r->sym_addr + (uint64_t)r->addend;
		else if (r->type == R_X86_64_GLOB_DAT && r->sym_defined)
			to = r->sym_addr;
		else
			continue;
		if (module_region(s->m, to) == REGION_TEXT) {
			note_code(s, to);
			continue;
		}
		TRY(vec_push(&s->refs, to));
		TRY(vec_push(&s->lea_refs, to));
	}
	return NULL;
}

// The tables of other functions begin behind this one's entries, and theirs may look like its own.
static void trim_tables(struct side *s)
{
	for (size_t i = 0; i < s->n_funcs; i++) {
		vec_for_each(t, &s->funcs[i].body.tables) {
			vaddr_t next = next_above(s->lea_refs.v, s->lea_refs.n, t->addr);

			if (next - t->addr >= 4 && next - t->addr < (uint64_t)t->n * 4)
				t->n = (uint32_t)((next - t->addr) / 4);
		}
	}
}

struct err *side_decode(struct side *s)
{
	for (size_t i = 0; i < s->n_funcs; i++)
		TRY(body_decode(s->m, &s->funcs[i].body));
	for (size_t i = 0; i < s->n_funcs; i++) {
		vec_for_each(in, &s->funcs[i].body.insns)
			TRY(note_reference(s, in));
	}
	TRY(note_relocs(s));
	sort_unique(s->refs.v, &s->refs.n);
	sort_unique(s->lea_refs.v, &s->lea_refs.n);
	sort_unique(s->writes.v, &s->writes.n);
	trim_tables(s);
	return NULL;
}

void side_deinit(struct side *s)
{
	vec_free(&s->spans);
	vec_free(&s->func_aliases);
	vec_free(&s->var_aliases);
	vec_free(&s->var_reach);
	vec_free(&s->refs);
	vec_free(&s->lea_refs);
	vec_free(&s->writes);
	free(s->pair_of_func);
	free(s->pair_of_var);
	arena_free(&s->strings);
}
