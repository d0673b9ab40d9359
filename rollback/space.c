// SPDX-License-Identifier: LGPL-2.1-or-later
// Mappings: what is new goes, what is gone or another one is made anew (beside, with its contents, and moved to its place
// when it is decided), protections and contents of the rest are put back.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rollback/impl.h"

// A larger mapping is put together of what is there; one up to PARTS_MAX only if that is one.
static const uint64_t WHOLE_MAX = 256 << 20, PARTS_MAX = 16 << 20;

struct piece { // of the address space, with what was and what is there
	taddr_t from, to;
	const struct saved_map *s; // NULL: nothing
	const struct vma *now;	   // NULL: nothing
};

static bool is_kernels(const struct piece *p)
{
	return (p->s && (p->s->kind == SPACE_VDSO || p->s->kind == SPACE_VVAR)) ||
	       (p->now && (p->now->kind == VMA_VDSO || p->now->kind == VMA_VVAR));
}

// Device and inode of what a saved mapping is of; false: it is of none.
static struct err *backing_of(const struct rollback *rb, const struct saved_map *s,
			      uint64_t *dev, uint64_t *ino)
{
	const json_t *o = s->file;

	if (s->kind == SPACE_MEMORY)
		o = json_array_get(json_object_get(rb->objects, "memory"), s->memory);
	TRY(json_get_u64(o, "dev", INT64_MAX, dev));
	return json_get_u64(o, "ino", INT64_MAX, ino);
}

static struct err *is_same(const struct rollback *rb, const struct piece *p, bool *ret)
{
	const struct saved_map *s = p->s;
	const struct mapping *m = p->now->m;
	uint64_t dev, ino;

	*ret = m->shared == !map_is_private(s) &&
	       !(p->now->flags & VMA_HUGETLB) == !(s->flags & MF_HUGETLB) &&
	       !(p->now->flags & VMA_GROWSDOWN) == !(s->flags & MF_GROWSDOWN);
	if (s->kind == SPACE_ANON) {
		*ret = *ret && p->now->kind == VMA_ANON;
		return NULL;
	}
	TRY(backing_of(rb, s, &dev, &ino));
	*ret = *ret && m->dev == dev && m->ino == ino &&
	       s->offset + (p->from - s->start) == m->offset + (p->from - m->start);
	return NULL;
}

static struct err *set_properties(struct rollback *rb, const struct piece *p)
{
	static const struct {
		unsigned flag, vma;
		int on, off;
	} table[] = {
		{MF_DONTFORK, VMA_DONTFORK, MADV_DONTFORK, MADV_DOFORK},
		{MF_DONTDUMP, VMA_DONTDUMP, MADV_DONTDUMP, MADV_DODUMP},
		{MF_WIPEONFORK, VMA_WIPEONFORK, MADV_WIPEONFORK, MADV_KEEPONFORK},
		{MF_HUGEPAGE, VMA_HUGEPAGE, MADV_HUGEPAGE, -1},
		{MF_NOHUGEPAGE, VMA_NOHUGEPAGE, MADV_NOHUGEPAGE, -1},
	};
	struct calls *c = &rb->calls;
	uint64_t len = p->to - p->from;
	unsigned now = p->now ? p->now->flags : 0;

	if (p->s->flags & MF_HUGETLB)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		bool want = p->s->flags & table[i].flag, is = now & table[i].vma;
		int advice = want ? table[i].on : table[i].off;

		if (want != is && advice >= 0)
			TRY(ADD(c, NULL, SYS_madvise, p->from, len, (uint64_t)advice));
	}
	if (!(now & VMA_LOCKED) == !(p->s->flags & MF_LOCKED))
		return NULL;
	return p->s->flags & MF_LOCKED
		       ? ADD(c, "lock memory", SYS_mlock2, p->from, len, MLOCK_ONFAULT)
		       : ADD(c, NULL, SYS_munlock, p->from, len);
}

static struct err *keep(struct rollback *rb, const struct piece *p)
{
	bool opened = false;

	TRY(pages_put_back(rb, p->s, p->now, p->from, p->to, &opened));
	if (opened || p->now->m->prot != p->s->prot)
		TRY(ADD(&rb->calls, "protect memory", SYS_mprotect, p->from,
			p->to - p->from, (uint64_t)p->s->prot));
	return set_properties(rb, p);
}

static struct err *changed(const struct rollback *rb, const char *path)
{
	return err_refuse("mapped-file-changed", path,
			  "process %d mapped %s when it was saved; the mapping is gone "
			  "and the file is another one now",
			  rb->p->pid, path);
}

