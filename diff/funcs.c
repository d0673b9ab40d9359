// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of one program: from symbols, else from .eh_frame, else what is left of .text.
#include <stdlib.h>
#include <string.h>

#include "diff/side.h"
#include "util/arena.h"
#include "util/path.h"

static bool is_function(const struct symbol *s)
{
	return (s->type == STT_FUNC || s->type == STT_GNU_IFUNC) &&
	       s->region == REGION_TEXT;
}

// End of the code section (or segment) around addr.
static vaddr_t text_end(const struct module *m, vaddr_t addr)
{
	vec_for_each(s, &m->alloc_sections) {
		if (addr - s->addr < s->size)
			return s->addr + s->size;
	}
	vec_for_each(p, &m->segments) {
		if (p->type == PT_LOAD && addr - p->addr < p->filesz)
			return p->addr + p->filesz;
	}
	return addr;
}

// A symbol without a size reaches to the next symbol, to the end of its FDE or of its section.
static uint64_t unsized_length(const struct side *s, const struct symbol *sym)
{
	const struct fde *f = module_fde_at(s->m, sym->addr);
	vaddr_t end = text_end(s->m, sym->addr);

	if (f && f->addr + f->size < end)
		end = f->addr + f->size;
	for (const struct symbol *n = sym + 1; n < s->m->symbols.v + s->m->symbols.n; n++) {
		if (n->addr > sym->addr && is_function(n)) {
			if (n->addr < end)
				end = n->addr;
			break;
		}
	}
	return end - sym->addr;
}

// Among the symbols of one address the global one gives the name.
static bool better_name(const struct symbol *a, const struct func *f)
{
	return f->local && a->bind != STB_LOCAL;
}

static struct err *push_func(func_list *funcs, struct func f)
{
	TRY(vec_push(&f.body.parts, (struct body_part){.addr = f.addr, .size = f.size}));
	struct err *e = vec_push(funcs, f);
	if (e)
		body_deinit(&f.body);
	return e;
}

static struct err *add_symbols(struct side *s, func_list *funcs, bool cold)
{
	vec_for_each(sym, &s->m->symbols) {
		struct func *last = funcs->n ? &funcs->v[funcs->n - 1] : NULL;
		uint64_t size;

		if (!is_function(sym) || !!cold_parent_length(sym->name) != cold)
			continue;
		if (last && last->addr == sym->addr) {
			if (better_name(sym, last)) {
				last->name = sym->name;
				last->file = NULL;
				last->local = false;
			}
			continue;
		}
		size = sym->size ? sym->size : unsized_length(s, sym);
		if (!size)
			continue;
		bool local = sym->bind == STB_LOCAL;
		TRY(push_func(funcs, (struct func){.name = sym->name,
						   .file = local ? sym->file : NULL,
						   .addr = sym->addr,
						   .size = size,
						   .local = local}));
	}
	return NULL;
}

static int func_by_addr(const void *a, const void *b)
{
	const struct func *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int span_by_addr(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool span_within(const struct side *s, vaddr_t addr, vaddr_t end)
{
	size_t low = 0, high = s->spans.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->spans.v[mid].addr < end)
			low = mid + 1;
		else
			high = mid;
	}
	return low && s->spans.v[low - 1].end > addr;
}

static const char *label_at(const struct module *m, vaddr_t addr)
{
	const struct symbol *s =
		module_symbol_at(m, addr, 1u << STT_NOTYPE | 1u << STT_FUNC);

	return s && s->addr == addr ? s->name : NULL;
}

static struct err *add_unnamed(struct side *s, func_list *funcs, vaddr_t addr,
			       uint64_t size)
{
	const char *name = label_at(s->m, addr);
	vaddr_t slot;

	if (plt_entry_slot(s->m, addr, &slot))
		return NULL;
	if (!name)
		name = arena_printf(&s->strings, "sub_%lx", (unsigned long)addr);
	if (!name)
		return err_nomem();
	return push_func(
		funcs,
		(struct func){.name = name, .addr = addr, .size = size, .local = true});
}

// The lazy PLT begins with "push GOT+8(%rip)".
static bool is_plt_header(const struct module *m, vaddr_t addr)
{
	const uint8_t *p = module_bytes(m, addr, 8);

	return p && p[0] == 0xff && p[1] == 0x35 && (p[6] == 0xff || p[6] == 0xf2);
}

// Code with unwind tables that no symbol covers: all of it in a stripped program.
static struct err *add_fdes(struct side *s, func_list *funcs)
{
	vec_for_each(f, &s->m->fdes) {
		if (span_within(s, f->addr, f->addr + f->size))
			continue;
		if (f > s->m->fdes.v && f[-1].addr + f[-1].size > f->addr)
			continue;
		if (is_plt_header(s->m, f->addr))
			continue;
		TRY(add_unnamed(s, funcs, f->addr, f->size));
	}
	if (funcs->n)
		qsort(funcs->v, funcs->n, sizeof(*funcs->v), func_by_addr);
	return NULL;
}

static struct err *add_cold(struct side *s, func_list *funcs)
{
	func_list cold = {0};
	struct err *e = add_symbols(s, &cold, true);

