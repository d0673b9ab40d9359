// SPDX-License-Identifier: LGPL-2.1-or-later
// What changed about the module as a whole: libraries, TLS, constructors, COPY relocations, folding.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff/private.h"

static struct err *add_fact(struct diff *d, enum module_change kind, const char *object,
			    const char *fmt, ...) printf_like(4, 5);

static struct err *add_fact(struct diff *d, enum module_change kind, const char *object,
			    const char *fmt, ...)
{
	struct module_fact f = {.kind = kind, .object = strdup(object)};
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&f.detail, fmt, ap) < 0)
		f.detail = NULL;
	va_end(ap);
	struct err *e = f.object && f.detail ? vec_push(&d->facts, f) : err_nomem();
	if (e) {
		free(f.object);
		free(f.detail);
	}
	return e;
}

static bool needs(const struct module *m, const char *name)
{
	vec_for_each(n, &m->needed) {
		if (!strcmp(*n, name))
			return true;
	}
	return false;
}

static struct err *libraries(struct diff *d)
{
	vec_for_each(n, &d->new->needed) {
		if (!needs(d->old, *n))
			TRY(add_fact(d, CHANGE_NEEDED_ADDED, *n, "library %s is new", *n));
	}
	vec_for_each(n, &d->old->needed) {
		if (!needs(d->new, *n))
			TRY(add_fact(d, CHANGE_NEEDED_REMOVED, *n,
				     "library %s is not needed any more", *n));
	}
	return NULL;
}

// Name of a static thread variable without its number.
static bool same_base(const char *a, const char *b)
{
	size_t na = strcspn(a, "."), nb = strcspn(b, ".");

	return na == nb && !strncmp(a, b, na);
}

static const struct symbol *tls_twin(const struct module *m, const struct symbol *s)
{
	vec_for_each(t, &m->symbols) {
		if (t->type == STT_TLS && t->addr == s->addr && same_base(t->name, s->name))
			return t;
	}
	return NULL;
}

static struct err *thread_storage(struct diff *d)
{
	const struct module *o = d->old, *n = d->new;

	if (o->tls_memsz != n->tls_memsz || o->tls_align != n->tls_align)
		TRY(add_fact(
			d, CHANGE_TLS,
			"TLS segment", "thread-local storage had %lu bytes aligned to %lu, now %lu to %lu",
			(unsigned long)o->tls_memsz, (unsigned long)o->tls_align,
			(unsigned long)n->tls_memsz, (unsigned long)n->tls_align));
	if (!o->tls_memsz && !n->tls_memsz)
		return NULL;
	vec_for_each(s, &n->symbols) {
		if (s->type != STT_TLS)
			continue;
		const struct symbol *t = tls_twin(o, s);
		if (!t)
			TRY(add_fact(d, CHANGE_TLS, s->name,
				     "thread variable %s is new at offset %lu", s->name,
				     (unsigned long)s->addr));
		else if (t->size != s->size)
			TRY(add_fact(d, CHANGE_TLS, s->name,
				     "thread variable %s had %lu bytes, now %lu", s->name,
				     (unsigned long)t->size, (unsigned long)s->size));
	}
	vec_for_each(s, &o->symbols) {
		if (s->type == STT_TLS && !tls_twin(n, s))
			TRY(add_fact(d, CHANGE_TLS, s->name,
				     "thread variable %s is gone from offset %lu",
				     s->name, (unsigned long)s->addr));
	}
	const uint8_t *a = module_bytes(o, o->tls_addr, o->tls_filesz);
	const uint8_t *b = module_bytes(n, n->tls_addr, n->tls_filesz);
	if (o->tls_filesz != n->tls_filesz ||
	    (o->tls_filesz && (!a || !b || memcmp(a, b, o->tls_filesz))))
		TRY(add_fact(d, CHANGE_TLS, "TLS segment",
			     "initial values of thread-local storage differ"));
	return NULL;
}

static uint32_t array_entry(const struct side *s, vaddr_t at)
{
	const struct reloc *r = module_reloc_at(s->m, at);
	vaddr_t to = r ? (vaddr_t)r->addend : 0;

	if (r && r->sym_defined)
		to += r->sym_addr;
	if (!r)
		module_read(s->m, at, &to, sizeof(to));
	return side_func_at(s, to);
}

