// SPDX-License-Identifier: LGPL-2.1-or-later
// manifest.json: reading and checking it. Names of files in it are taken only in the one form that molt writes.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

enum { MODULES_MAX = 1 << 16 };

static bool is_hex(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return n && !s[n];
}

bool module_key_valid(const char *key)
{
	return strlen(key) < MODULE_KEY_SIZE &&
	       is_hex(strncmp(key, "xxh-", 4) == 0 ? key + 4 : key);
}

static struct err *check_hash(const char *hash)
{
	return strlen(hash) == CORE_HASH_LEN && is_hex(hash)
		       ? NULL
		       : err_new(ERR_CORRUPT, "a hash has not its form");
}

static struct err *check_blocks(const json_t *process, uint64_t size)
{
	const json_t *blocks, *b;
	size_t i;

	TRY(json_get_array(process, "blocks", SIZE_MAX, &blocks));
	if (json_array_size(blocks) != (size + CORE_BLOCK - 1) / CORE_BLOCK)
		return err_new(ERR_CORRUPT, "%zu blocks are not %llu bytes",
			       json_array_size(blocks), (unsigned long long)size);
	json_array_foreach(blocks, i, b)
	{
		const char *hash = json_string_value(b);

		if (!hash)
			return err_new(ERR_CORRUPT, "a block has no hash");
		TRY(check_hash(hash));
	}
	return NULL;
}

static struct err *check_process(const json_t *process)
{
	const char *core;
	char plain[32], compressed[32];
	uint64_t size;
	pid_t pid;

	TRY(json_get_pid(process, "pid", &pid));
	TRY(json_get_string(process, "core", &core));
	snprintf(plain, sizeof(plain), "core.%d", pid);
	snprintf(compressed, sizeof(compressed), "core.%d.zst", pid);
	if (strcmp(core, plain) && strcmp(core, compressed))
		return err_new(ERR_CORRUPT, "member 'core' is not %s", plain);
	TRY(json_get_u64(process, "size", INT64_MAX, &size));
	return check_blocks(process, size);
}

static struct err *check_modules(const json_t *manifest)
{
	const json_t *modules, *m;
	const char *key, *hash;
	uint64_t size;

	TRY(json_get_object(manifest, "modules", &modules));
	if (json_object_size(modules) > MODULES_MAX)
		return err_new(ERR_CORRUPT, "too many modules");
	// jansson iterates objects by a pointer without const.
	json_object_foreach((json_t *)(uintptr_t)modules, key, m)
	{
		if (!module_key_valid(key))
			return err_new(ERR_CORRUPT,
				       "the key of a module has not its form");
		TRY(json_get_u64(m, "size", INT64_MAX, &size));
		TRY(json_get_string(m, "hash", &hash));
		TRY(check_hash(hash));
	}
	return NULL;
}

static struct err *check_id(const json_t *manifest, const char *id)
{
	const char *own, *parent;
	uint64_t number = 0, before = 0;
	char text[STORE_ID_SIZE];

	TRY(json_get_string(manifest, "id", &own));
	if (strcmp(own, id) || !store_parse_id(own, &number))
		return err_new(ERR_CORRUPT, "member 'id' is not %s", id);
	TRY(json_opt_string(manifest, "parent", NULL, &parent));
	if (!parent)
		return NULL;
	if (!store_parse_id(parent, &before) || before >= number)
		return err_new(ERR_CORRUPT, "member 'parent' is no earlier id");
	store_format_id(before, text);
	return strcmp(text, parent) ? err_new(ERR_CORRUPT, "member 'parent' is no id")
				    : NULL;
}

static int by_pid(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static struct err *check_processes(const json_t *manifest)
{
	const json_t *processes, *p;
	_cleanup_free_ pid_t *pids = NULL;
	size_t i, n;

	TRY(json_get_array(manifest, "processes", PROCESSES_MAX, &processes));
	n = json_array_size(processes);
	if (!n)
		return err_new(ERR_CORRUPT, "it has no process");
	if (!(pids = calloc(n, sizeof(*pids))))
		return err_nomem();
	json_array_foreach(processes, i, p)
	{
		TRY(json_at(check_process(p), "processes", i));
		TRY(json_get_pid(p, "pid", &pids[i]));
	}
	qsort(pids, n, sizeof(*pids), by_pid);
	for (i = 1; i < n; i++)
		if (pids[i] == pids[i - 1])
			return err_new(ERR_CORRUPT, "two processes have the pid %d",
				       pids[i]);
	return NULL;
}

struct err *manifest_check(const json_t *manifest, const char *id)
{
	int format;

	TRY(json_get_i32(manifest, "format", 0, INT32_MAX, &format));
	if (format != IMAGE_FORMAT)
		return err_with(err_new(ERR_UNSUPPORTED,
					"it has format %d, this molt reads %d", format,
					IMAGE_FORMAT),
				"checkpoint-format", id);
	TRY(check_id(manifest, id));
	TRY(check_modules(manifest));
	return check_processes(manifest);
}

struct err *manifest_parse(const char *text, size_t len, const char *id, json_t **ret)
{
	json_error_t why;
	struct err *e;
	json_t *m = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	if (!m)
		return json_error_code(&why) == json_error_out_of_memory
			       ? err_nomem()
			       : err_new(ERR_CORRUPT, "byte %d: %s", why.position,
					 why.text);
	e = manifest_check(m, id);
	if (e)
		json_decref(m);
	else
		*ret = m;
	return e;
}

struct err *manifest_load(const struct store *s, int dir, const char *id, json_t **ret)
{
	_cleanup_free_ char *label = NULL, *text = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;
	struct err *e;

	if (asprintf(&label, "%s/manifest.json", id) < 0) {
		label = NULL;
		return err_nomem();
	}
	TRY(store_open_at(s, dir, "manifest.json", label, S_IFREG, &fd));
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", label);
	if (st.st_size > MANIFEST_MAX)
		return image_corrupt(label, "it is too large");
	if (!(text = malloc((size_t)st.st_size + 1)))
		return err_nomem();
	TRY(read_all(fd, label, text, (size_t)st.st_size, 0));
	e = manifest_parse(text, (size_t)st.st_size, id, ret);
	if (!e)
		return NULL;
	e = err_wrap(e, "%s", label);
	return e->kind == ERR_CORRUPT ? err_with(e, "checkpoint-corrupt", label) : e;
}

const json_t *manifest_process(const json_t *manifest, pid_t pid)
{
	const json_t *processes = json_object_get(manifest, "processes"), *p;
	size_t i;

	json_array_foreach(processes, i, p) if (json_integer_value(json_object_get(
							p, "pid")) == pid) return p;
	return NULL;
}
