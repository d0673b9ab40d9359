// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that molt and the process share until all is done, and lists of calls.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rollback/impl.h"

enum { ALIGN = 64 };
static const uint64_t CHUNK = 4 << 20, CHUNK_MAX = 1ULL << 38;

static struct err *map_chunk(struct rollback *rb, int rfd, int fd, struct chunk *c)
{
	int64_t ignored;
	taddr_t at;

	if (ftruncate(fd, (off_t)c->size))
		return err_sys(errno, "cannot make room for %llu bytes",
			       (unsigned long long)c->size);
	// Page faults cost more than the copies that this is for.
	c->map = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		      fd, 0);
	if (c->map == MAP_FAILED) {
		c->map = NULL;
		return err_sys(errno, "cannot map a memory file");
	}
	TRY(hole_for(rb, c->size, &at));
	TRY(helper_mmap(rb->h, at, c->size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE, rfd, 0, &c->addr));
	TRY(helper_syscall(rb->h, SYS_madvise,
			   (uint64_t[6]){c->addr, c->size, MADV_POPULATE_READ}, &ignored));
	return helper_syscall(rb->h, SYS_madvise,
			      (uint64_t[6]){c->addr, c->size, MADV_DONTFORK}, &ignored);
}

static struct err *add_chunk(struct rollback *rb, uint64_t size)
{
	struct chunk c = {.size = size};
	_cleanup_close_ int fd = -1;
	int rfd;

	TRY(vec_reserve(&rb->chunks, 1));
	TRY(helper_memfd(rb->h, ASK_STAGE_NAME, &rfd, &fd));
	struct err *e = map_chunk(rb, rfd, fd, &c);
	rb->chunks.v[rb->chunks.n++] = c;
	return err_first(e, helper_close(rb->h, rfd));
}

struct err *stage_take(struct rollback *rb, uint64_t len, void **ret, taddr_t *at)
{
	struct chunk *c = rb->chunks.n ? &rb->chunks.v[rb->chunks.n - 1] : NULL;
	uint64_t from = c ? roundup(c->used, ALIGN) : 0;

	if (len > CHUNK_MAX)
		return err_new(ERR_INTERNAL, "%llu bytes at once",
			       (unsigned long long)len);
	if (!c || from > c->size || len > c->size - from) {
		TRY(add_chunk(rb, MAX(CHUNK, roundup(len, 4096ULL))));
		c = &rb->chunks.v[rb->chunks.n - 1];
		from = 0;
	}
	*ret = c->map + from;
	*at = c->addr + from;
	c->used = from + len;
	return NULL;
}

struct err *stage_reserve(struct rollback *rb, uint64_t len)
{
	const struct chunk *c = rb->chunks.n ? &rb->chunks.v[rb->chunks.n - 1] : NULL;

	return c && c->size - c->used >= len ? NULL : add_chunk(rb, roundup(len, 4096ULL));
}

struct err *stage_put(struct rollback *rb, const void *data, size_t len, taddr_t *at)
{
	void *room;

	TRY(stage_take(rb, len, &room, at));
	memcpy(room, data, len);
	return NULL;
}

struct err *stage_unmap(struct rollback *rb)
{
	struct err *e = NULL;

	vec_for_each(c, &rb->chunks) {
		if (c->addr)
			e = err_first(e, helper_munmap(rb->h, c->addr, c->size));
		c->addr = 0;
	}
	return e;
}

void stage_deinit(struct rollback *rb)
{
	vec_for_each(c, &rb->chunks)
		if (c->map)
			munmap(c->map, c->size);
	vec_free(&rb->chunks);
}

struct err *calls_add(struct calls *c, const char *what, long nr, const uint64_t args[6])
{
	struct syscall_req req = {.nr = nr};

	memcpy(req.args, args, sizeof(req.args));
	TRY(vec_push(&c->v, req));
	return vec_push(&c->what, what);
}

struct err *calls_stage(struct rollback *rb, struct calls *c, taddr_t *at)
{
	void *room;

	*at = 0;
	if (!c->v.n)
		return NULL;
	TRY(stage_take(rb, c->v.n * sizeof(*c->v.v), &room, at));
	memcpy(room, c->v.v, c->v.n * sizeof(*c->v.v));
	c->there = room;
	return NULL;
}

struct err *calls_judge(struct rollback *rb, const struct calls *c, const char *whose,
			size_t *failed)
{
	for (size_t i = 0; c->there && i < c->v.n; i++) {
		if (c->there[i].ret >= 0 || !c->what.v[i])
			continue;
		++*failed;
		TRY(rollback_note(rb, "%s: cannot %s: %s", whose, c->what.v[i],
				  strerrordesc_np((int)-c->there[i].ret)));
	}
	return NULL;
}

void calls_deinit(struct calls *c)
{
	vec_free(&c->v);
	vec_free(&c->what);
}

struct err *rollback_note(struct rollback *rb, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_nomem();
	struct err *e = vec_push(&rb->ret->notes, text);
	if (e)
		free(text);
	return e;
}
