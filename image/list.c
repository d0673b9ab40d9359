// SPDX-License-Identifier: LGPL-2.1-or-later
// The store's list: all checkpoints, finding one, removing one.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

static struct err *add(const struct store *s, uint64_t number, struct stored_list *ret)
{
	_cleanup_close_ int dir = -1;
	struct stored one = {};
	char id[STORE_ID_SIZE];

	store_format_id(number, id);
	one.broken = open_folder(s, id, &dir, &one.manifest);
	// It was removed since the folder was read.
	if (one.broken && faccessat(s->fd, id, F_OK, AT_SYMLINK_NOFOLLOW) &&
	    errno == ENOENT) {
		err_free(one.broken);
		return NULL;
	}
	one.id = strdup(id);
	if (asprintf(&one.path, "%s/%s", s->path, id) < 0)
		one.path = NULL;
	struct err *e = one.id && one.path ? vec_push(&ret->v, one) : err_nomem();
	if (e) {
		free(one.id);
		free(one.path);
		json_decref(one.manifest);
		err_free(one.broken);
	}
	return e;
}

struct err *store_list(const struct store *s, struct stored_list *ret)
{
	_cleanup_(ids_deinit) struct ids ids = {};
	struct err *e = store_ids(s, &ids);

	vec_for_each(id, &ids.v) {
		if (!e)
			e = add(s, *id, ret);
	}
	if (e)
		stored_list_deinit(ret);
	return e;
}

void stored_list_deinit(struct stored_list *l)
{
	vec_for_each(s, &l->v) {
		free(s->id);
		free(s->path);
		json_decref(s->manifest);
		err_free(s->broken);
	}
	vec_free(&l->v);
}

static struct err *no_such(const struct store *s, const char *which)
{
	return err_with(which ? err_new(ERR_USAGE, "there is no checkpoint '%s' in %s",
					which, s->path)
			      : err_new(ERR_USAGE, "there is no checkpoint in %s", s->path),
			"no-checkpoint", which);
}

// The newest of that name.
static struct err *find_name(const struct store *s, const char *name,
			     const struct ids *ids, uint64_t *ret)
{
	for (size_t i = ids->v.n; i--;) {
		_cleanup_close_ int dir = -1;
		json_t *m = NULL;
		char id[STORE_ID_SIZE];

		store_format_id(ids->v.v[i], id);
		struct err *e = open_folder(s, id, &dir, &m);
		const char *own = json_string_value(json_object_get(m, "name"));
		bool found = own && strcmp(own, name) == 0;
		json_decref(m);
		err_free(e); // what cannot be read has no name
		if (found) {
			*ret = ids->v.v[i];
			return NULL;
		}
	}
	return no_such(s, name);
}

struct err *store_look_up(const struct store *s, const char *which, char id[STORE_ID_SIZE])
{
	_cleanup_(ids_deinit) struct ids ids = {};
	uint64_t number = 0;

	TRY(store_ids(s, &ids));
	if (!which && !ids.v.n)
		return no_such(s, NULL);
	if (!which) {
		number = ids.v.v[ids.v.n - 1];
	} else if (store_parse_id(which, &number)) {
		bool found = false;

		vec_for_each(i, &ids.v)
			found |= *i == number;
		if (!found)
			return no_such(s, which);
	} else {
		TRY(find_name(s, which, &ids, &number));
	}
	store_format_id(number, id);
	return NULL;
}

static struct err *check_children(const struct store *s, const char *id)
{
	_cleanup_(stored_list_deinit) struct stored_list all = {};

	TRY(store_list(s, &all));
	vec_for_each(one, &all.v) {
		const char *parent =
			json_string_value(json_object_get(one->manifest, "parent"));

		if (parent && strcmp(parent, id) == 0)
			return err_refuse("has-children", id,
					  "%s builds on %s and would be lost with it",
					  one->id, id);
	}
	return NULL;
}

struct err *store_remove(struct store *s, const char *which, char **removed)
{
	_cleanup_(store_unlock) int lock = -1;
	char id[STORE_ID_SIZE], temporary[32];

	TRY(store_lock(s, &lock));
	TRY(store_look_up(s, which, id));
	TRY(check_children(s, id));
	store_temporary(temporary, sizeof(temporary));
	if (renameat2(s->fd, id, s->fd, temporary, RENAME_NOREPLACE))
		return store_error(s, errno, "remove a checkpoint of");
	TRY(store_remove_folder(s, temporary));
	if (fsync(s->fd))
		return store_error(s, errno, "write to");
	TRY(store_collect_modules(s));
	if (removed && !(*removed = strdup(id)))
		return err_nomem();
	return NULL;
}
