// SPDX-License-Identifier: LGPL-2.1-or-later
// Making the saved open file descriptions in the tool, before any process exists.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>

#include "os/fds.h"
#include "resource/files.h"
#include "resource/handover.h"
#include "resource/locks.h"
#include "resource/socket_state.h"
#include "util/cleanup.h"

enum {
	FILES_MAX = 1 << 20,
	SPARE = 256, // descriptors the tool needs besides
	SETTABLE = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT,
};

const json_t *restoring_object(const struct restoring *all, size_t index)
{
	return json_array_get(json_object_get(all->objects, "files"), index);
}

struct err *restoring_keep(struct restoring *all, int fd)
{
	struct err *e = vec_push(&all->kept, fd);

	if (e)
		close(fd);
	return e;
}

struct err *restoring_bad(size_t index, const json_t *object, const char *fmt, ...)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (n < 0) {
		what = NULL;
		return err_nomem();
	}
	return err_new(ERR_CORRUPT, "object %zu (%s) of the image: %s", index,
		       kind ? kind : "?", what);
}

static struct err *kind_of(const json_t *object, const struct file_kind **ret)
{
	const char *name;

	TRY(json_get_string(object, "kind", &name));
	*ret = file_kind_named(name);
	if (!*ret)
		return err_new(ERR_CORRUPT, "there is no kind '%s'", name);
	return (*ret)->make ? NULL
			    : err_new(ERR_CORRUPT, "the kind '%s' is never saved", name);
}

static struct err *set_flags(int fd, const json_t *object)
{
	int flags, now = fcntl(fd, F_GETFL);

	TRY(json_get_i32(object, "flags", 0, INT32_MAX, &flags));
	if (flags & O_PATH || !((now ^ flags) & SETTABLE))
		return NULL;
	if (fcntl(fd, F_SETFL, (now & ~SETTABLE) | (flags & SETTABLE)))
		return err_sys(errno, "cannot set file status flags %#o", flags);
	return NULL;
}

// Whoever started molt has it too, and its flags are his.
static bool is_callers(int fd)
{
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (os_kcmp_file(getpid(), fd, getpid(), i) == 0)
			return true;
	return false;
}

static struct err *make(struct restoring *all, size_t index)
{
	const json_t *object = restoring_object(all, index);
	const struct file_kind *kind;

	if (json_is_true(json_object_get(object, "skipped")))
		return NULL;
	TRY(kind_of(object, &kind));
	if (all->files[index] < 0)
		TRY(handover_take(all, index, object));
	if (handover_is(all, index)) // nothing of it changes before its process ends
		return NULL;
	if (all->files[index] < 0)
		TRY(kind->make(all, index, object));
	if (all->files[index] < 0 ||
	    (json_has(object, "outside") && is_callers(all->files[index])))
		return NULL;
	TRY(set_flags(all->files[index], object));
	return locks_make(all, index, object, false);
}

static struct err *named(struct err *e, const struct restoring *all, size_t index)
{
	const json_t *object = restoring_object(all, index);
	const char *kind = json_string_value(json_object_get(object, "kind"));
	const char *path = json_string_value(json_object_get(object, "path"));

	return e && kind && path ? err_wrap(e, "object %zu (%s, %s)", index, kind, path)
				 : err_wrap(e, "object %zu", index);
}

static struct err *start_one(struct restoring *all, size_t index, const json_t *object,
			     const struct file_kind *kind)
{
	if (handover_is(all, index))
		return set_flags(all->files[index], object);
	if (kind->start)
		TRY(kind->start(all, index, object));
	return locks_make(all, index, object, true);
}

static struct err *for_each(struct restoring *all, bool start)
{
	for (size_t i = 0; i < all->n_files; i++) {
		const json_t *object = restoring_object(all, i);
		const struct file_kind *kind;

		if (json_is_true(json_object_get(object, "skipped")))
			continue;
		TRY(kind_of(object, &kind));
		if (start && all->files[i] >= 0)
			TRY(named(start_one(all, i, object, kind), all, i));
		if (!start && kind->join)
			TRY(named(kind->join(all, i, object), all, i));
	}
	return NULL;
}

static struct err *raise_own_limit(size_t n)
{
	rlim_t need = n * 2 + SPARE;
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) || now.rlim_cur >= need)
		return NULL;
	struct rlimit more = {need, MAX(now.rlim_max, need)};
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return NULL;
	more = (struct rlimit){now.rlim_max, now.rlim_max};
	if (now.rlim_max >= n + SPARE && !setrlimit(RLIMIT_NOFILE, &more))
		return NULL;
	return err_sys(EMFILE, "molt needs %zu open files to restore the process",
		       (size_t)need);
}

struct err *restore_objects(struct restoring *all)
{
	const json_t *list;

	TRY(json_get_array(all->objects, "files", FILES_MAX, &list));
	size_t n = json_array_size(list);
	all->files = malloc((n + 1) * sizeof(*all->files));
	if (!all->files)
		return err_nomem();
	for (size_t i = 0; i < n; i++)
		all->files[i] = -1;
	all->n_files = n;
	TRY(raise_own_limit(n));
	TRY(handover_read(all));
	for (size_t i = 0; i < n; i++)
		TRY(named(make(all, i), all, i));
	TRY(handover_note_rest(all));
	return for_each(all, false);
}

struct err *restoring_start(struct restoring *all)
{
	if (all->started)
		return NULL;
	all->started = true;
	return for_each(all, true);
}

void restoring_deinit(struct restoring *all)
{
	for (size_t i = 0; i < all->n_files; i++)
		if (all->files[i] >= 0)
			close(all->files[i]);
	vec_for_each(fd, &all->kept)
		close(*fd);
	free(all->files);
	vec_free(&all->kept);
	vec_free(&all->pipes);
	vec_free(&all->callers);
	socket_restoring_free(all->sockets);
	handover_free(all->handed);
	all->sockets = NULL;
	all->handed = NULL;
	all->files = NULL;
	all->n_files = 0;
}
