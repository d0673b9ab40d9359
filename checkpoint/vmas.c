// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading and judging mappings; see vmas.h.
#include "checkpoint/vmas.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "os/proc.h"
#include "resource/linked.h"
#include "util/cleanup.h"

static const char DELETED[] = " (deleted)";

static const struct {
	char word[3]; // of VmFlags
	unsigned flag;
} words[] = {
	{"sh", VMA_SHARED},    {"gd", VMA_GROWSDOWN},  {"lo", VMA_LOCKED},
	{"ht", VMA_HUGETLB},   {"hg", VMA_HUGEPAGE},   {"nh", VMA_NOHUGEPAGE},
	{"dc", VMA_DONTFORK},  {"dd", VMA_DONTDUMP},   {"wf", VMA_WIPEONFORK},
	{"nr", VMA_NORESERVE}, {"sr", VMA_SEQUENTIAL}, {"rr", VMA_RANDOM},
	{"io", VMA_DEVICE},    {"pf", VMA_DEVICE},
};

void vmas_deinit(struct vmas *v)
{
	vec_free(&v->v);
	maps_deinit(&v->maps);
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);

	return n >= m && !strcmp(s + n - m, with);
}

// The record of an update ("/memfd:molt") and the images it made belong to the process.
bool vma_is_molts(const struct mapping *m)
{
	return begins(m->path, "/memfd:molt-helper") ||
	       begins(m->path, "/memfd:molt:commit") ||
	       begins(m->path, "/memfd:molt:gates") ||
	       begins(m->path, "/memfd:molt:decision") ||
	       begins(m->path, "/memfd:molt:ask") || begins(m->path, "/memfd:molt:stage");
}

static bool is_memory_file(const char *path)
{
	return begins(path, "/memfd:") || begins(path, "/SYSV") ||
	       begins(path, "/dev/zero") || begins(path, "/anon_hugepage");
}

static enum vma_kind kind_of(const struct mapping *m, bool deleted)
{
	if (!strcmp(m->path, "[vdso]"))
		return VMA_VDSO;
	if (begins(m->path, "[vvar"))
		return VMA_VVAR;
	if (!m->ino)
		return VMA_ANON;
	if (begins(m->path, "/anon_hugepage") && !m->shared)
		return VMA_ANON; // the kernel has a file for it, the program has none
	if (is_memory_file(m->path) || begins(m->path, "[anon_shmem"))
		return VMA_MEMORY;
	return deleted && m->shared ? VMA_MEMORY : VMA_FILE;
}

static enum vma_content content_of(const struct vma *v)
{
	switch (v->kind) {
	case VMA_ANON:
		return CONTENT_TOUCHED;
	case VMA_FILE:
		return v->m->shared ? CONTENT_NONE : CONTENT_WRITTEN;
	case VMA_MEMORY: // shared contents may have been written by others, through other mappings
	case VMA_VDSO:
		return CONTENT_ALL;
	case VMA_VVAR:
		break;
	}
	return CONTENT_NONE;
}

static struct err *judge(const struct mapping *m, unsigned flags, bool all_memory,
			 struct vmas *ret)
{
	struct vma v = {.m = m, .flags = flags, .memory = SIZE_MAX};

	v.deleted = ends(m->path, DELETED);
	v.kind = kind_of(m, v.deleted);
	if (flags & VMA_DEVICE && v.kind != VMA_VDSO && v.kind != VMA_VVAR)
		return err_refuse("device-mapping", m->path,
				  "the memory at 0x%" PRIx64
				  " is that of a device (%s), which cannot be saved",
				  m->start, *m->path ? m->path : "no name");
	v.content = content_of(&v);
	if (!all_memory && flags & VMA_DONTDUMP && v.content == CONTENT_TOUCHED)
		v.content = CONTENT_NONE;
	return vec_push(&ret->v, v);
}

static bool is_header(const char *line)
{
	return (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
}

static unsigned parse_flags(char *line)
{
	unsigned flags = 0;
	char *save;

	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (!strcmp(w, words[i].word))
				flags |= words[i].flag;
	return flags;
}

struct lines {	       // of smaps
	char *headers; // those that maps has, too
	VEC(unsigned) flags;
};

static void lines_deinit(struct lines *l)
{
	free(l->headers);
	vec_free(&l->flags);
}

static struct err *split(char *text, size_t len, struct lines *ret)
{
	size_t used = 0;
	char *save;

	ret->headers = malloc(len + 2);
	if (!ret->headers)
		return err_nomem();
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (is_header(line)) {
			size_t n = strlen(line);

			memcpy(ret->headers + used, line, n);
			used += n;
			ret->headers[used++] = '\n';
		} else if (begins(line, "VmFlags:")) {
			TRY(vec_push(&ret->flags,
				     parse_flags(line + strlen("VmFlags:"))));
		}
	}
	ret->headers[used] = '\0';
	return NULL;
}

