// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists the static variables and functions of a module as DWARF has them.
#include "elf/dwarf_info.h"

#include <dwarf.h>

#include "elf/dies.h"
#include "elf/dwarf_scope.h"
#include "elf/type_die.h"
#include "util/arena.h"
#include "util/cleanup.h"

struct names_build {
	const struct module *m;
	const struct dies *d;
	struct dwarf_names *n;
	struct scopes scopes;
	const char **unit_names; // by unit, NULL until asked for
};

// The path within the source tree: what the name and the folder of compilation have in
// common is where the tree was unpacked, and differs from build to build.
static const char *unit_path(const struct die_unit *u)
{
	const char *name = u->name, *tail;
	size_t common = 0;
	int parts = 0;

	if (!name)
		return "";
	if (*name == '/' && u->comp_dir) {
		for (size_t i = 0; name[i] && name[i] == u->comp_dir[i]; i++)
			if (name[i] == '/' || (name[i + 1] == '/' && !u->comp_dir[i + 1]))
				common = i + 1;
		name += common;
		name += *name == '/';
	}
	for (tail = name + strlen(name); tail > name; tail--)
		if (tail[-1] == '/' && ++parts == 2)
			break;
	return tail;
}

// Units that dwz made have no name; what they declare belongs to the unit that uses it.
static const char *unit_name(struct names_build *b, const struct die *user)
{
	const struct die *e = declared_die(b->d, user);

	if (!b->d->units.v[e->unit].name)
		e = user;
	if (!b->unit_names[e->unit])
		b->unit_names[e->unit] = unit_path(&b->d->units.v[e->unit]);
	return b->unit_names[e->unit];
}

static uint64_t type_along_origins(const struct dies *d, const struct die *e)
{
	for (int i = 0; i < 16 && e; i++) {
		// A definition completes its declaration's type ("extern int a[]; int
		// a[4];").
		if (e->type)
			return e->type;
		e = e->origin ? dies_at(d, e->origin) : NULL;
	}
	return 0;
}

static struct err *add_var(struct names_build *b, const struct die *e)
{
	const struct dies *d = b->d;
	const struct die *o = dies_origin(d, e);
	uint64_t type = type_along_origins(d, e);
	void **arena = &b->n->strings;
	struct dwarf_var v = {
		.addr = e->value,
		.name = o->name,
		.cu = unit_name(b, e),
		.scope = variable_scope(&b->scopes, e, arena),
		.die = type,
		.type_name = type ? type_name(d, type, arena) : "?",
		.size = type_size(d, type),
		.is_const = type_is_const(d, type),
		.declared_thread_local = e->flags & DIE_TLS,
	};

	if (!v.scope || !v.type_name)
		return err_nomem();
	return v.name ? vec_push(&b->n->vars, v) : NULL;
}

static struct err *add_func(struct names_build *b, const struct die *e)
{
	const struct die *decl = declared_die(b->d, e);
	struct dwarf_func f = {
		.addr = e->value,
		.name = function_name(b->d, e),
		.cu = unit_name(b, e),
		.decl_file = dies_file(b->d, decl),
		.decl_line = decl->decl_line > INT32_MAX ? 0 : (int)decl->decl_line,
	};

	return f.name ? vec_push(&b->n->funcs, f) : NULL;
}

// The linker leaves 0, 1 or the largest addresses in entries whose code or data it
// dropped.
static bool is_inside(const struct module *m, vaddr_t addr)
{
	return addr > 1 && module_region(m, addr) != REGION_NONE;
}

static struct err *add_all(struct names_build *b)
{
	vec_for_each(e, &b->d->dies) {
		if (e->tag == DW_TAG_variable && (e->flags & DIE_STATIC)) {
			if ((e->flags & DIE_TLS) || is_inside(b->m, e->value))
				TRY(add_var(b, e));
		} else if (e->tag == DW_TAG_subprogram && (e->flags & DIE_CODE)) {
			if (is_inside(b->m, e->value))
				TRY(add_func(b, e));
		}
	}
	return NULL;
}

static int compare_vars(const void *a, const void *b)
{
	const struct dwarf_var *x = a, *y = b;

	if (x->declared_thread_local != y->declared_thread_local)
		return x->declared_thread_local - y->declared_thread_local;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return strcmp(x->scope, y->scope);
}

