// SPDX-License-Identifier: LGPL-2.1-or-later
// `seal`: what the files of a checkpoint were when it was made. A file with the same size and ctime was not written to since;
// so it need not be hashed again before a restore.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

static void json_free(json_t **j)
{
	json_decref(*j);
}

static struct err *self_hash(const json_t *seal, char hex[CORE_HASH_LEN + 1])
{
	_cleanup_free_ char *text = json_dumps(seal, JSON_COMPACT | JSON_SORT_KEYS);

	if (!text)
		return err_nomem();
	block_hash(text, strlen(text), hex);
	return NULL;
}

static int64_t changed_at(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static struct err *note_file(const struct store *s, int dir, const char *name, json_t *to)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return store_error(s, errno, "write to");
	return json_put(
		to, name,
		json_pack("[I, I]", (json_int_t)st.st_size, (json_int_t)changed_at(&st)));
}

static struct err *note_files(const struct store *s, int dir, const json_t *manifest,
			      json_t *seal)
{
	const json_t *processes = json_object_get(manifest, "processes"), *p, *m;
	const char *key;
	json_t *to;
	size_t i;

	TRY(json_put_object(seal, "files", &to));
	json_array_foreach(processes, i, p)
		TRY(note_file(s, dir, json_string_value(json_object_get(p, "core")), to));
	TRY(json_put_object(seal, "modules", &to));
	json_object_foreach(json_object_get(manifest, "modules"), key, m)
		TRY(note_file(s, s->modules, key, to));
	return NULL;
}

struct err *seal_write(const struct store *s, int dir, const json_t *manifest,
		       const char *manifest_text)
{
	_cleanup_(json_free) json_t *seal = json_object();
	_cleanup_free_ char *text = NULL;
	char hex[CORE_HASH_LEN + 1];

	TRY(note_files(s, dir, manifest, seal));
	block_hash(manifest_text, strlen(manifest_text), hex);
	TRY(json_put(seal, "manifest", json_string(hex)));
	TRY(self_hash(seal, hex));
	TRY(json_put(seal, "self", json_string(hex)));
	if (!(text = json_dumps(seal, JSON_INDENT(2) | JSON_SORT_KEYS)))
		return err_nomem();
	_cleanup_close_ int fd = openat(
		dir, "seal", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return store_error(s, errno, "write to");
	TRY(write_all(fd, "seal", text, strlen(text), 0));
	return fsync(fd) ? store_error(s, errno, "write to") : NULL;
}

static struct err *load_file(const struct store *s, int dir, const char *name,
			     const char *label, char **ret, size_t *len)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	TRY(store_open_at(s, dir, name, label, S_IFREG, &fd));
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", label);
	if (st.st_size > MANIFEST_MAX)
		return image_corrupt(label, "it is too large");
	if (!(text = malloc((size_t)st.st_size + 1)))
		return err_nomem();
	TRY(read_all(fd, label, text, (size_t)st.st_size, 0));
	*len = (size_t)st.st_size;
	*ret = take_ptr(text);
	return NULL;
}

static struct err *check_self(json_t *seal, const char *label)
{
	const char *self = json_string_value(json_object_get(seal, "self"));
	_cleanup_free_ char *want = self ? strdup(self) : NULL;
	char hex[CORE_HASH_LEN + 1];

	json_object_del(seal, "self");
	TRY(self_hash(seal, hex));
	return want && strcmp(want, hex) == 0
		       ? NULL
		       : image_corrupt(label, "its hash is not that of its content");
}

static struct err *check_manifest(const struct store *s, int dir, const char *id,
				  const json_t *seal)
{
	const char *want = json_string_value(json_object_get(seal, "manifest"));
	_cleanup_free_ char *label = NULL, *text = NULL;
	char hex[CORE_HASH_LEN + 1];
	size_t len;

	if (asprintf(&label, "%s/manifest.json", id) < 0) {
		label = NULL;
		return err_nomem();
	}
	TRY(load_file(s, dir, "manifest.json", label, &text, &len));
	block_hash(text, len, hex);
	return want && strcmp(want, hex) == 0
		       ? NULL
		       : image_corrupt(label, "its hash is not the one in the seal");
}

struct err *seal_parse(const char *text, size_t len, const char *label, json_t **ret)
{
	_cleanup_(json_free) json_t *seal = NULL;
	json_error_t why;

	seal = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(seal))
		return image_corrupt(label, "byte %d: %s", seal ? 0 : why.position,
				     seal ? "no object" : why.text);
	TRY(check_self(seal, label));
	*ret = take_ptr(seal);
	return NULL;
}

struct err *seal_load(const struct store *s, int dir, const char *id, json_t **ret)
{
	_cleanup_free_ char *label = NULL, *text = NULL;
	_cleanup_(json_free) json_t *seal = NULL;
	size_t len;

	if (asprintf(&label, "%s/seal", id) < 0) {
		label = NULL;
		return err_nomem();
	}
	TRY(load_file(s, dir, "seal", label, &text, &len));
	TRY(seal_parse(text, len, label, &seal));
	TRY(check_manifest(s, dir, id, seal));
	*ret = take_ptr(seal);
	return NULL;
}

bool seal_holds(const json_t *seal, const char *group, const char *name, int fd)
{
	const json_t *was = json_object_get(json_object_get(seal, group), name);
	struct stat st;

	return !fstat(fd, &st) && json_array_size(was) == 2 &&
	       json_integer_value(json_array_get(was, 0)) == st.st_size &&
	       json_integer_value(json_array_get(was, 1)) == changed_at(&st);
}