static bool constructs(const struct side *s, uint32_t func)
{
	for (uint64_t i = 0; i + 8 <= s->m->init_array_size; i += 8) {
		if (array_entry(s, s->m->init_array + i) == func)
			return true;
	}
	return false;
}

static struct err *constructors(struct diff *d)
{
	const struct side *o = &d->index->old, *n = &d->index->new;

	// Without names the start-up code of the compiler is seen as one piece.
	if (d->by_shape && o->m->init_array_size == n->m->init_array_size)
		return NULL;
	for (uint64_t i = 0; i + 8 <= n->m->init_array_size; i += 8) {
		uint32_t f = array_entry(n, n->m->init_array + i);

		if (f != NO_TWIN && n->pair_of_func[f] != NO_TWIN &&
		    constructs(o, n->pair_of_func[f]))
			continue;
		const char *name = f == NO_TWIN ? "unknown" : n->funcs[f].name;
		TRY(add_fact(d, CHANGE_CONSTRUCTOR, name, "constructor %s is new", name));
	}
	return NULL;
}

static bool copies(const struct module *m, const char *name)
{
	vec_for_each(r, &m->relocs) {
		if (r->type == R_X86_64_COPY && r->name && !strcmp(r->name, name))
			return true;
	}
	return false;
}

static struct err *copy_relocations(struct diff *d)
{
	vec_for_each(r, &d->new->relocs) {
		if (r->type == R_X86_64_COPY && r->name && !copies(d->old, r->name))
			TRY(add_fact(d, CHANGE_COPY_RELOC, r->name,
				     "%s of a library would be copied into the program",
				     r->name));
	}
	return NULL;
}

static uint32_t alias_target(const struct side *s, const struct alias *want)
{
	if (!want->local) {
		const struct symbol *sym = module_symbol_named(s->m, want->name);

		return sym ? side_func_at(s, sym->addr) : NO_TWIN;
	}
	vec_for_each(a, &s->func_aliases) {
		if (a->local == want->local && !strcmp(a->name, want->name) &&
		    (!a->local || !a->file || !want->file || !strcmp(a->file, want->file)))
			return a->index;
	}
	return NO_TWIN;
}

// Old functions with several names, whose names lead to several functions now.
static struct err *folding(struct diff *d)
{
	const struct side *o = &d->index->old, *n = &d->index->new;

	for (size_t i = 0; i + 1 < o->func_aliases.n; i++) {
		const struct alias *a = &o->func_aliases.v[i], *b = a + 1;

		if (a->index != b->index)
			continue;
		uint32_t fa = alias_target(n, a), fb = alias_target(n, b);
		if (fa == NO_TWIN || fb == NO_TWIN || fa == fb)
			continue;
		TRY(add_fact(
			d, CHANGE_ICF, a->name,
			"%s and %s were one function and are two now%s", a->name, b->name,
			o->funcs[a->index].address_taken ? ", and their address is used"
							 : ""));
	}
	return NULL;
}

static struct err *ifuncs(struct diff *d)
{
	vec_for_each(s, &d->new->symbols) {
		const struct symbol *t;
		uint32_t f;

		if (s->type != STT_GNU_IFUNC)
			continue;
		t = module_symbol_named(d->old, s->name);
		f = diff_new_func_at(d, s->addr);
		const struct func_pair *p = f == NO_TWIN ? NULL : diff_pair_of_new(d, f);
		if (!t || t->type != STT_GNU_IFUNC)
			TRY(add_fact(d, CHANGE_IFUNC, s->name, "%s is a new IFUNC",
				     s->name));
		else if (p && p->verdict != FUNC_SAME)
			TRY(add_fact(d, CHANGE_IFUNC, s->name,
				     "the resolver of %s changed", s->name));
	}
	return NULL;
}

struct err *collect_facts(struct diff *d)
{
	TRY(libraries(d));
	TRY(thread_storage(d));
	TRY(constructors(d));
	TRY(copy_relocations(d));
	TRY(folding(d));
	return ifuncs(d);
}