	if (!e)
		e = side_attach_cold(s, funcs, &cold);
	vec_for_each(c, &cold)
		body_deinit(&c->body);
	vec_free(&cold);
	if (!e && funcs->n)
		qsort(funcs->v, funcs->n, sizeof(*funcs->v), func_by_addr);
	return e;
}

static struct err *list_spans(struct side *s, func_list *funcs)
{
	s->spans.n = 0;
	for (uint32_t i = 0; i < funcs->n; i++) {
		vec_for_each(p, &funcs->v[i].body.parts)
			TRY(vec_push(&s->spans,
				     (struct span){p->addr, p->addr + p->size, i}));
	}
	if (s->spans.n)
		qsort(s->spans.v, s->spans.n, sizeof(*s->spans.v), span_by_addr);
	return NULL;
}

static bool is_padding(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (p[i] && p[i] != 0xcc && p[i] != 0x90)
			return false;
	}
	return true;
}

// Long NOPs are padding too; decoding tells them from code.
static bool is_code(const struct module *m, vaddr_t addr, uint64_t size)
{
	const uint8_t *p = module_bytes(m, addr, size);
	struct body b = {0};
	bool code = false;

	if (!p || is_padding(p, size))
		return false;
	struct err *e = vec_push(&b.parts, (struct body_part){.addr = addr, .size = size});
	if (!e)
		e = body_decode(m, &b);
	err_free(e);
	vec_for_each(in, &b.insns)
		code |= !(in->flags & INSN_STOP);
	body_deinit(&b);
	return code;
}

// Assembly without types or unwind tables lies in the gaps; it refers to data as all code does.
static struct err *add_gaps(struct side *s, func_list *funcs)
{
	vaddr_t done = 0; // sections are sorted; those of a damaged file may overlap
	size_t first = 0;

	vec_for_each(sec, &s->m->alloc_sections) {
		vaddr_t at = sec->addr, end = sec->addr + sec->size;
		vaddr_t slot;

		if (end < at || end <= done || !(sec->flags & SHF_EXECINSTR) ||
		    sec->type == SHT_NOBITS || is_plt_header(s->m, at) ||
		    plt_entry_slot(s->m, at, &slot))
			continue;
		if (at < done)
			at = done;
		done = end;
		while (first < s->spans.n && s->spans.v[first].end <= at)
			first++;
		for (size_t i = first; at < end; i++) {
			vaddr_t stop = i < s->spans.n && s->spans.v[i].addr < end
					       ? s->spans.v[i].addr
					       : end;

			if (stop > at && is_code(s->m, at, stop - at))
				TRY(add_unnamed(s, funcs, at, stop - at));
			if (i >= s->spans.n || s->spans.v[i].addr >= end)
				break;
			if (s->spans.v[i].end > at)
				at = s->spans.v[i].end;
		}
	}
	if (funcs->n)
		qsort(funcs->v, funcs->n, sizeof(*funcs->v), func_by_addr);
	return NULL;
}

static struct err *list_aliases(struct side *s)
{
	vec_for_each(sym, &s->m->symbols) {
		uint32_t f;

		if (!is_function(sym) || cold_parent_length(sym->name))
			continue;
		f = side_func_at(s, sym->addr);
		if (f == NO_TWIN || s->funcs[f].addr != sym->addr)
			continue;
		bool local = sym->bind == STB_LOCAL;
		TRY(vec_push(&s->func_aliases,
			     (struct alias){.name = sym->name,
					    .file = local ? path_base(sym->file) : NULL,
					    .index = f,
					    .local = local}));
	}
	vec_for_each(sym, &s->m->dynsyms) {
		uint32_t f = sym->defined ? side_func_at(s, sym->addr) : NO_TWIN;

		if (f != NO_TWIN && s->funcs[f].addr == sym->addr)
			s->funcs[f].in_dynsym = true;
	}
	return NULL;
}

// Some assembly has several entries into one piece of code. Where every function reaches to the end of the code,
// decoding would not end.
static struct err *check_overlap(const struct side *s)
{
	uint64_t code = 1 << 20, sum = 0;

	vec_for_each(p, &s->m->segments) {
		if (p->type == PT_LOAD && (p->flags & PF_X))
			code += p->filesz;
	}
	vec_for_each(span, &s->spans) {
		uint64_t size = span->end - span->addr;

		if (module_bytes(s->m, span->addr, size))
			sum += size;
		if (sum / 4 > code)
			return err_with(err_new(ERR_CORRUPT,
						"%s is corrupt: its functions overlap",
						s->m->path),
					"corrupt-elf", s->m->path);
	}
	return NULL;
}

struct err *side_list_functions(struct side *s, func_list *funcs)
{
	// A stripped program has names for what it exports only; its bounds come from .eh_frame.
	TRY(add_symbols(s, funcs, false));
	TRY(add_cold(s, funcs));
	TRY(list_spans(s, funcs));
	TRY(add_fdes(s, funcs));
	TRY(list_spans(s, funcs));
	TRY(add_gaps(s, funcs));
	TRY(list_spans(s, funcs));
	TRY(check_overlap(s));
	s->funcs = funcs->v;
	s->n_funcs = funcs->n;
	return list_aliases(s);
}

uint32_t side_func_at(const struct side *s, vaddr_t addr)
{
	size_t low = 0, high = s->spans.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->spans.v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr >= s->spans.v[low - 1].end)
		return NO_TWIN;
	return s->spans.v[low - 1].func;
}
