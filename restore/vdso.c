// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernel's own pages (vdso, vvar): moved to where the process had them, and the old memory of a new process cleared away.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/maps.h"
#include "restore/space.h"

enum { PIECES = 4 }; // vdso, vvar and its relatives

struct piece {
	char name[32];
	taddr_t start, end;
};

struct pieces {
	struct piece v[PIECES];
	size_t n;
	taddr_t start, end; // of all
};

static bool is_kernels(const char *name)
{
	return !strcmp(name, "[vdso]") || !strncmp(name, "[vvar", strlen("[vvar"));
}

static struct err *add(struct pieces *p, const char *name, taddr_t start, taddr_t end)
{
	if (p->n == PIECES)
		return err_new(ERR_CORRUPT, "too many parts of the vdso");
	struct piece *q = &p->v[p->n++];
	strncpy(q->name, name, sizeof(q->name) - 1);
	q->start = start;
	q->end = end;
	if (p->n == 1)
		p->start = start;
	p->end = end;
	return NULL;
}

static struct err *saved_pieces(const struct build *b, struct pieces *ret)
{
	*ret = (struct pieces){};
	vec_for_each(m, &b->space->maps)
		if (m->kind == SPACE_VDSO || m->kind == SPACE_VVAR)
			TRY(add(ret, m->name, m->start, m->end));
	return NULL;
}

static struct err *present_pieces(pid_t pid, struct pieces *ret)
{
	struct maps maps;
	struct err *e = maps_read(pid, &maps);

	*ret = (struct pieces){};
	vec_for_each(m, &maps.v)
		if (!e && is_kernels(m->path))
			e = add(ret, m->path, m->start, m->end);
	maps_deinit(&maps);
	return e;
}

static bool same_layout(const struct pieces *a, const struct pieces *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, b->v[i].name) != 0 ||
		    a->v[i].start - a->start != b->v[i].start - b->start ||
		    a->v[i].end - a->start != b->v[i].end - b->start)
			return false;
	return true;
}

static struct err *changed(const struct build *b)
{
	return err_refuse("vdso-changed", "[vdso]",
			  "process %d was saved under another kernel: the code that the "
			  "kernel maps into every process is not the same",
			  b->saved);
}

static struct err *compare_bytes(const struct build *b, const struct piece *saved,
				 const struct piece *own)
{
	size_t len = own->end - own->start;
	_cleanup_free_ char *bytes = malloc(len);

	if (!bytes)
		return err_nomem();
	TRY(core_read_memory(b->core, saved->start, bytes, len));
	return memcmp(bytes, (const void *)(uintptr_t)own->start, len) ? changed(b) : NULL;
}

struct err *space_check_vdso(const struct build *b)
{
	struct pieces saved, own;

	TRY(saved_pieces(b, &saved));
	TRY(present_pieces(getpid(), &own));
	if (!saved.n || !same_layout(&saved, &own))
		return changed(b);
	for (size_t i = 0; i < saved.n; i++)
		if (!strcmp(saved.v[i].name, "[vdso]"))
			TRY(compare_bytes(b, &saved.v[i], &own.v[i]));
	return NULL;
}

typedef VEC(struct syscall_req) req_list;

static struct err *clear_between(req_list *list, taddr_t start, taddr_t end)
{
	if (start >= end)
		return NULL;
	return vec_push(list, (struct syscall_req){.nr = SYS_munmap,
						   .args = {start, end - start}});
}

struct err *space_clear(struct build *b)
{
	struct maps maps;
	taddr_t from = 0;
	req_list list = {};
	struct err *e = maps_read(b->remote.pid, &maps);

	vec_for_each(m, &maps.v) {
		bool ours = m->start >= b->site->addr &&
			    m->end <= b->site->addr + b->site->size;

		if (e || !strcmp(m->path, "[vsyscall]"))
			continue;
		if (ours || is_kernels(m->path)) {
			e = clear_between(&list, from, m->start);
			from = m->end;
		}
	}
	if (!e)
		e = clear_between(&list, from, JSON_ADDR_MAX);
	if (!e)
		e = remote_must(&b->remote, list.v, list.n,
				"cannot unmap what the tool left");
	vec_free(&list);
	maps_deinit(&maps);
	return e;
}

static struct err *move(req_list *list, const struct pieces *from, taddr_t to)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct piece *p = &from->v[i];
		size_t len = p->end - p->start;

		TRY(vec_push(list,
			     (struct syscall_req){.nr = SYS_mremap,
						  .args = {p->start, len, len,
							   MREMAP_MAYMOVE | MREMAP_FIXED,
							   p->start - from->start + to}}));
	}
	return NULL;
}

struct err *space_place_vdso(struct build *b)
{
	struct pieces saved, own;
	req_list list = {};

	TRY(saved_pieces(b, &saved));
	TRY(present_pieces(b->remote.pid, &own));
	if (saved.start == own.start)
		return NULL;
	if (own.end - own.start > SITE_SPARE)
		return err_new(ERR_INTERNAL, "the vdso is larger than expected");
	struct err *e = NULL;
	if (own.start < saved.end && saved.start < own.end) { // not onto itself
		e = move(&list, &own, b->site->spare);
		taddr_t by = b->site->spare - own.start;
		for (size_t i = 0; i < own.n; i++) {
			own.v[i].start += by;
			own.v[i].end += by;
		}
		own.start += by;
	}
	if (!e)
		e = move(&list, &own, saved.start);
	if (!e)
		e = remote_must(&b->remote, list.v, list.n, "cannot move the vdso");
	vec_free(&list);
	return e;
}

struct err *space_syscall_at(const struct build *b, taddr_t *ret)
{
	static const uint8_t instruction[] = {0x0f, 0x05};
	struct pieces saved, own;

	TRY(saved_pieces(b, &saved));
	TRY(present_pieces(getpid(), &own));
	for (size_t i = 0; i < own.n && i < saved.n; i++) {
		const struct piece *p = &own.v[i];
		const void *start = (const void *)(uintptr_t)p->start;

		if (strcmp(p->name, "[vdso]") != 0)
			continue;
		const void *at = memmem(start, p->end - p->start, instruction,
					sizeof(instruction));
		if (!at)
			break;
		*ret = saved.v[i].start + ((taddr_t)(uintptr_t)at - p->start);
		return NULL;
	}
	return err_new(ERR_UNSUPPORTED, "the vdso has no system call instruction");
}