// The file behind a mapping that is gone: as it was, or the kept copy of it.
static struct err *open_source(const struct rollback *rb, const struct saved_map *s,
			       int *fd)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int f = -1;
	const char *key = json_string_value(json_object_get(s->file, "key"));
	bool write = !map_is_private(s) && s->prot & PROT_WRITE;
	uint64_t dev, ino, size;
	int64_t mtime;
	struct stat st;

	TRY(json_get_text(s->file, "path", PATH_MAX - 1, &path));
	TRY(backing_of(rb, s, &dev, &ino));
	TRY(json_opt_int(s->file, "mtime", INT64_MIN, INT64_MAX, -1, &mtime));
	TRY(json_get_u64(s->file, "size", INT64_MAX, &size));
	f = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f >= 0 && !fstat(f, &st) && S_ISREG(st.st_mode) && st.st_ino == ino &&
	    (uint64_t)st.st_size == size &&
	    st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == mtime) {
		*fd = take_fd(&f);
		return NULL;
	}
	if (!key || write)
		return changed(rb, path);
	return store_module(rb->checkpoint->store, key, fd);
}

static struct err *map_beside(struct rollback *rb, const struct piece *p, int rfd,
			      taddr_t *at)
{
	const struct saved_map *s = p->s;
	int flags = map_is_private(s) ? MAP_PRIVATE : MAP_SHARED;
	taddr_t hole;

	flags |= s->kind == SPACE_ANON ? MAP_ANONYMOUS : 0;
	flags |= s->flags & MF_NORESERVE ? MAP_NORESERVE : 0;
	flags |= s->flags & MF_GROWSDOWN ? MAP_GROWSDOWN : 0;
	TRY(hole_for(rb, p->to - p->from, &hole));
	return helper_mmap(
		rb->h, hole, p->to - p->from, s->prot, flags | MAP_FIXED_NOREPLACE, rfd,
		s->kind == SPACE_ANON ? 0 : s->offset + (p->from - s->start), at);
}

static struct err *make_beside(struct rollback *rb, const struct piece *p, taddr_t *at)
{
	_cleanup_close_ int fd = -1;
	int rfd = -1;

	if (p->s->kind == SPACE_ANON)
		return map_beside(rb, p, -1, at);
	TRY(open_source(rb, p->s, &fd));
	TRY(helper_give_fd(rb->h, fd, &rfd));
	struct err *e = map_beside(rb, p, rfd, at);
	return err_first(e, helper_close(rb->h, rfd));
}

// Its pages are copied when it is at its place: a mapping that was written to elsewhere would never be one with its
// neighbours again, as it was.
static struct err *make(struct rollback *rb, const struct piece *p)
{
	const int open = PROT_READ | PROT_WRITE;
	uint64_t len = p->to - p->from;
	struct calls *c = &rb->calls;
	taddr_t at;

	if (p->s->kind == SPACE_MEMORY || p->s->flags & MF_HUGETLB)
		return err_refuse(
			"memory-gone", p->s->name,
			"the memory at 0x%" PRIx64
			" (%s) of process %d, shared with others or of huge pages, "
			"is gone; it cannot be brought back into a living process",
			p->from, p->s->name, rb->p->pid);
	TRY(make_beside(rb, p, &at));
	TRY(ask_undo(rb->r, &(struct syscall_req){.nr = SYS_munmap, .args = {at, len}}));
	TRY(ADD(c, "map memory again", SYS_mremap, at, len, len,
		MREMAP_MAYMOVE | MREMAP_FIXED, p->from));
	if (map_is_private(p->s)) {
		bool closed = !(p->s->prot & PROT_WRITE);

		if (closed)
			TRY(ADD(c, "make memory writable", SYS_mprotect, p->from, len,
				(uint64_t)(p->s->prot | open)));
		TRY(pages_fill(rb, p->from, p->to));
		if (closed)
			TRY(ADD(c, "protect memory", SYS_mprotect, p->from, len,
				(uint64_t)p->s->prot));
	}
	return set_properties(rb, &(struct piece){p->from, p->to, p->s, NULL});
}

