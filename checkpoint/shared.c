// SPDX-License-Identifier: LGPL-2.1-or-later
// See shared.h.
#include "checkpoint/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/json.h"
#include "util/cleanup.h"

enum { PAGE = 4096 };
static const char DELETED[] = " (deleted)";

void shared_deinit(struct shared *s)
{
	vec_for_each(o, &s->v)
		ranges_deinit(&o->stored);
	vec_free(&s->v);
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

// -1: only who may look into map_files gets at it.
static int open_object(pid_t pid, const struct vma *v)
{
	char link[96];

	snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid,
		 v->m->start, v->m->end);
	return open(link, O_RDONLY | O_CLOEXEC);
}

static const char *kind_of(const char *path)
{
	if (begins(path, "/memfd:"))
		return "memfd";
	if (begins(path, "/SYSV"))
		return "sysv";
	return begins(path, "/dev/zero") || begins(path, "/anon_hugepage") ||
			       begins(path, "[")
		       ? "anon"
		       : "shm";
}

static struct err *put_name(json_t *o, const char *path)
{
	const char *from = begins(path, "/memfd:") ? path + strlen("/memfd:") : path;
	size_t n = strlen(from), tail = strlen(DELETED);

	if (n >= tail && !strcmp(from + n - tail, DELETED))
		n -= tail;
	_cleanup_free_ char *name = strndup(from, n);
	return name ? json_put_text(o, "name", name) : err_nomem();
}

// The inode's number is the segment's id.
static struct err *put_sysv(json_t *o, const struct vma *v)
{
	struct shmid_ds ds;

	TRY(json_put_int(o, "shmid", (int64_t)v->m->ino));
	if (shmctl((int)v->m->ino, IPC_STAT, &ds) < 0)
		return NULL; // removed, or another's: it lives as long as its mappings
	TRY(json_put_int(o, "ipc_key", ds.shm_perm.__key));
	TRY(json_put_bool(o, "removed", ds.shm_perm.mode & SHM_DEST));
	TRY(json_put_int(o, "mode", ds.shm_perm.mode & 0777));
	TRY(json_put_int(o, "uid", ds.shm_perm.uid));
	return json_put_int(o, "gid", ds.shm_perm.gid);
}

static struct err *describe(json_t *o, const struct vma *v, int fd)
{
	const char *kind = kind_of(v->m->path);
	uint64_t size = v->m->offset + (v->m->end - v->m->start);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st))
		size = (uint64_t)st.st_size;
	TRY(json_put(o, "kind", json_string(kind)));
	if (strcmp(kind, "anon") != 0)
		TRY(put_name(o, v->m->path));
	TRY(json_put_int(o, "dev", (int64_t)v->m->dev));
	TRY(json_put_int(o, "ino", (int64_t)v->m->ino));
	TRY(json_put_int(o, "size", (int64_t)size));
	TRY(json_put_bool(o, "hugetlb", v->flags & VMA_HUGETLB));
	if (!strcmp(kind, "sysv"))
		TRY(put_sysv(o, v));
	return json_put(o, "pages_in", json_array());
}

static struct err *find(struct shared *s, struct saving *all, struct vma *v, int fd)
{
	json_t *list = json_object_get(all->objects, "memory"), *o;

	for (v->memory = 0; v->memory < s->v.n; v->memory++)
		if (s->v.v[v->memory].dev == v->m->dev &&
		    s->v.v[v->memory].ino == v->m->ino)
			return NULL;
	TRY(vec_push(&s->v, (struct shared_object){.dev = v->m->dev, .ino = v->m->ino}));
	TRY(json_add_object(list, &o));
	return describe(o, v, fd);
}

// Where the file has data, of what the mapping shows; in offsets of the file. A hole is not touched: that would fill it.
static struct err *data_of(const struct vma *v, int fd, struct page_ranges *ret)
{
	uint64_t at = v->m->offset, end = at + (v->m->end - v->m->start);

	if (fd < 0)
		return ranges_append(ret, at, end - at);
	while (at < end) {
		off_t from = lseek(fd, (off_t)at, SEEK_DATA);
		off_t to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);

		if (from < 0 && errno == ENXIO)
			return NULL;
		if (from < 0 || to < 0) { // hugetlbfs has no holes
			from = (off_t)at;
			to = (off_t)end;
		}
		uint64_t first = MAX((uint64_t)from / PAGE * PAGE, at);
		uint64_t last = MIN(roundup((uint64_t)to, PAGE), end);
		if (first >= last)
			return NULL;
		TRY(ranges_append(ret, first, last - first));
		at = last;
	}
	return NULL;
}

static struct err *to_addresses(const struct vma *v, const struct page_ranges *offsets,
				struct page_ranges *ret)
{
	vec_for_each(r, &offsets->v)
		TRY(ranges_append(ret, v->m->start + (r->addr - v->m->offset), r->len));
	return NULL;
}

static struct err *put_parts(const struct saving *all, pid_t pid, const struct vma *v,
			     const struct page_ranges *offsets)
{
	json_t *o = json_array_get(json_object_get(all->objects, "memory"), v->memory),
	       *part;

	vec_for_each(r, &offsets->v) {
		TRY(json_add_object(json_object_get(o, "pages_in"), &part));
		TRY(json_put_int(part, "pid", pid));
		TRY(json_put_int(part, "start",
				 (int64_t)(v->m->start + (r->addr - v->m->offset))));
		TRY(json_put_int(part, "len", (int64_t)r->len));
		TRY(json_put_int(part, "offset", (int64_t)r->addr));
	}
	return NULL;
}

static struct err *take_shared(struct shared *s, struct saving *all, pid_t pid,
			       const struct vma *v, const struct page_ranges *data,
			       struct page_ranges *ret)
{
	_cleanup_(ranges_deinit) struct page_ranges fresh = {0};
	struct shared_object *o = &s->v.v[v->memory];
	struct page_ranges all_of_it;

	TRY(ranges_minus(data, &o->stored, &fresh));
	TRY(ranges_union(&o->stored, &fresh, &all_of_it));
	ranges_deinit(&o->stored);
	o->stored = all_of_it;
	TRY(put_parts(all, pid, v, &fresh));
	return to_addresses(v, &fresh, ret);
}

// Its own pages and those of the file that it has not copied yet.
static struct err *take_private(const struct pagemap *pages, const struct vma *v,
				const struct page_ranges *data, struct page_ranges *ret)
{
	_cleanup_(ranges_deinit) struct page_ranges own = {0}, dirty = {0}, file = {0},
						    both = {0};
	struct vma touched = *v;

	touched.content = CONTENT_TOUCHED;
	TRY(pagemap_scan(pages, &touched, SCAN_ALL, &own, &dirty));
	TRY(to_addresses(v, data, &file));
	TRY(ranges_union(&own, &file, &both));
	vec_for_each(r, &both.v)
		TRY(ranges_append(ret, r->addr, r->len));
	return NULL;
}

struct err *shared_take(struct shared *s, struct saving *all, pid_t pid,
			const struct pagemap *pages, struct vma *v,
			struct page_ranges *ret)
{
	_cleanup_(ranges_deinit) struct page_ranges data = {0};
	_cleanup_close_ int fd = open_object(pid, v);

	TRY(find(s, all, v, fd));
	TRY(data_of(v, fd, &data));
	return v->m->shared ? take_shared(s, all, pid, v, &data, ret)
			    : take_private(pages, v, &data, ret);
}