static struct err *read_proc(pid_t pid, const char *name, char **text, size_t *len)
{
	int r = os_proc_read(pid, 0, name, text, len);

	if (r < 0)
		return err_sys(r == -ENOENT ? ESRCH : r,
			       "cannot read the mappings of process %d", pid);
	return NULL;
}

// Shared memory of several processes may be called deleted by one of them alone.
static struct err *find_names(pid_t pid, struct maps *maps)
{
	char *name;

	vec_for_each(m, &maps->v) {
		if (!m->shared || !m->ino || is_memory_file(m->path) ||
		    !linked_is_called_deleted(m->path))
			continue;
		TRY(linked_name(pid, m->path, m->dev, m->ino, &name));
		if (!name)
			continue;
		free(m->path);
		m->path = name;
	}
	return NULL;
}

static struct err *read_maps(pid_t pid, struct maps *ret)
{
	TRY(maps_read(pid, ret));
	return find_names(pid, ret); // the caller frees what there is
}

static struct err *judge_all(const unsigned *flags, size_t n, bool all_memory,
			     struct vmas *ret)
{
	if (ret->maps.v.n != n)
		return err_new(ERR_INTERNAL, "%zu mappings with %zu sets of flags",
			       ret->maps.v.n, n);
	for (size_t i = 0; i < n; i++) {
		const struct mapping *m = &ret->maps.v.v[i];

		if (!vma_is_molts(m) && strcmp(m->path, "[vsyscall]") != 0)
			TRY(judge(m, flags[i], all_memory, ret));
	}
	return NULL;
}

struct err *vmas_read(pid_t pid, bool all_memory, struct vmas *ret)
{
	_cleanup_(lines_deinit) struct lines lines = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;

	*ret = (struct vmas){0};
	TRY(read_proc(pid, "smaps", &text, &len));
	TRY(split(text, len, &lines));
	struct err *e = maps_parse(lines.headers, &ret->maps);
	if (!e)
		e = find_names(pid, &ret->maps);
	if (!e)
		e = judge_all(lines.flags.v, lines.flags.n, all_memory, ret);
	if (e)
		vmas_deinit(ret);
	return err_wrap(e, "process %d", pid);
}

static bool equal(const struct mapping *a, const struct mapping *b)
{
	return a->start == b->start && a->end == b->end && a->prot == b->prot &&
	       a->shared == b->shared && a->offset == b->offset && a->dev == b->dev &&
	       a->ino == b->ino && !strcmp(a->path, b->path);
}

struct err *vmas_read_again(pid_t pid, const struct vmas *before, struct vmas *ret,
			    bool *same)
{
	size_t n = before->maps.v.n;

	*ret = (struct vmas){0};
	struct err *e = read_maps(pid, &ret->maps);
	*same = !e && ret->maps.v.n == n;
	for (size_t i = 0; i < n && *same; i++)
		*same = equal(&ret->maps.v.v[i], &before->maps.v.v[i]);
	vec_for_each(v, &before->v) {
		struct vma copy = *v;

		copy.m = ret->maps.v.v + (v->m - before->maps.v.v);
		if (*same && !e)
			e = vec_push(&ret->v, copy);
	}
	if (e || !*same)
		vmas_deinit(ret);
	return e;
}

static bool continues(const struct mapping *now, const struct mapping *before)
{
	return before->start < now->end && before->end > now->start &&
	       before->dev == now->dev && before->ino == now->ino &&
	       before->shared == now->shared;
}

static unsigned flags_like(const struct mapping *m, const struct vmas *before)
{
	vec_for_each(v, &before->v)
		if (continues(m, v->m))
			return v->flags;
	return (m->shared ? VMA_SHARED : 0) |
	       (begins(m->path, "[stack]") ? VMA_GROWSDOWN : 0) |
	       (begins(m->path, "/anon_hugepage") ? VMA_HUGETLB : 0);
}

struct err *vmas_read_like(pid_t pid, const struct vmas *before, struct vmas *ret)
{
	*ret = (struct vmas){0};
	struct err *e = read_maps(pid, &ret->maps);

	vec_for_each(m, &ret->maps.v)
		if (!e && !vma_is_molts(m) && strcmp(m->path, "[vsyscall]") != 0)
			e = judge(m, flags_like(m, before), true, ret);
	if (e)
		vmas_deinit(ret);
	return e;
}
