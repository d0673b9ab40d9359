// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the libraries that go with a new program; see discover.h.
#include "update/discover.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "update/store.h"
#include "util/cleanup.h"
#include "util/path.h"

struct discovering {
	const struct subject *exe;
	struct target *target;
	const struct update_set *named;
	char old_dir[PATH_MAX], new_dir[PATH_MAX]; // resolved
	struct discovery *ret;
};

void discovery_deinit(struct discovery *d)
{
	vec_for_each(m, &d->v) {
		union {
			const char *is;
			char *owned;
		} old = {.is = m->old}, new = {.is = m->new_path};

		free(old.owned);
		free(new.owned);
	}
	vec_free(&d->v);
	vec_for_each(s, &d->stale)
		free(*s);
	vec_free(&d->stale);
}

static bool folder_of(const char *path, char ret[PATH_MAX])
{
	if (!realpath(path, ret))
		snprintf(ret, PATH_MAX, "%s", path);
	char *slash = strrchr(ret, '/');

	if (slash)
		*slash = 0;
	return slash;
}

static bool is_kept_copy(const char *path)
{
	_cleanup_free_ char *dir = store_debug_dir(path);

	return dir;
}

// Where the program that runs came from. A copy in the store says nothing of what lies beside it, nor of its name: an
// earlier generation was the same program by its own path.
static const char *running_path(const struct record *r)
{
	const struct record_image *now = record_running(r);

	for (size_t i = r->images.n; i-- > 0;)
		if (!strcmp(r->images.v[i].build_id, now->build_id) &&
		    !is_kept_copy(r->images.v[i].path))
			return r->images.v[i].path;
	return now->path;
}

// The file a library runs from, as it was named.
static const char *library_path(struct target *t, size_t link)
{
	const struct found_record *f = target_record_of(t, link);

	return f ? running_path(&f->record) : t->links.v.v[link].name;
}

static bool is_named(const struct discovering *d, size_t link)
{
	for (size_t i = 0; i < d->named->n; i++) {
		size_t named;
		struct err *e = d->named->v[i].old && *d->named->v[i].old
					? target_find_library(d->target,
							      d->named->v[i].old, &named)
					: err_new(ERR_USAGE, "the program");
		bool same = !e && named == link;

		err_free(e); // an unknown name is told of when its turn comes
		if (same)
			return true;
	}
	return false;
}

// Whether the file is another build of the library that runs: the same soname, another identity.
static bool is_newer(const struct module *old, const char *path)
{
	struct module *m = NULL;
	char was[PROGRAM_ID_MAX], is[PROGRAM_ID_MAX];
	struct err *e = module_open_bare(path, &m);

	if (e) {
		err_free(e);
		return false;
	}
	const char *a = module_soname(old), *b = module_soname(m);
	program_id(old, was);
	program_id(m, is);
	bool ret = m->type == ET_DYN && strcmp(was, is) &&
		   (a && b ? !strcmp(a, b) : !a && !b);
	module_close(m);
	return ret;
}

static struct err *take(struct discovering *d, const char *name, const char *path)
{
	char *old = strdup(name), *new = strdup(path);
	struct update_module m = {.old = old, .new_path = new};
	struct err *e = old && new ? vec_push(&d->ret->v, m) : err_nomem();

	if (e) {
		free(old);
		free(new);
	}
	return e;
}

// Where the library's new build may lie: at the same place relative to the program, or in its folder.
static bool candidate(const struct discovering *d, const char *path, int which,
		      char ret[PATH_MAX])
{
	char real[PATH_MAX], dir[PATH_MAX];
	size_t len = strlen(d->old_dir);
	int n;

	if (which == 1) {
		n = snprintf(ret, PATH_MAX, "%s/%s", d->new_dir, path_base(path));
		return n > 0 && n < PATH_MAX;
	}
	if (!folder_of(path, dir) ||
	    snprintf(real, sizeof(real), "%s/%s", dir, path_base(path)) >= PATH_MAX ||
	    strncmp(real, d->old_dir, len) || real[len] != '/')
		return false;
	n = snprintf(ret, PATH_MAX, "%s%s", d->new_dir, real + len);
	return n > 0 && n < PATH_MAX;
}

// The path leads to another file than the one that is mapped.
static bool is_replaced(const struct discovering *d, size_t link, const char *path)
{
	const struct mapping *m =
		maps_at(&d->target->maps, d->target->links.v.v[link].base);
	struct stat st;

	return !target_record_of(d->target, link) && m && m->ino && !stat(path, &st) &&
	       st.st_ino != m->ino;
}

static struct err *look_at(struct discovering *d, size_t link)
{
	struct link_entry *e = &d->target->links.v.v[link];
	const char *path = library_path(d->target, link);
	char at[PATH_MAX];

	if (!*e->name || target_is_runtime(d->target, link) || is_named(d, link))
		return NULL;
	for (int which = 0; which < 2; which++) {
		if (!candidate(d, path, which, at) || access(at, R_OK))
			continue;
		TRY(link_entry_open(&d->target->links, e));
		if (e->file && is_newer(e->file, at))
			return take(d, e->name, at);
	}
	if (!is_replaced(d, link, path))
		return NULL;
	TRY(link_entry_open(&d->target->links, e));
	if (!e->file || !is_newer(e->file, path))
		return NULL;
	char *stale = strdup(path);
	struct err *err = stale ? vec_push(&d->ret->stale, stale) : err_nomem();
	if (err)
		free(stale);
	return err;
}

struct err *discover_modules(const struct subject *exe, const char *new_path,
			     const struct update_set *named, struct discovery *ret)
{
	struct discovering d = {
		.exe = exe, .target = exe->target, .named = named, .ret = ret};

	if (!folder_of(running_path(exe->record), d.old_dir) ||
	    !folder_of(new_path, d.new_dir))
		return NULL;
	for (size_t i = 1; i < d.target->links.v.n; i++)
		TRY(look_at(&d, i));
	return NULL;
}
