// SPDX-License-Identifier: LGPL-2.1-or-later
// Making a checkpoint: a folder under a temporary name, locked as long as its tool lives, renamed when all is on the disk.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

struct pending {
	struct store *store;
	int dir;
	char *name; // the user's, or NULL
	char temporary[32];
	bool committed;
};

void store_temporary(char *name, size_t size)
{
	uint64_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint64_t)getpid();
	snprintf(name, size, STORE_TEMPORARY "%016llx", (unsigned long long)r);
}

static void close_folder(DIR **d)
{
	if (*d)
		closedir(*d);
}

// Calls f with the name of each entry but "." and ".."; the first error ends it.
static int each_entry(int at, const char *folder,
		      int (*f)(void *arg, int dir, const char *name), void *arg)
{
	int fd = openat(at, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(close_folder) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (!r && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			r = f(arg, dirfd(d), e->d_name);
	return r;
}

static int unlink_one(void *arg, int dir, const char *name)
{
	(void)arg;
	return unlinkat(dir, name, 0) && errno != ENOENT ? -errno : 0;
}

static int remove_folder(int at, const char *name)
{
	int r = each_entry(at, name, unlink_one, NULL);

	if (r)
		return r;
	return unlinkat(at, name, AT_REMOVEDIR) ? -errno : 0;
}

struct err *store_remove_folder(const struct store *s, const char *name)
{
	int r = remove_folder(s->fd, name);

	return r && r != -ENOENT ? store_error(s, -r, "remove a checkpoint of") : NULL;
}

// A living tool holds the lock of what it makes.
static int clear_one(void *arg, int dir, const char *name)
{
	(void)arg;
	if (strncmp(name, STORE_TEMPORARY, strlen(STORE_TEMPORARY)) != 0)
		return 0;
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (S_ISDIR(st.st_mode))
		remove_folder(dir, name);
	else
		unlinkat(dir, name, 0);
	return 0;
}

void store_clear_left_overs(const struct store *s)
{
	each_entry(s->fd, ".", clear_one, NULL);
	each_entry(s->fd, STORE_MODULES, clear_one, NULL);
}

static struct err *check_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-";
	uint64_t id;

	if (!*name || strlen(name) > 64 || name[strspn(name, allowed)])
		return err_new(
			ERR_USAGE,
			"'%s' is no name for a checkpoint: at most 64 letters, digits, "
			"'.', '_' and '-'",
			name);
	return store_parse_id(name, &id)
		       ? err_new(ERR_USAGE, "the name '%s' looks like an id", name)
		       : NULL;
}

struct err *store_begin(struct store *s, const char *name, struct pending **ret)
{
	_cleanup_(store_unlock) int lock = -1;
	_cleanup_(pending_abortp) struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	p->dir = -1;
	p->store = s;
	p->committed = true; // nothing to remove yet
	if (name)
		TRY(check_name(name));
	if (name && !(p->name = strdup(name)))
		return err_nomem();
	TRY(store_lock(s, &lock));
	store_clear_left_overs(s);
	store_temporary(p->temporary, sizeof(p->temporary));
	if (mkdirat(s->fd, p->temporary, 0700))
		return store_error(s, errno, "write to");
	p->committed = false;
	p->dir = openat(s->fd, p->temporary,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->dir < 0 || flock(p->dir, LOCK_EX | LOCK_NB))
		return store_error(s, errno, "write to");
	*ret = take_ptr(p);
	return NULL;
}

int pending_dir(const struct pending *p)
{
	return p->dir;
}

static int sync_one(void *arg, int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	(void)arg;
	return fd < 0 || fsync(fd) ? -errno : 0;
}

static struct err *write_file(const struct pending *p, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(
		p->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return store_error(p->store, errno, "write to");
	TRY(write_all(fd, name, text, strlen(text), 0));
	return fsync(fd) ? store_error(p->store, errno, "write to") : NULL;
}

static struct err *add_modules(const struct store *s, json_t *manifest)
{
	json_t *modules;

	TRY(json_put_object(manifest, "modules", &modules));
	vec_for_each(k, &s->kept)
		TRY(json_put(modules, k->key,
			     json_pack("{s:I, s:s}", "size", (json_int_t)k->size, "hash",
				       k->hash)));
	return NULL;
}

static void json_free(json_t **j)
{
	json_decref(*j);
}

static struct err *write_manifest(const struct pending *p, const json_t *given,
				  const char *id)
{
	_cleanup_(json_free) json_t *m = json_copy((json_t *)(uintptr_t)given);
	_cleanup_free_ char *text = NULL;

	if (!m)
		return err_nomem();
	TRY(json_put_int(m, "format", IMAGE_FORMAT));
	TRY(json_put(m, "id", json_string(id)));
	if (!p->name)
		TRY(json_put(m, "name", json_null()));
	else
		TRY(json_put(m, "name", json_string(p->name)));
	if (!json_object_get(m, "parent"))
		TRY(json_put(m, "parent", json_null()));
	TRY(add_modules(p->store, m));
	struct err *e = manifest_check(m, id);
	if (e) {
		e->kind = ERR_INTERNAL; // no reader would take it
		return err_with(err_wrap(e, "the manifest"), NULL, NULL);
	}
	if (!(text = json_dumps(m, JSON_INDENT(2) | JSON_SORT_KEYS)))
		return err_nomem();
	TRY(write_file(p, "manifest.json", text));
	return seal_write(p->store, p->dir, m, text);
}

static struct err *next_id(const struct store *s, char id[STORE_ID_SIZE])
{
	_cleanup_(ids_deinit) struct ids ids = {};

	TRY(store_ids(s, &ids));
	store_format_id(ids.v.n ? ids.v.v[ids.v.n - 1] + 1 : 1, id);
	return NULL;
}

static struct err *commit(struct pending *p, const json_t *manifest, char **id,
			  char **path)
{
	_cleanup_(store_unlock) int lock = -1;
	struct store *s = p->store;
	_cleanup_free_ char *full = NULL, *copy = NULL;
	char text[STORE_ID_SIZE];
	int r = each_entry(p->dir, ".", sync_one, NULL);

	if (r)
		return store_error(s, -r, "write to");
	TRY(store_lock(s, &lock));
	TRY(next_id(s, text));
	TRY(write_manifest(p, manifest, text));
	if (fsync(p->dir))
		return store_error(s, errno, "write to");
	copy = strdup(text);
	if (!copy || asprintf(&full, "%s/%s", s->path, text) < 0) {
		full = NULL;
		return err_nomem();
	}
	if (renameat2(s->fd, p->temporary, s->fd, text, RENAME_NOREPLACE))
		return store_error(s, errno, "write to");
	p->committed = true;
	if (fsync(s->fd)) { // whether it is on the disk is not known
		struct err *e = store_error(s, errno, "write to");
		return err_first(e, store_remove_folder(s, text));
	}
	*id = take_ptr(copy);
	*path = take_ptr(full);
	return NULL;
}

struct err *pending_commit(struct pending *p, json_t *manifest, char **id, char **path)
{
	struct err *e = commit(p, manifest, id, path);

	pending_abort(p);
	return e;
}

void pending_abort(struct pending *p)
{
	if (!p)
		return;
	if (!p->committed)
		remove_folder(p->store->fd, p->temporary);
	if (p->dir >= 0)
		close(p->dir);
	free(p->name);
	free(p);
}

void pending_abortp(struct pending **p)
{
	pending_abort(*p);
}
