// SPDX-License-Identifier: LGPL-2.1-or-later
// The modules that an unwinder knows: found in the mappings, opened when a pc first falls
// into them.
#include "process/unwind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "process/memory.h"
#include "process/unwind_internal.h"
#include "util/cleanup.h"

enum { VDSO_MAX = 64 << 10 };

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	free(e->path);
	free(e);
}

static void entry_freep(struct entry **e)
{
	entry_free(*e);
}

static struct err *add_entry(struct unwinder *u, const struct entry *template,
			     const char *path, struct entry **ret)
{
	_cleanup_(entry_freep) struct entry *e = malloc(sizeof(*e));

	if (!e)
		return err_nomem();
	*e = *template;
	e->path = strdup(path);
	if (!e->path)
		return err_nomem();
	TRY(vec_push(&u->entries, e));
	*ret = take_ptr(e);
	return NULL;
}

static bool same_mapping(const struct entry *e, const struct mapping *m)
{
	return !e->extra && e->m.start == m->start && e->m.end == m->end &&
	       e->dev == m->dev && e->ino == m->ino && e->offset == m->offset &&
	       !strcmp(e->path, m->path);
}

static struct entry *known_entry(const struct unwinder *u, const struct mapping *m)
{
	vec_for_each(p, &u->entries)
		if (same_mapping(*p, m))
			return *p;
	return NULL;
}

static struct err *open_entry(struct unwinder *u, struct entry *e);

// Opening a file with its symbols takes milliseconds, which a stopped thread must not
// wait for.
static struct err *open_all(struct unwinder *u)
{
	vec_for_each(p, &u->entries) {
		struct entry *e = *p;

		if (e->gone || e->extra || e->m.file || e->failed)
			continue;
		struct err *err = open_entry(u, e);
		if (err_is_shortage(err))
			return err;
		e->failed = err != NULL;
		err_free(err);
	}
	return NULL;
}

struct err *unwinder_refresh(struct unwinder *u, const struct maps *maps)
{
	unwinder_forget_rules(u);
	vec_for_each(p, &u->entries)
		(*p)->gone = !(*p)->extra;
	vec_for_each(m, &maps->v) {
		struct entry template = {.m = {.start = m->start, .end = m->end},
					 .dev = m->dev,
					 .ino = m->ino,
					 .offset = m->offset};
		struct entry *e = known_entry(u, m);

		if (!(m->prot & PROT_EXEC) || (!m->ino && strcmp(m->path, "[vdso]") != 0))
			continue;
		if (!e)
			TRY(add_entry(u, &template, m->path, &e));
		e->gone = false;
	}
	return open_all(u);
}

struct err *unwinder_create(struct process *p, const struct maps *maps,
			    struct unwinder **ret)
{
	_cleanup_(unwinder_freep) struct unwinder *u = calloc(1, sizeof(*u));

	if (!u)
		return err_nomem();
	u->pid = p->pid;
	TRY(stack_reader_init(&u->stack, p->pid));
	TRY(unwinder_refresh(u, maps));
	*ret = take_ptr(u);
	return NULL;
}

static struct err *open_vdso(const struct unwinder *u, const struct entry *e,
			     struct module **ret)
{
	uint64_t size = e->m.end - e->m.start;
	_cleanup_free_ void *bytes = NULL;

	if (size > VDSO_MAX)
		return err_new(ERR_CORRUPT, "a vdso of %" PRIu64 " bytes", size);
	bytes = malloc(size);
	if (!bytes)
		return err_nomem();
	TRY(mem_read(u->pid, e->m.start, bytes, size));
	return module_open_memory("[vdso]", bytes, size, ret);
}

// The file by its name if that is still the file that is mapped, so that messages and the
// search for debug files have a usable path; else through the mapping itself.
static struct err *open_mapped(const struct unwinder *u, const struct entry *e,
			       struct module **ret)
{
	_cleanup_free_ char *path = NULL;
	struct stat st, mapped;
	char link[96];

	snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, u->pid,
		 e->m.start, e->m.end);
	if (asprintf(&path, "/proc/%d/root%s", u->pid, e->path) < 0)
		return err_nomem();
	if (stat(path, &st) == 0 && st.st_ino == e->ino &&
	    (stat(link, &mapped) != 0 ||
	     (mapped.st_ino == st.st_ino && mapped.st_dev == st.st_dev)))
		return module_open(stat(e->path, &mapped) == 0 &&
						   mapped.st_ino == st.st_ino &&
						   mapped.st_dev == st.st_dev
					   ? e->path
					   : path,
				   NULL, ret);
	return module_open(link, NULL, ret);
}

static struct err *open_file(struct unwinder *u, const struct entry *e, struct opened *ret)
{
	bool vdso = !e->ino;
	struct err *err;

