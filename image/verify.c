// SPDX-License-Identifier: LGPL-2.1-or-later
// Comparing every byte of a checkpoint, and of those it builds on, with what was written.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "image/compress.h"
#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

static void json_free(json_t **j)
{
	json_decref(*j);
}

static struct err *compare(const char *label, const json_t *want, const json_t *have,
			   uint64_t size)
{
	for (size_t i = 0; i < json_array_size(want); i++) {
		const char *a = json_string_value(json_array_get(want, i));
		const char *b = json_string_value(json_array_get(have, i));
		uint64_t from = (uint64_t)i * CORE_BLOCK, to = from + CORE_BLOCK;

		if (!a || !b || strcmp(a, b))
			return image_corrupt(label, "bytes %llu to %llu are damaged",
					     (unsigned long long)from,
					     (unsigned long long)(to < size ? to : size) -
						     1);
	}
	return NULL;
}

static struct err *verify_core(const struct store *s, int dir, const char *id,
			       const json_t *process, const json_t *seal, bool quick)
{
	const char *name = json_string_value(json_object_get(process, "core"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(process, "size"));
	_cleanup_(json_free) json_t *have = NULL;
	_cleanup_free_ char *label = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&label, "%s/%s", id, name) < 0) {
		label = NULL;
		return err_nomem();
	}
	TRY(store_open_at(s, dir, name, label, S_IFREG, &fd));
	if (quick && seal_holds(seal, "files", name, fd))
		return NULL;
	if (core_is_compressed(name)) {
		TRY(hash_compressed(fd, label, size, &have));
	} else {
		if (fstat(fd, &st))
			return err_sys(errno, "cannot look at %s", label);
		if ((uint64_t)st.st_size != size)
			return image_corrupt(label, "it has %lld bytes and had %llu",
					     (long long)st.st_size,
					     (unsigned long long)size);
		TRY(hash_blocks(fd, label, size, &have));
	}
	return compare(label, json_object_get(process, "blocks"), have, size);
}

static struct err *verify_modules(const struct store *s, const json_t *manifest,
				  const json_t *seal, bool quick)
{
	json_t *modules = json_object_get(manifest, "modules"), *m;
	const char *key;

	json_object_foreach(modules, key, m)
	{
		_cleanup_close_ int fd = -1;

		TRY(store_module(s, key, &fd));
		if (!quick || !seal_holds(seal, "modules", key, fd))
			TRY(module_verify(s, key, m));
	}
	return NULL;
}

static struct err *verify_one(const struct store *s, int dir, const char *id,
			      const json_t *manifest, bool quick)
{
	const json_t *processes = json_object_get(manifest, "processes"), *p;
	_cleanup_(json_free) json_t *seal = NULL;
	size_t i;

	TRY(seal_load(s, dir, id, &seal));
	json_array_foreach(processes, i, p) TRY(verify_core(s, dir, id, p, seal, quick));
	return verify_modules(s, manifest, seal, quick);
}

struct err *checkpoint_verify(const struct checkpoint *c, bool quick)
{
	_cleanup_(json_free) json_t *m = json_incref(c->manifest);

	TRY(verify_one(c->store, c->dir, c->id, m, quick));
	for (int depth = 0;; depth++) {
		_cleanup_free_ char *parent = NULL;
		const char *id = json_string_value(json_object_get(m, "parent"));
		_cleanup_close_ int dir = -1;
		json_t *next;

		if (!id)
			return NULL;
		if (depth == PARENTS_MAX)
			return image_corrupt(c->id, "it builds on more than %d others",
					     PARENTS_MAX);
		if (!(parent = strdup(id)))
			return err_nomem();
		TRY(err_wrap(open_folder(c->store, parent, &dir, &next), "parent of %s",
			     c->id));
		json_decref(m);
		m = next;
		TRY(verify_one(c->store, dir, parent, m, quick));
	}
}
