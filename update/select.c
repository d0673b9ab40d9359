// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding processes by file; see select.h.
#include "update/select.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/pids.h"
#include "os/proc.h"
#include "update/record.h"
#include "util/cleanup.h"
#include "util/path.h"

struct wanted {
	char path[PATH_MAX];
	struct stat st;
	bool exists;
};

void selection_deinit(struct selection *s)
{
	vec_free(&s->pids);
}

// The file is gone; its folder says what the kernel calls it.
static void resolve_deleted(const char *path, char *ret)
{
	const char *name = path_base(path);
	_cleanup_free_ char *dir =
		name > path ? strndup(path, (size_t)(name - path)) : strdup(".");
	char real[PATH_MAX];

	if (!dir || !realpath(dir, real) ||
	    snprintf(ret, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", name) >=
		    PATH_MAX)
		memcpy(ret, path, strlen(path) + 1);
}

static struct err *want(const char *path, struct wanted *ret)
{
	if (realpath(path, ret->path))
		ret->exists = !stat(ret->path, &ret->st);
	else if (errno != ENOENT || strlen(path) >= sizeof(ret->path))
		return err_sys(errno, "cannot look at %s", path);
	else
		resolve_deleted(path, ret->path);
	return NULL;
}

static bool is_that(const struct wanted *w, const char *link)
{
	struct stat st;

	return w->exists && !stat(link, &st) && st.st_dev == w->st.st_dev &&
	       st.st_ino == w->st.st_ino;
}

// Paths of another mount namespace are other files.
static bool same_mounts(pid_t pid)
{
	struct stat a, b;
	char link[64];

	snprintf(link, sizeof(link), "/proc/%d/ns/mnt", (int)pid);
	return !stat(link, &a) && !stat("/proc/self/ns/mnt", &b) && a.st_ino == b.st_ino;
}

// The name of a file that is gone, as the kernel writes it.
static bool was_that(const struct wanted *w, const char *text)
{
	static const char deleted[] = " (deleted)";
	size_t n = strlen(w->path);

	return !strncmp(text, w->path, n) && !strcmp(text + n, deleted);
}

// What an update made of it counts, not what it started with.
static bool by_record(const struct wanted *w, pid_t pid, const struct maps *maps,
		      bool *recorded, bool *library)
{
	struct record_list list = {0};
	bool ret = false;
	struct err *e = record_list_read(pid, maps, &list);
	const struct found_record *exe = e ? NULL : record_of_exe(&list);

	*recorded = exe;
	if (exe)
		ret = !strcmp(record_running(&exe->record)->path, w->path);
	vec_for_each(f, &list.v)
		*library |= *f->record.name &&
			    (!strcmp(f->record.name, w->path) ||
			     !strcmp(record_running(&f->record)->path, w->path));
	err_free(e);
	record_list_deinit(&list);
	return ret;
}

static bool maps_it(const struct wanted *w, const struct maps *maps)
{
	vec_for_each(m, &maps->v)
		if (m->path[0] == '/' &&
		    (!strcmp(m->path, w->path) || was_that(w, m->path)))
			return true;
	return false;
}

static void look(const struct wanted *w, pid_t pid, bool *runs, bool *maps_file)
{
	_cleanup_(maps_deinit) struct maps maps = {0};
	char link[64], text[PATH_MAX];
	bool recorded = false, library = false; // a library that was updated from or to it

	*runs = *maps_file = false;
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	if (os_proc_link(pid, 0, "exe", text, sizeof(text)) < 0)
		return; // a kernel thread, or it has ended
	struct err *e = maps_read(pid, &maps);
	if (e) {
		err_free(e);
		return;
	}
	bool here = same_mounts(pid);
	bool by_path = by_record(w, pid, &maps, &recorded, &library);
	bool began_as = is_that(w, link) || (here && was_that(w, text));
	*runs = recorded ? here && by_path : began_as;
	*maps_file = here && !began_as && (library || maps_it(w, &maps));
}

static int by_pid(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct err *find(const struct wanted *w, struct selection *ret)
{
	_cleanup_free_ pid_t *pids = NULL;
	struct selection users = {.library = true};
	size_t n = 0;
	int rc = os_pids(&pids, &n);
	struct err *e = rc < 0 ? err_sys(rc, "cannot list the processes") : NULL;

	for (size_t i = 0; i < n && !e; i++) {
		bool runs, maps_file;

		if (pids[i] == getpid())
			continue;
		look(w, pids[i], &runs, &maps_file);
		if (runs)
			e = vec_push(&ret->pids, pids[i]);
		else if (maps_file)
			e = vec_push(&users.pids, pids[i]);
	}
	if (!e && !ret->pids.n) {
		selection_deinit(ret);
		*ret = users;
	} else {
		selection_deinit(&users);
	}
	return e;
}

struct err *select_file(const char *path, struct selection *ret)
{
	struct wanted w = {0};

	*ret = (struct selection){0};
	TRY(want(path, &w));
	struct err *e = find(&w, ret);
	if (!e && !ret->pids.n)
		e = err_refuse("no-process", path, "no process runs %s", path);
	if (e)
		selection_deinit(ret);
	else
		qsort(ret->pids.v, ret->pids.n, sizeof(ret->pids.v[0]), by_pid);
	return e;
}

static bool selected(const struct selection *s, pid_t pid)
{
	return bsearch(&pid, s->pids.v, s->pids.n, sizeof(pid), by_pid);
}

static bool has_selected_ancestor(const struct selection *s, pid_t pid)
{
	struct os_status st;

	for (int i = 0; i < 1024 && os_proc_status(pid, 0, &st) >= 0 && st.ppid > 1; i++) {
		pid = st.ppid;
		if (selected(s, pid))
			return true;
	}
	return false;
}

struct err *selection_roots(struct selection *s)
{
	_cleanup_free_ bool *root = calloc(s->pids.n + 1, sizeof(*root));
	size_t kept = 0;

	if (!root)
		return err_nomem();
	for (size_t i = 0; i < s->pids.n; i++)
		root[i] = !has_selected_ancestor(s, s->pids.v[i]);
	for (size_t i = 0; i < s->pids.n; i++)
		if (root[i])
			s->pids.v[kept++] = s->pids.v[i];
	s->pids.n = kept;
	return NULL;
}