	vec_for_each(f, &u->files) {
		if (f->dev == e->dev && f->ino == e->ino) {
			*ret = *f;
			return NULL;
		}
	}
	*ret = (struct opened){.dev = e->dev, .ino = e->ino};
	TRY(vdso ? open_vdso(u, e, &ret->file) : open_mapped(u, e, &ret->file));
	err = cfi_open(ret->file, &ret->cfi);
	if (!err)
		err = vec_push(&u->files, *ret);
	if (err) {
		cfi_free(ret->cfi);
		module_close(ret->file);
	}
	return err;
}

// The load bias from the segment that the mapping shows.
static bool find_base(const struct entry *e, const struct module *file, taddr_t *ret)
{
	vec_for_each(s, &file->segments) {
		uint64_t first = s->offset & ~0xfffULL;

		if (s->type != PT_LOAD || !(s->flags & PF_X) || e->offset < first ||
		    e->offset - first >= s->filesz + (s->offset - first))
			continue;
		*ret = e->m.start - (s->addr - s->offset + e->offset);
		return true;
	}
	return false;
}

static struct err *open_entry(struct unwinder *u, struct entry *e)
{
	struct opened o;

	TRY(open_file(u, e, &o));
	if (!find_base(e, o.file, &e->m.base))
		return err_new(ERR_CORRUPT, "no segment of %s is mapped at 0x%" PRIx64,
			       e->path, e->m.start);
	e->cfi = o.cfi;
	e->m.file = o.file;
	return NULL;
}

static const struct cfi *foreign_cfi(struct unwinder *u, const struct module *file)
{
	struct foreign new = {.file = file};
	struct err *err;

	vec_for_each(f, &u->foreign)
		if (f->file == file)
			return f->cfi;
	vec_for_each(f, &u->files)
		if (f->file == file)
			return f->cfi;
	err = cfi_open(file, &new.cfi);
	if (!err)
		err = vec_push(&u->foreign, new);
	if (!err)
		return new.cfi;
	err_free(err);
	cfi_free(new.cfi);
	return NULL;
}

struct err *unwinder_add(struct unwinder *u, const struct loaded_module *m)
{
	struct entry template = {.m = *m, .extra = true}, *e;

	template.cfi = foreign_cfi(u, m->file);
	if (!template.cfi)
		return err_new(ERR_INTERNAL, "cannot read the unwind table of %s",
			       m->file->path);
	unwinder_forget_rules(u);
	return add_entry(u, &template, m->file->path, &e);
}

static struct entry *covering(const struct unwinder *u, taddr_t pc, bool extra)
{
	for (size_t i = u->entries.n; i; i--) { // the newest of the extra ones wins
		struct entry *e = u->entries.v[i - 1];

		if (e->extra == extra && !e->gone && pc >= e->m.start && pc < e->m.end)
			return e;
	}
	return NULL;
}

struct entry *unwinder_entry_at(struct unwinder *u, taddr_t pc)
{
	struct entry *e = covering(u, pc, true);
	struct err *err;

	if (!e)
		e = covering(u, pc, false);
	if (!e || e->m.file || e->failed)
		return e && !e->failed ? e : NULL;
	err = open_entry(u, e);
	e->failed = err != NULL;
	err_free(err);
	return e->failed ? NULL : e;
}

const struct loaded_module *unwinder_module_at(struct unwinder *u, taddr_t pc)
{
	struct entry *e = unwinder_entry_at(u, pc);

	return e ? &e->m : NULL;
}

void unwinder_set_translate(struct unwinder *u, taddr_t (*real)(void *arg, taddr_t addr),
			    void *arg)
{
	u->translate = real;
	u->translate_arg = arg;
}

bool cfi_equal_at(struct unwinder *u, const struct module *a, vaddr_t a_pc,
		  const struct module *b, vaddr_t b_pc)
{
	const struct cfi *x = foreign_cfi(u, a), *y = foreign_cfi(u, b);
	struct cfi_row row_a, row_b;

	return x && y && cfi_find(x, a_pc, &row_a) && cfi_find(y, b_pc, &row_b) &&
	       cfi_row_equal(&row_a, &row_b);
}

void unwinder_free(struct unwinder *u)
{
	if (!u)
		return;
	vec_for_each(p, &u->entries)
		entry_free(*p);
	vec_for_each(f, &u->foreign)
		cfi_free(f->cfi);
	vec_for_each(f, &u->files) {
		cfi_free(f->cfi);
		module_close(take_ptr(f->file));
	}
	vec_free(&u->entries);
	vec_free(&u->foreign);
	vec_free(&u->files);
	vec_free(&u->cache);
	free(u->slots);
	stack_reader_deinit(&u->stack);
	free(u);
}

void unwinder_freep(struct unwinder **u)
{
	unwinder_free(*u);
}
