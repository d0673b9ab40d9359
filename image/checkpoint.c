// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening a checkpoint with the chains of cores it builds on.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

static void json_free(json_t **j)
{
	json_decref(*j);
}

struct err *open_folder(const struct store *s, const char *id, int *dir, json_t **manifest)
{
	_cleanup_close_ int fd = -1;

	TRY(store_open_at(s, s->fd, id, id, S_IFDIR, &fd));
	TRY(manifest_load(s, fd, id, manifest));
	*dir = take_fd(&fd);
	return NULL;
}

static struct err *open_core(const struct store *s, int dir, const char *id,
			     const json_t *process, struct core **ret)
{
	const char *name = json_string_value(json_object_get(process, "core"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(process, "size"));
	_cleanup_free_ char *label = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&label, "%s/%s", id, name) < 0) {
		label = NULL;
		return err_nomem();
	}
	TRY(store_open_at(s, dir, name, label, S_IFREG, &fd));
	if (core_is_compressed(name)) {
		int unpacked;

		TRY(core_unpack(s, fd, label, size, &unpacked));
		close(fd);
		fd = unpacked;
	}
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", label);
	if ((uint64_t)st.st_size != size)
		return image_corrupt(label, "it has %lld bytes and had %llu",
				     (long long)st.st_size, (unsigned long long)size);
	TRY(core_open_fd(take_fd(&fd), label, ret));
	core_set_blocks(*ret, json_object_get(process, "blocks"));
	return NULL;
}

static bool needs_parent(const struct core *c)
{
	size_t n;
	const struct page_run *v = core_runs(c, &n);

	for (size_t i = 0; i < n; i++)
		if (v[i].kind == PAGES_PARENT)
			return true;
	return false;
}

// The core of the process in the checkpoint that `manifest` names as parent; *manifest becomes that one's.
static struct err *open_parent(const struct store *s, json_t **manifest, pid_t pid,
			       struct core **ret)
{
	const char *id = json_string_value(json_object_get(*manifest, "id"));
	const char *parent = json_string_value(json_object_get(*manifest, "parent"));
	_cleanup_close_ int dir = -1;
	json_t *m;

	if (!parent)
		return image_corrupt(id, "it needs a parent and names none");
	TRY(err_wrap(open_folder(s, parent, &dir, &m), "parent of %s", id));
	json_decref(*manifest);
	*manifest = m;
	parent = json_string_value(json_object_get(m, "id"));
	const json_t *process = manifest_process(m, pid);
	if (!process)
		return image_corrupt(parent, "it has no process %d", pid);
	return open_core(s, dir, parent, process, ret);
}

struct err *open_core_chain(const struct store *s, int dir, const json_t *manifest,
			    const json_t *process, struct core **ret)
{
	_cleanup_(json_free) json_t *m = json_incref((json_t *)(uintptr_t)manifest);
	const char *id = json_string_value(json_object_get(manifest, "id"));
	_cleanup_(core_closep) struct core *first = NULL;
	struct core *c;
	pid_t pid;

	TRY(json_get_pid(process, "pid", &pid));
	TRY(open_core(s, dir, id, process, &first));
	c = first;
	for (int depth = 0; needs_parent(c); depth++) {
		struct core *parent;

		if (depth == PARENTS_MAX)
			return image_corrupt(id, "it builds on more than %d others",
					     PARENTS_MAX);
		TRY(open_parent(s, &m, pid, &parent));
		core_set_parent(c, parent);
		c = parent;
	}
	*ret = take_ptr(first);
	return NULL;
}

static struct err *open_cores(struct checkpoint *c)
{
	const json_t *processes = json_object_get(c->manifest, "processes"), *p;
	struct core *core;
	size_t i;

	json_array_foreach(processes, i, p)
	{
		TRY(vec_reserve(&c->cores, 1));
		TRY(open_core_chain(c->store, c->dir, c->manifest, p, &core));
		TRY(vec_push(&c->cores, core));
	}
	return NULL;
}

// A path is the store's and an id. The user's own links on the way are fine.
static struct err *split_path(const char *path, char **store, char **id)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	uint64_t number;
	char *slash;

	if (!real)
		return err_with(err_new(ERR_USAGE, "cannot open the checkpoint %s: %s",
					path, strerror(errno)),
				"no-checkpoint", path);
	slash = strrchr(real, '/');
	if (!store_parse_id(slash + 1, &number))
		return err_with(err_new(ERR_USAGE, "%s is no checkpoint", path),
				"no-checkpoint", path);
	if (!(*id = strdup(slash + 1)))
		return err_nomem();
	slash[slash == real] = '\0';
	*store = take_ptr(real);
	return NULL;
}

struct err *store_resolve(const char *store, const char *which, char **path, char **id)
{
	if (which && strchr(which, '/'))
		return split_path(which, path, id);
	*path = store ? strdup(store) : NULL;
	*id = which ? strdup(which) : NULL;
	return (store && !*path) || (which && !*id) ? err_nomem() : NULL;
}

static struct err *open_it(const char *store_path, const char *which, bool bare,
			   struct checkpoint *c)
{
	_cleanup_free_ char *path = NULL, *named = NULL;
	char id[STORE_ID_SIZE];

	TRY(store_resolve(store_path, which, &path, &named));
	TRY(store_open(path, false, &c->store));
	TRY(store_look_up(c->store, named, id));
	c->id = strdup(id);
	if (!c->id || asprintf(&c->path, "%s/%s", c->store->path, id) < 0) {
		c->path = NULL;
		return err_nomem();
	}
	TRY(open_folder(c->store, id, &c->dir, &c->manifest));
	return bare ? NULL : open_cores(c);
}

struct err *checkpoint_open(const char *store_path, const char *which, bool bare,
			    struct checkpoint *ret)
{
	*ret = (struct checkpoint){.dir = -1};
	struct err *e = open_it(store_path, which, bare, ret);

	if (e)
		checkpoint_deinit(ret);
	return e;
}

void checkpoint_deinit(struct checkpoint *c)
{
	vec_for_each(core, &c->cores)
		core_close(*core);
	vec_free(&c->cores);
	if (c->store && c->dir >= 0) // without a store it was never opened
		close(c->dir);
	store_close(c->store);
	json_decref(c->manifest);
	free(c->id);
	free(c->path);
	*c = (struct checkpoint){.dir = -1};
}
