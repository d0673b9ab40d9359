// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening the files that a saved process had mapped; see sources.h.
#include "restore/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/path.h"

struct wanted {
	char *path;
	int64_t size, mtime; // -1: not known
	bool deleted, shared, write;
	const char *key; // NULL: not kept
};

static void wanted_deinit(struct wanted *w)
{
	free(w->path);
}

static struct err *parse_file(const json_t *file, struct wanted *w)
{
	TRY(json_get_text(file, "path", PATH_MAX, &w->path));
	TRY(json_opt_int(file, "size", 0, INT64_MAX, -1, &w->size));
	TRY(json_opt_int(file, "mtime", INT64_MIN, INT64_MAX, -1, &w->mtime));
	TRY(json_opt_bool(file, "deleted", false, &w->deleted));
	return json_opt_string(file, "key", NULL, &w->key);
}

static bool is_unchanged(const struct stat *st, const struct wanted *w)
{
	const int64_t second = 1000000000;

	return S_ISREG(st->st_mode) && st->st_size == w->size &&
	       st->st_mtim.tv_sec * second + st->st_mtim.tv_nsec == w->mtime;
}

static bool is_allowed(const struct stat *st, const struct wanted *w,
		       enum files_policy policy)
{
	if (!S_ISREG(st->st_mode))
		return false;
	switch (policy) {
	case FILES_EXACT:
		return false;
	case FILES_APPEND_OK:
		return st->st_size >= w->size;
	case FILES_ANY:
		return true;
	}
	return false;
}

// O_NONBLOCK: a FIFO put in its place must not hold the tool.
static int open_present(const struct wanted *w)
{
	const int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = -1;

	if (w->shared)
		fd = open(w->path, flags | O_RDWR);
	if (fd < 0 && !w->write)
		fd = open(w->path, flags | O_RDONLY);
	return fd;
}

static struct err *refuse(const struct build *b, const struct wanted *w, bool there,
			  const struct stat *st)
{
	if (w->deleted)
		return err_refuse("mapped-file-gone", w->path,
				  "process %d maps %s, which was deleted when it was "
				  "saved and is not kept in the store",
				  b->saved, w->path);
	if (!there)
		return err_refuse("mapped-file-gone", w->path,
				  "process %d maps %s, which cannot be opened: %s",
				  b->saved, w->path, strerror(errno));
	return err_refuse("mapped-file-changed", w->path,
			  "process %d maps %s, which changed since: it had %" PRId64
			  " bytes and has %" PRId64,
			  b->saved, w->path, w->size, (int64_t)st->st_size);
}

static struct err *open_wanted(const struct build *b, const struct store *store,
			       enum files_policy policy, const struct wanted *w, int *ret)
{
	struct stat st = {};
	_cleanup_close_ int fd = w->deleted ? -1 : open_present(w);
	bool there = fd >= 0 && !fstat(fd, &st);

	if (there && is_unchanged(&st, w)) {
		*ret = take_fd(&fd);
		return NULL;
	}
	if (w->key && !w->shared)
		return store_module(store, w->key, ret);
	if (!there || !is_allowed(&st, w, policy))
		return refuse(b, w, there, &st);
	*ret = take_fd(&fd);
	return NULL;
}

// Of a program or library, all mappings use one descriptor.
static bool find(const struct sources *s, uint64_t dev, uint64_t ino, bool write,
		 size_t *ret)
{
	for (size_t i = 0; i < s->v.n; i++)
		if (s->v.v[i].dev == dev && s->v.v[i].ino == ino &&
		    s->v.v[i].write == write) {
			*ret = i;
			return true;
		}
	return false;
}

static struct err *add(struct sources *s, const struct source *one, size_t *ret)
{
	struct err *e = vec_push(&s->v, *one);

	if (e)
		close(one->fd);
	else
		*ret = s->v.n - 1;
	return e;
}

static struct err *open_one(const struct build *b, const struct store *store,
			    const struct restoring *all, struct saved_map *m,
			    struct sources *s)
{
	_cleanup_(wanted_deinit) struct wanted w = {.shared = !map_is_private(m),
						    .write = !map_is_private(m) &&
							     m->prot & PROT_WRITE};
	struct source one = {.write = w.shared, .number = -1};

