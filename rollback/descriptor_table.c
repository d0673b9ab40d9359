// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading the descriptors of the process and of the checkpoint; see descriptors.h.
//
// Whether a descriptor leads to the same open file description nobody can tell for certain; it does when it has the same
// number, kind and inode. Two that were one are made one again.
#include "rollback/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/proc.h"
#include "resource/kinds.h"

void table_deinit(struct table *t)
{
	vec_for_each(p, &t->now) {
		free(p->path);
		free(p->info);
	}
	vec_for_each(s, &t->saved)
		free(s->path);
	vec_free(&t->now);
	vec_free(&t->saved);
	free(t->first);
}

static struct err *read_present(const struct rollback *rb, int dir, int fd,
				struct present *p)
{
	char number[32], path[PATH_MAX + 1];
	uint64_t flags = 0;
	size_t len;

	snprintf(number, sizeof(number), "%d", fd);
	ssize_t n = readlinkat(dir, number, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(errno, "cannot look at descriptor %d of process %d", fd,
			       rb->p->pid);
	path[n] = '\0';
	snprintf(number, sizeof(number), "fdinfo/%d", fd);
	int r = os_proc_read(rb->p->pid, 0, number, &p->info, &len);
	if (r < 0)
		return err_sys(r, "cannot look at descriptor %d of process %d", fd,
			       rb->p->pid);
	p->path = strdup(path);
	if (!p->path)
		return err_nomem();
	p->fd = fd;
	if (!fdinfo_u64(p->info, "flags", 8, &flags) ||
	    !fdinfo_u64(p->info, "pos", 10, &p->pos))
		return err_new(ERR_INTERNAL, "descriptor %d has no flags", fd);
	p->flags = (int)(flags & ~(uint64_t)O_CLOEXEC);
	p->cloexec = flags & O_CLOEXEC;
	return NULL;
}

static struct err *read_all_present(const struct rollback *rb, struct table *t)
{
	_cleanup_close_ int dir =
		os_proc_open(rb->p->pid, 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	int r = dir < 0 ? dir : os_fds(dir, &fds, &n);

	if (r < 0)
		return err_sys(r, "cannot list the descriptors of process %d", rb->p->pid);
	TRY(vec_reserve(&t->now, n));
	for (size_t i = 0; i < n; i++) {
		t->now.v[i] = (struct present){0};
		t->now.n++;
		TRY(read_present(rb, dir, fds[i], &t->now.v[i]));
		t->top = MAX(t->top, fds[i]);
	}
	return NULL;
}

static struct err *read_saved(const struct rollback *rb, const json_t *list, size_t i,
			      struct table *t)
{
	const json_t *entry, *files;
	struct saved_fd s = {.given = -1};
	uint64_t file;

	TRY(json_item_object(list, i, &entry));
	TRY(json_get_array(rb->objects, "files", DESCRIPTORS_MAX, &files));
	TRY(json_get_i32(entry, "fd", 0, DESCRIPTORS_MAX - 1, &s.fd));
	TRY(json_get_bool(entry, "cloexec", &s.cloexec));
	TRY(json_get_u64(entry, "file", DESCRIPTORS_MAX, &file));
	s.file = file;
	TRY(json_item_object(files, file, &s.object));
	TRY(json_get_string(s.object, "kind", &s.kind));
	TRY(json_get_text(s.object, "path", PATH_MAX, &s.path));
	t->top = MAX(t->top, s.fd);
	struct err *e = vec_push(&t->saved, s);
	if (e)
		free(s.path);
	return e;
}

static struct present *present_at(struct table *t, int fd)
{
	size_t lo = 0;

	for (size_t hi = t->now.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->now.v[mid].fd < fd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->now.n && t->now.v[lo].fd == fd ? &t->now.v[lo] : NULL;
}

bool table_skipped(const struct saved_fd *s)
{
	return json_is_true(json_object_get(s->object, "skipped"));
}

// The first descriptor that leads to the object of `s` as saved; NULL: none, or `s` itself.
struct saved_fd *table_leader(struct table *t, const struct saved_fd *s)
{
	for (size_t i = t->first[s->file] - 1; &t->saved.v[i] != s; i++) {
		struct saved_fd *it = &t->saved.v[i];

		if (it->file == s->file && (it->now || it->given >= 0))
			return it;
	}
	return NULL;
}

static bool same_access(int a, int b)
{
	return (a & (O_ACCMODE | O_PATH)) == (b & (O_ACCMODE | O_PATH));
}

static struct err *match(const struct rollback *rb, struct table *t, struct saved_fd *s)
{
	struct present *p = present_at(t, s->fd);
	int flags;

	TRY(json_get_i32(s->object, "flags", 0, INT32_MAX, &flags));
	if (p)
		p->wanted = true;
	if (!p || strcmp(p->path, s->path) != 0 || !same_access(p->flags, flags))
		return NULL;
	// One of two that were one, and are two now, is made again from the other.
	const struct saved_fd *one = table_leader(t, s);
	if (one && os_kcmp_file(rb->p->pid, one->fd, rb->p->pid, s->fd) != 0)
		return NULL;
	p->kept = true;
	s->now = p;
	return NULL;
}

struct err *table_read(const struct rollback *rb, struct table *t)
{
	const json_t *list;

	TRY(read_all_present(rb, t));
	TRY(json_get_array(rb->state, "descriptors", DESCRIPTORS_MAX, &list));
	t->n_files = json_array_size(json_object_get(rb->objects, "files"));
	t->first = calloc(t->n_files + 1, sizeof(*t->first));
	if (!t->first)
		return err_nomem();
	for (size_t i = 0; i < json_array_size(list); i++)
		TRY(json_at(read_saved(rb, list, i, t), "descriptors", i));
	for (size_t i = 0; i < t->saved.n; i++)
		if (!t->first[t->saved.v[i].file])
			t->first[t->saved.v[i].file] = (uint32_t)i + 1;
	vec_for_each(s, &t->saved)
		TRY(match(rb, t, s));
	return NULL;
}
