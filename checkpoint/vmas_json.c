// SPDX-License-Identifier: LGPL-2.1-or-later
// Mappings as the state has them (docs/checkpoint-format.md, `maps`).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "checkpoint/vmas.h"
#include "image/json.h"
#include "util/cleanup.h"

static const char *const flag_names[] = {
	"shared",   "growsdown", "locked",     "hugetlb",   "hugepage",	  "nohugepage",
	"dontfork", "dontdump",	 "wipeonfork", "noreserve", "sequential", "random",
};

static const char *kind_name(enum vma_kind kind)
{
	switch (kind) {
	case VMA_ANON:
		return "anon";
	case VMA_FILE:
		return "file";
	case VMA_MEMORY:
		return "memory";
	case VMA_VDSO:
		return "vdso";
	case VMA_VVAR:
		break;
	}
	return "vvar";
}

static struct err *put_flags(json_t *object, unsigned flags)
{
	json_t *list;

	TRY(json_put_array(object, "flags", &list));
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (flags & 1U << i)
			TRY(json_add(list, json_string(flag_names[i])));
	return NULL;
}

bool vma_stat(const struct vma *v, pid_t pid, struct stat *ret)
{
	_cleanup_free_ char *path = NULL;
	char link[96];

	snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid,
		 v->m->start, v->m->end);
	if (!stat(link, ret))
		return true;
	if (v->deleted || asprintf(&path, "/proc/%d/root%s", pid, v->m->path) < 0)
		return false;
	return !stat(path, ret) && ret->st_ino == v->m->ino;
}

taddr_t vma_small_end(struct vma *v, pid_t pid)
{
	enum { PAGE = 4096, LARGE = 1 };
	static const uint64_t small = 4 << 20;
	uint64_t len = v->m->end - v->m->start, rest;
	struct stat st;

	if (v->small_end)
		return v->small_end == LARGE ? 0 : v->small_end;
	v->small_end = LARGE;
	if (len > small || v->flags & VMA_HUGETLB || !vma_stat(v, pid, &st) ||
	    __builtin_sub_overflow((uint64_t)st.st_size, v->m->offset, &rest))
		return 0;
	v->small_end = v->m->start + MIN(len, roundup(rest, PAGE));
	return v->small_end;
}

static struct err *put_file(json_t *object, const struct vma *v, pid_t pid)
{
	size_t len = strlen(v->m->path);
	_cleanup_free_ char *path =
		strndup(v->m->path, len - (v->deleted ? strlen(" (deleted)") : 0));
	const int64_t second = 1000000000;
	struct stat st = {0};
	json_t *file;

	if (!path)
		return err_nomem();
	TRY(json_put_object(object, "file", &file));
	TRY(json_put_text(file, "path", path));
	TRY(json_put_int(file, "dev", (int64_t)v->m->dev));
	TRY(json_put_int(file, "ino", (int64_t)v->m->ino));
	if (vma_stat(v, pid, &st)) {
		TRY(json_put_int(file, "size", st.st_size));
		TRY(json_put_int(file, "mtime",
				 st.st_mtim.tv_sec * second + st.st_mtim.tv_nsec));
	}
	TRY(json_put_bool(file, "deleted", v->deleted));
	return v->key ? json_put(file, "key", json_string(v->key)) : NULL;
}

struct err *vma_json(const struct vma *v, pid_t pid, bool stored, json_t *o)
{
	TRY(json_put_int(o, "start", (int64_t)v->m->start));
	TRY(json_put_int(o, "end", (int64_t)v->m->end));
	TRY(json_put_int(o, "prot", v->m->prot));
	TRY(put_flags(o, v->flags));
	TRY(json_put_int(o, "offset", (int64_t)v->m->offset));
	TRY(json_put(o, "kind", json_string(kind_name(v->kind))));
	if (*v->m->path)
		TRY(json_put_text(o, "name", v->m->path));
	if (v->kind == VMA_FILE)
		TRY(put_file(o, v, pid));
	if (v->kind == VMA_MEMORY)
		TRY(json_put_int(o, "memory", (int64_t)v->memory));
	return json_put_bool(o, "stored", stored);
}