static int compare_funcs(const void *a, const void *b)
{
	const struct dwarf_func *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct unit_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->unit > y->unit) - (x->unit < y->unit);
}

// An inlined function and its out-of-line copy both name a variable: one of them is
// enough.
static void sort_and_unify(struct dwarf_names *n)
{
	size_t to = 0;

	if (n->vars.n)
		qsort(n->vars.v, n->vars.n, sizeof(*n->vars.v), compare_vars);
	for (size_t i = 0; i < n->vars.n; i++)
		if (!to || compare_vars(&n->vars.v[to - 1], &n->vars.v[i]))
			n->vars.v[to++] = n->vars.v[i];
	n->vars.n = to;
	if (n->funcs.n)
		qsort(n->funcs.v, n->funcs.n, sizeof(*n->funcs.v), compare_funcs);
	to = 0;
	for (size_t i = 0; i < n->funcs.n; i++)
		if (!to || compare_funcs(&n->funcs.v[to - 1], &n->funcs.v[i]))
			n->funcs.v[to++] = n->funcs.v[i];
	n->funcs.n = to;
	if (n->ranges.n)
		qsort(n->ranges.v, n->ranges.n, sizeof(*n->ranges.v), compare_ranges);
}

struct range_arg {
	struct dwarf_names *n;
	uint32_t unit;
};

static struct err *add_range(void *arg, uint64_t start, uint64_t end)
{
	struct range_arg *a = arg;
	struct unit_range r = {start, end, a->unit};

	return start > 1 ? vec_push(&a->n->ranges, r) : NULL;
}

static struct err *add_ranges(struct dwarf_names *n)
{
	uint64_t budget = 1; // an entry has a byte at least

	for (int i = 0; i < DIE_SOURCES; i++)
		budget += n->dies->sources[i].ranges.n + n->dies->sources[i].rnglists.n;
	for (size_t i = 0; i < n->dies->units.n; i++) {
		struct range_arg arg = {n, (uint32_t)i};

		TRY(dies_unit_ranges(n->dies, &n->dies->units.v[i], &budget, add_range,
				     &arg));
	}
	return NULL;
}

static struct err *read_names(struct names_build *b)
{
	struct dwarf_names *n = b->n;

	TRY(dies_read(b->m, &n->dies));
	b->d = n->dies;
	TRY(scopes_init(&b->scopes, n->dies));
	b->unit_names = calloc(n->dies->units.n + 1, sizeof(*b->unit_names));
	if (!b->unit_names)
		return err_nomem();
	TRY(add_all(b));
	TRY(err_with(add_ranges(n), "corrupt-elf", b->m->path));
	sort_and_unify(n);
	return NULL;
}

struct err *dwarf_names_read(const struct module *m, struct dwarf_names *ret)
{
	struct dwarf_names n = {};
	struct names_build b = {.m = m, .n = &n};
	struct err *e = read_names(&b);

	scopes_deinit(&b.scopes);
	free(b.unit_names);
	if (e)
		dwarf_names_deinit(&n);
	else
		*ret = n;
	return e;
}

void dwarf_names_deinit(struct dwarf_names *n)
{
	vec_free(&n->vars);
	vec_free(&n->funcs);
	vec_free(&n->ranges);
	dies_freep(&n->dies);
	n->dies = NULL;
	arena_free(&n->strings);
}

const struct dwarf_var *dwarf_var_at(const struct dwarf_names *n, vaddr_t addr)
{
	size_t lo = 0, hi = n->vars.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct dwarf_var *v = &n->vars.v[mid];

		if (!v->declared_thread_local && v->addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n->vars.n || n->vars.v[lo].addr != addr ||
	    n->vars.v[lo].declared_thread_local)
		return NULL;
	return &n->vars.v[lo];
}

const struct dwarf_func *dwarf_func_at(const struct dwarf_names *n, vaddr_t addr)
{
	size_t lo = 0, hi = n->funcs.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n->funcs.v[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n->funcs.n && n->funcs.v[lo].addr == addr ? &n->funcs.v[lo] : NULL;
}