// Whether what is there in the place of a saved private mapping can become that one mapping again: no part is missing or of
// something else, and no two parts lie side by side that the kernel would have made one if it could.
static struct err *is_whole(const struct rollback *rb, const struct saved_map *s,
			    bool *ret)
{
	const struct vma *before = NULL;
	taddr_t at = s->start;

	*ret = true;
	vec_for_each(v, &rb->vmas.v) {
		if (v->m->end <= at || at >= s->end)
			continue;
		struct piece p = {at, MIN(v->m->end, s->end), s, v};

		*ret = v->m->start <= at;
		if (*ret)
			TRY(is_same(rb, &p, ret));
		// Two that differ in their protection may be parts of one, as in a heap of the C library.
		*ret = *ret && !(before && (s->end - s->start <= PARTS_MAX ||
					    (before->m->prot == v->m->prot &&
					     before->flags == v->flags)));
		if (!*ret)
			return NULL;
		before = v;
		at = v->m->end;
	}
	*ret = at >= s->end;
	return NULL;
}

// All of it anew, when the first piece comes.
static struct err *make_whole(struct rollback *rb, const struct piece *p)
{
	const struct piece whole = {p->s->start, p->s->end, p->s, NULL};

	return p->from == p->s->start ? make(rb, &whole) : NULL;
}

static struct err *put_back(struct rollback *rb, const struct piece *p)
{
	bool same = false, whole = true;

	if (is_kernels(p) || (!p->s && !p->now))
		return NULL;
	if (!p->s)
		return ADD(&rb->calls, "unmap memory", SYS_munmap, p->from,
			   p->to - p->from);
	if (map_is_private(p->s) && p->s->kind != SPACE_MEMORY &&
	    p->s->end - p->s->start <= WHOLE_MAX)
		TRY(is_whole(rb, p->s, &whole));
	if (!whole)
		return make_whole(rb, p);
	if (p->now)
		TRY(is_same(rb, p, &same));
	return same ? keep(rb, p) : make(rb, p);
}

static struct err *for_each_piece(struct rollback *rb, bool new_only)
{
	const struct space *s = rb->build.space;
	size_t i = 0, k = 0;

	for (taddr_t at = 0;;) {
		while (i < s->maps.n && s->maps.v[i].end <= at)
			i++;
		while (k < rb->vmas.v.n && rb->vmas.v.v[k].m->end <= at)
			k++;
		const struct saved_map *a = i < s->maps.n ? &s->maps.v[i] : NULL;
		const struct vma *b = k < rb->vmas.v.n ? &rb->vmas.v.v[k] : NULL;
		if (!a && !b)
			return NULL;
		taddr_t next =
			MIN(a ? (a->start > at ? a->start : a->end) : UINT64_MAX,
			    b ? (b->m->start > at ? b->m->start : b->m->end) : UINT64_MAX);
		struct piece p = {at, next, a && a->start <= at ? a : NULL,
				  b && b->m->start <= at ? b : NULL};
		// What is new goes first: its place may be another's.
		if (new_only == !p.s)
			TRY(put_back(rb, &p));
		at = next;
	}
}

// The heap's end. It grows at once, for that may fail, and shrinks when it is decided.
static struct err *put_break_back(struct rollback *rb)
{
	const json_t *mm;
	taddr_t saved;
	int64_t now, ret;

	TRY(json_get_object(rb->state, "mm", &mm));
	TRY(json_get_addr(mm, "brk", &saved));
	TRY(helper_syscall(rb->h, SYS_brk, (uint64_t[6]){0}, &now));
	if ((taddr_t)now > saved)
		return ADD(&rb->calls, NULL, SYS_brk, saved);
	if ((taddr_t)now == saved)
		return NULL;
	TRY(ask_undo(rb->r, &(struct syscall_req){.nr = SYS_brk, .args = {(uint64_t)now}}));
	TRY(helper_syscall(rb->h, SYS_brk, (uint64_t[6]){saved}, &ret));
	return (taddr_t)ret == saved
		       ? NULL
		       : err_refuse("memory-gone", "[heap]",
				    "the heap of process %d cannot grow to where it was",
				    rb->p->pid);
}

// Reading all that the kernel knows of mappings takes milliseconds.
static struct err *look_again(struct rollback *rb)
{
	struct vmas now;

	if (!rb->vmas.v.n)
		return vmas_read(rb->p->pid, true, &rb->vmas);
	TRY(vmas_read_like(rb->p->pid, &rb->vmas, &now));
	vmas_deinit(&rb->vmas);
	rb->vmas = now;
	return NULL;
}

struct err *space_plan(struct rollback *rb)
{
	TRY(put_break_back(rb));
	TRY(look_again(rb));
	TRY(pages_forget_written(rb));
	TRY(for_each_piece(rb, true));
	return for_each_piece(rb, false);
}
