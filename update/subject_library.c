// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening a shared library of a process as the subject of an update; see subject.h.
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "update/subject_impl.h"
#include "util/cleanup.h"
#include "util/path.h"

static bool has_soname(const struct link_entry *e, const char *name)
{
	const char *soname = e->file ? module_soname(e->file) : NULL;

	return soname && !strcmp(soname, name);
}

static bool same_path(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

// The module that the user means: by the path in the list, the file that a path leads to, the file name, the soname.
struct err *target_find_library(struct target *t, const char *name, size_t *ret)
{
	struct link_list *l = &t->links;
	size_t found = 0;

	for (size_t i = 1; i < l->v.n; i++) {
		const char *is = l->v.v[i].name;

		if (*is &&
		    (!strcmp(is, name) || (strchr(name, '/') && same_path(is, name)))) {
			*ret = i;
			return NULL;
		}
	}
	for (size_t i = 1; i < l->v.n && !strchr(name, '/'); i++) {
		struct link_entry *e = &l->v.v[i];

		if (strcmp(path_base(e->name), name)) {
			TRY(link_entry_open(l, e));
			if (!has_soname(e, name))
				continue;
		}
		if (found)
			return err_with(err_new(ERR_USAGE,
						"process %d has two modules %s: give the "
						"path of one",
						t->process->pid, name),
					"no-such-module", name);
		found = i;
	}
	*ret = found;
	return found ? NULL
		     : err_with(err_new(ERR_USAGE, "process %d has no module %s loaded",
					t->process->pid, name),
				"no-such-module", name);
}

// By its path as long as that is the file that is mapped, so that messages and the search for debug files have a
// usable path; else through the mapping, which also reaches a file that was deleted or replaced.
static struct err *open_mapped(struct subject *s, const struct link_entry *e,
			       const char *debug_dir)
{
	const struct mapping *m = maps_at(&s->target->maps, e->base);
	char link[96], path[PATH_MAX];
	struct stat st;

	if (!m || !m->ino)
		return err_refuse("not-the-program", e->name,
				  "the module %s is not mapped from a file", e->name);
	snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
		 s->process->pid, m->start, m->end);
	if (same_path(e->name, link) ||
	    (stat(link, &st) && !stat(e->name, &st) && st.st_ino == m->ino))
		snprintf(path, sizeof(path), "%s", e->name);
	else
		snprintf(path, sizeof(path), "%s", link);
	return err_wrap(module_open(path, debug_dir, &s->old), "running module %s",
			e->name);
}

// A variable that another module defines too, first in ld.so's order (the executable's copy by R_X86_64_COPY,
// say), lives there for everybody.
static struct err *find_interposed(struct subject *s)
{
	_cleanup_(link_scope_deinit) struct link_scope scope = {0};
	struct link_list *l = &s->target->links;
	uint64_t symbolic;

	if (module_dynamic(s->old, DT_SYMBOLIC, &symbolic) ||
	    (module_dynamic(s->old, DT_FLAGS, &symbolic) && symbolic & DF_SYMBOLIC))
		return NULL;
	TRY(link_scope_read(l, s->link, &scope));
	vec_for_each(sym, &s->old->dynsyms) {
		bool found = false, ifunc;
		taddr_t at;

		if (!sym->defined || sym->type != STT_OBJECT || sym->bind == STB_LOCAL)
			continue;
		for (size_t i = 0; !found && i < scope.v.n && scope.v.v[i] != s->link; i++)
			TRY(link_find(l, scope.v.v[i], sym->name, sym->version, &at,
				      &ifunc, &found));
		if (!found)
			continue;
		struct home h = {.addr = sym->addr, .size = sym->size, .home = at};
		TRY(vec_push(&s->made_up.layout.homes, h));
	}
	layout_sort(&s->made_up.layout);
	return NULL;
}

static struct err *open_generation_zero(struct subject *s, const char *debug_dir)
{
	const struct link_entry *e = &s->target->links.v.v[s->link];

	TRY(open_mapped(s, e, debug_dir));
	TRY(subject_check_file(s, s->old, "running"));
	TRY(subject_make_up(s, e->name, e->name, e->base));
	TRY(find_interposed(s));
	return subject_check_text_of_file(s);
}

static struct err *open_recorded(struct subject *s, const char *debug_dir)
{
	const struct record *r = s->record;

	TRY(record_image_open(record_running(r), debug_dir, false, &s->old));
	TRY(subject_check_file(s, s->old, "running"));
	return subject_check_text_of_record(s);
}

struct err *subject_open_library(struct target *t, const char *name,
				 const char *debug_dir, struct subject *ret)
{
	*ret = (struct subject){
		.target = t, .process = t->process, .record = &ret->made_up};
	TRY(target_read_links(t));
	TRY(target_find_library(t, name, &ret->link));
	if (target_is_runtime(t, ret->link))
		return err_refuse("runtime-module", name,
				  "%s is a part of the C runtime, which loads and "
				  "unwinds programs: it cannot be updated in a running "
				  "process",
				  t->links.v.v[ret->link].name);
	struct found_record *found = target_record_of(t, ret->link);
	if (!found)
		return open_generation_zero(ret, debug_dir);
	subject_take_record(ret, found);
	return open_recorded(ret, debug_dir);
}