	TRY(json_get_u64(m->file, "dev", INT64_MAX, &one.dev));
	TRY(json_get_u64(m->file, "ino", INT64_MAX, &one.ino));
	if (find(s, one.dev, one.ino, one.write, &m->source))
		return NULL;
	TRY(parse_file(m->file, &w));
	TRY(open_wanted(b, store, all->opt->files, &w, &one.fd));
	return add(s, &one, &m->source);
}

// Mostly mapped, too; not always (an updated process may have left its file).
static struct err *open_exe(const struct build *b, const struct store *store,
			    struct sources *s)
{
	const json_t *exe;
	const char *key;
	_cleanup_free_ char *path = NULL;
	struct source one = {.number = -1};

	s->exe = SIZE_MAX;
	TRY(json_opt_object(b->state, "exe", &exe));
	if (!exe)
		return NULL;
	TRY(json_get_text(exe, "path", PATH_MAX, &path));
	TRY(json_opt_string(exe, "key", NULL, &key));
	vec_for_each(m, &b->space->maps)
		if (m->kind == SPACE_FILE && map_is_private(m) && s->exe == SIZE_MAX &&
		    !strcmp(m->name, path))
			s->exe = m->source;
	if (s->exe != SIZE_MAX)
		return NULL;
	one.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (key && one.fd >= 0) { // any file may have the path by now
		close(one.fd);
		one.fd = -1;
	}
	if (one.fd < 0 && key)
		TRY(store_module(store, key, &one.fd));
	return one.fd < 0 ? NULL : add(s, &one, &s->exe);
}

// A kept program has no right to be executed (files of a store are 0600), which the kernel asks for of what becomes
// /proc/PID/exe: a copy in memory takes its place, in the mappings too.
static struct err *make_executable(const struct build *b, struct source *one)
{
	const json_t *exe = json_object_get(b->state, "exe");
	_cleanup_free_ char *path = NULL;
	char self[64];
	struct stat st;
	off_t at = 0;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", one->fd);
	if (!access(self, X_OK) || errno != EACCES)
		return NULL;
	TRY(json_get_text(exe, "path", PATH_MAX, &path));
	_cleanup_close_ int copy = memfd_create(path_base(path), MFD_CLOEXEC);
	if (copy < 0 || fstat(one->fd, &st))
		return err_sys(errno, "cannot make a copy of program %s", path);
	while (at < st.st_size) {
		ssize_t n = sendfile(copy, one->fd, &at, (size_t)(st.st_size - at));

		if (n <= 0)
			return err_sys(n ? errno : EIO, "cannot copy program %s", path);
	}
	// A file that somebody may write is no program for the kernel.
	snprintf(self, sizeof(self), "/proc/self/fd/%d", copy);
	int readable = open(self, O_RDONLY | O_CLOEXEC);
	if (readable < 0)
		return err_sys(errno, "cannot copy program %s", path);
	close(one->fd);
	one->fd = readable;
	return NULL;
}

struct err *sources_open(struct build *b, const struct store *store,
			 const struct restoring *all, struct sources *ret)
{
	vec_for_each(m, &b->space->maps)
		if (m->kind == SPACE_FILE)
			TRY(json_at(open_one(b, store, all, m, ret), "maps",
				    m - b->space->maps.v));
	TRY(open_exe(b, store, ret));
	return ret->exe == SIZE_MAX ? NULL : make_executable(b, &ret->v.v[ret->exe]);
}

void sources_deinit(struct sources *s)
{
	vec_for_each(one, &s->v)
		close(one->fd);
	vec_free(&s->v);
}

struct err *sources_give(struct build *b, struct sources *s)
{
	_cleanup_free_ int *fds = calloc(s->v.n + 1, sizeof(*fds));
	_cleanup_free_ int *there = calloc(s->v.n + 1, sizeof(*there));

	if (!fds || !there)
		return err_nomem();
	for (size_t i = 0; i < s->v.n; i++)
		fds[i] = s->v.v[i].fd;
	TRY(remote_give(&b->remote, fds, s->v.n, there));
	for (size_t i = 0; i < s->v.n; i++)
		s->v.v[i].number = there[i];
	return NULL;
}

struct err *sources_take_back(struct build *b, struct sources *s)
{
	int64_t ret;

	vec_for_each(one, &s->v) {
		if (one->number < 0)
			continue;
		TRY(remote_call(&b->remote, SYS_close,
				(uint64_t[6]){(uint64_t)one->number}, &ret));
		one->number = -1;
	}
	return NULL;
}
