// SPDX-License-Identifier: LGPL-2.1-or-later
// modules/: programs and libraries that checkpoints map, once each.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

// Opened once and locked shared: nobody collects modules before the checkpoint that needs them is there.
static struct err *open_modules(struct store *s)
{
	if (s->modules >= 0)
		return NULL;
	if (mkdirat(s->fd, STORE_MODULES, 0700) && errno != EEXIST)
		return store_error(s, errno, "write to");
	_cleanup_close_ int fd = -1;
	TRY(store_open_at(s, s->fd, STORE_MODULES, STORE_MODULES, S_IFDIR, &fd));
	while (flock(fd, LOCK_SH))
		if (errno != EINTR)
			return store_error(s, errno, "lock");
	s->modules = take_fd(&fd);
	return NULL;
}

static struct err *whole_hash(int fd, const char *name, uint64_t size,
			      char hex[CORE_HASH_LEN + 1])
{
	json_t *blocks = NULL;
	_cleanup_free_ char *text = NULL;

	TRY(hash_blocks(fd, name, size, &blocks));
	text = json_dumps(blocks, JSON_COMPACT);
	json_decref(blocks);
	if (!text)
		return err_nomem();
	block_hash(text, strlen(text), hex);
	return NULL;
}

static struct err *copy_bytes(const struct store *s, int from, int to, uint64_t size)
{
	off_t at = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return NULL;
	while ((uint64_t)at < size) {
		ssize_t n = sendfile(to, from, &at, size - (uint64_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return store_error(s, errno, "copy a module to");
		if (n == 0)
			return err_new(ERR_SYSTEM,
				       "a module became shorter while copied");
	}
	return NULL;
}

static struct err *write_module(const struct store *s, int fd, uint64_t size,
				const char *temporary, const char *key)
{
	_cleanup_close_ int to =
		openat(s->modules, temporary,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (to < 0)
		return store_error(s, errno, "write to");
	if (flock(to, LOCK_EX | LOCK_NB))
		return store_error(s, errno, "lock a file of");
	TRY(copy_bytes(s, fd, to, size));
	if (fsync(to))
		return store_error(s, errno, "write to");
	if (renameat2(s->modules, temporary, s->modules, key, RENAME_NOREPLACE)) {
		if (errno != EEXIST) // another tool was quicker
			return store_error(s, errno, "write to");
		unlinkat(s->modules, temporary, 0);
	}
	return fsync(s->modules) ? store_error(s, errno, "write to") : NULL;
}

static struct err *add_module(const struct store *s, int fd, const struct kept_module *k)
{
	char temporary[32];

	store_temporary(temporary, sizeof(temporary));
	struct err *e = write_module(s, fd, k->size, temporary, k->key);
	if (e)
		unlinkat(s->modules, temporary, 0);
	return e;
}

// Whether what is kept under the key is this very file.
static bool is_kept(const struct store *s, const struct kept_module *k)
{
	_cleanup_close_ int fd =
		openat(s->modules, k->key, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char hex[CORE_HASH_LEN + 1];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != k->size)
		return false;
	struct err *e = whole_hash(fd, k->key, k->size, hex);
	bool same = !e && strcmp(hex, k->hash) == 0;
	err_free(e);
	return same;
}

static const struct kept_module *noted(const struct store *s, const char *key)
{
	vec_for_each(k, &s->kept)
		if (strcmp(k->key, key) == 0)
			return k;
	return NULL;
}

// Another file of the same build-id is there (stripped since, or damaged): what maps this one needs these very bytes.
static bool is_taken(const struct store *s, const struct kept_module *k)
{
	return !faccessat(s->modules, k->key, F_OK, AT_SYMLINK_NOFOLLOW) && !is_kept(s, k);
}

static struct err *keep(struct store *s, int fd, char key[MODULE_KEY_SIZE])
{
	_cleanup_(store_unlock) int lock = -1;
	struct kept_module k = {.key = key};
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at the module %s", key);
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_INTERNAL, "module %s is no regular file", key);
	k.size = (uint64_t)st.st_size;
	TRY(whole_hash(fd, key, k.size, k.hash));
	const struct kept_module *same = noted(s, key);
	if (same && strcmp(same->hash, k.hash) == 0)
		return NULL;
	TRY(store_lock(s, &lock));
	if (is_taken(s, &k)) {
		snprintf(key, MODULE_KEY_SIZE, "xxh-%s", k.hash);
		if (noted(s, key))
			return NULL;
		// Nothing but these bytes can have that name; what has it without them is damaged.
		if (is_taken(s, &k))
			unlinkat(s->modules, key, 0);
	}
	if (!is_kept(s, &k))
		TRY(add_module(s, fd, &k));
	if (!(k.key = strdup(key)))
		return err_nomem();
	struct err *e = vec_push(&s->kept, k);
	if (e)
		free(k.key);
	return e;
}

struct err *store_keep_module(struct store *s, int fd, char key[MODULE_KEY_SIZE])
{
	if (!module_key_valid(key))
		return err_new(ERR_INTERNAL, "'%s' is no key of a module", key);
	TRY(open_modules(s));
	return keep(s, fd, key);
}

struct err *store_module(const struct store *s, const char *key, int *fd)
{
	_cleanup_free_ char *label = NULL;

	if (!module_key_valid(key))
		return err_with(err_new(ERR_CORRUPT, "'%.150s' is no key of a module", key),
				"checkpoint-corrupt", NULL);
	if (asprintf(&label, STORE_MODULES "/%s", key) < 0) {
		label = NULL;
		return err_nomem();
	}
	_cleanup_close_ int dir = -1;
	TRY(store_open_at(s, s->fd, STORE_MODULES, STORE_MODULES, S_IFDIR, &dir));
	return store_open_at(s, dir, key, label, S_IFREG, fd);
}

struct err *module_verify(const struct store *s, const char *key, const json_t *noted)
{
	_cleanup_close_ int fd = -1;
	char hex[CORE_HASH_LEN + 1];
	struct stat st;

	TRY(store_module(s, key, &fd));
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at module %s", key);
	if (st.st_size != json_integer_value(json_object_get(noted, "size")))
		return image_corrupt(key, "module %s has another size (%lld)", key,
				     (long long)st.st_size);
	TRY(whole_hash(fd, key, (uint64_t)st.st_size, hex));
	return strcmp(hex, json_string_value(json_object_get(noted, "hash")))
		       ? image_corrupt(key, "module %s is damaged", key)
		       : NULL;
}

// Keys that checkpoints name, in one object.
static struct err *keys_in_use(const struct store *s, json_t *used)
{
	_cleanup_(ids_deinit) struct ids ids = {};

	TRY(store_ids(s, &ids));
	vec_for_each(id, &ids.v) {
		char text[STORE_ID_SIZE];
		_cleanup_close_ int dir = -1;
		json_t *m = NULL;

		store_format_id(*id, text);
		TRY(open_folder(s, text, &dir, &m));
		int r = json_object_update(used, json_object_get(m, "modules"));
		json_decref(m);
		if (r)
			return err_nomem();
	}
	return NULL;
}

static void remove_unused(int modules, const json_t *used)
{
	int fd = openat(modules, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (module_key_valid(e->d_name) && !json_object_get(used, e->d_name))
			unlinkat(modules, e->d_name, 0);
	closedir(d);
}

struct err *store_collect_modules(const struct store *s)
{
	_cleanup_close_ int modules = openat(
		s->fd, STORE_MODULES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	json_t *used = json_object();

	if (!used)
		return err_nomem();
	if (modules >= 0 && flock(modules, LOCK_EX | LOCK_NB) == 0) {
		// One that cannot be read may need any of them.
		struct err *e = keys_in_use(s, used);

		if (!e)
			remove_unused(modules, used);
		err_free(e);
	}
	json_decref(used);
	return NULL;
}
