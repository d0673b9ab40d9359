// SPDX-License-Identifier: LGPL-2.1-or-later
// The filler's work: page faults and other events first, then the next piece in the background.
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <unistd.h>

#include "restore/filler_impl.h"
#include "util/cleanup.h"

enum { PAGE = 4096, PIECE = 1 << 20, AROUND = 64 << 10, EVENTS = 16 };

// Nothing more is to come here: its memory is gone (it ended, or runs another program).
static void forget(struct filler_space *s)
{
	pending_deinit(&s->pending);
	moves_deinit(&s->moves);
	if (s->uffd >= 0)
		close(s->uffd);
	s->uffd = -1;
}

static struct err *serve_events(struct filler *f, size_t index);

// Copies, as far as memory that changes at the same time allows. What is there already stays.
static struct err *put(struct filler *f, size_t index, taddr_t addr, const uint8_t *bytes,
		       size_t len, bool *again)
{
	struct filler_space *s = &f->spaces->v.v[index];
	struct uffdio_copy c = {.dst = addr, .src = (uint64_t)(uintptr_t)bytes, .len = len};
	size_t done = len;

	*again = false;
	if (ioctl(s->uffd, UFFDIO_COPY, &c) < 0) {
		done = c.copy > 0 ? (size_t)c.copy : 0;
		if (errno == EAGAIN)
			*again = true; // first the events
		else if (errno == EEXIST || errno == ENOENT || errno == EFAULT)
			done = PAGE; // not wanted any more
		else if (errno == ESRCH)
			forget(s);
		else
			return err_sys(errno, "cannot bring memory");
	}
	return s->uffd < 0 ? NULL : pending_drop(&s->pending, addr, done);
}

// Brings the piece, or its first part.
static struct err *bring(struct filler *f, size_t index, const struct pending_run *piece)
{
	const uint8_t *bytes;
	struct pending_run now;
	size_t len;
	bool again;

	TRY(filler_bytes(f, piece, &bytes, &len));
	// Looking for the bytes took its time, but the list changes by events only, and these are read here.
	if (!pending_at(&f->spaces->v.v[index].pending, piece->addr, &now))
		return NULL;
	TRY(put(f, index, piece->addr, bytes, MIN(len, now.len), &again));
	return again ? serve_events(f, index) : NULL;
}

static struct err *zero(struct filler *f, size_t index, taddr_t addr)
{
	struct filler_space *s = &f->spaces->v.v[index];
	struct uffdio_zeropage z = {.range = {addr, PAGE}};

	if (!ioctl(s->uffd, UFFDIO_ZEROPAGE, &z))
		return NULL;
	switch (errno) {
	case EAGAIN: // the fault comes again once the events are read
	case EEXIST:
	case ENOENT:
		ioctl(s->uffd, UFFDIO_WAKE, &z.range);
		return NULL;
	case ESRCH:
		forget(s);
		return NULL;
	default:
		return err_sys(errno, "cannot give a zero page");
	}
}

static struct err *serve_fault(struct filler *f, size_t index, taddr_t addr)
{
	struct pending_run run;

	addr -= addr % PAGE;
	if (!pending_at(&f->spaces->v.v[index].pending, addr, &run))
		return zero(f, index, addr);
	run.len = MIN(run.len, AROUND);
	TRY(bring(f, index, &run));
	// Not brought, or there before: the thread looks again.
	struct uffdio_range wake = {addr, PAGE};
	if (f->spaces->v.v[index].uffd >= 0)
		ioctl(f->spaces->v.v[index].uffd, UFFDIO_WAKE, &wake);
	return NULL;
}

static struct err *serve_fork(struct filler *f, size_t index, int uffd)
{
	struct filler_space child = {
		.uffd = uffd, .pidfd = -1, .pid = f->spaces->v.v[index].pid};
	struct err *e = pending_copy(&f->spaces->v.v[index].pending, &child.pending);

	if (!e)
		e = moves_copy(&f->spaces->v.v[index].moves, &child.moves);
	if (!e)
		e = vec_push(&f->spaces->v, child);
	return e ? e : standby_add(f, uffd);
}

static struct err *serve_event(struct filler *f, size_t index, const struct uffd_msg *m)
{
	struct filler_space *s = &f->spaces->v.v[index];

	switch (m->event) {
	case UFFD_EVENT_PAGEFAULT:
		return serve_fault(f, index, m->arg.pagefault.address);
	case UFFD_EVENT_FORK:
		return serve_fork(f, index, (int)m->arg.fork.ufd);
	case UFFD_EVENT_REMAP:
		return moves_remap(&s->moves, &s->pending, m->arg.remap.from,
				   m->arg.remap.to, m->arg.remap.len);
	case UFFD_EVENT_REMOVE:
		return pending_drop(&s->pending, m->arg.remove.start,
				    m->arg.remove.end - m->arg.remove.start);
	case UFFD_EVENT_UNMAP:
		return moves_unmap(&s->moves, &s->pending, m->arg.remove.start,
				   m->arg.remove.end - m->arg.remove.start);
	default:
		return err_new(ERR_INTERNAL, "event %d of userfaultfd is not known",
			       m->event);
	}
}

static struct err *serve_events(struct filler *f, size_t index)
{
	struct uffd_msg messages[EVENTS];
	int uffd = f->spaces->v.v[index].uffd;

	if (uffd < 0)
		return NULL;
	ssize_t n = read(uffd, messages, sizeof(messages));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR
			       ? NULL
			       : err_sys(errno, "cannot hear of page faults");
	// Faults are told of first, though they may have come after a move of the memory that they are about.
	for (int faults = 0; faults <= 1; faults++)
		for (size_t i = 0; i < (size_t)n / sizeof(*messages); i++)
			if (f->spaces->v.v[index].uffd >= 0 &&
			    (messages[i].event == UFFD_EVENT_PAGEFAULT) == faults)
				TRY(serve_event(f, index, &messages[i]));
	return NULL;
}

// Everything that waits.
static struct err *serve_all(struct filler *f)
{
	size_t n = f->spaces->v.n;
	_cleanup_free_ struct pollfd *fds = calloc(n, sizeof(*fds));

	if (!fds)
		return err_nomem();
	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){.fd = f->spaces->v.v[i].uffd, .events = POLLIN};
	if (poll(fds, n, 0) < 0 && errno != EINTR)
		return err_sys(errno, "cannot wait for page faults");
	for (size_t i = 0; i < n; i++)
		if (fds[i].revents)
			TRY(serve_events(f, i));
	return NULL;
}

static bool next_piece(const struct filler *f, size_t *index, struct pending_run *ret)
{
	for (size_t i = 0; i < f->spaces->v.n; i++) {
		const struct filler_space *s = &f->spaces->v.v[i];

		if (s->uffd < 0 || pending_empty(&s->pending))
			continue;
		*ret = pending_next(&s->pending);
		ret->len = MIN(ret->len, PIECE);
		*index = i;
		return true;
	}
	return false;
}

struct err *filler_serve(struct filler *f)
{
	struct pending_run piece;
	size_t index;

	while (next_piece(f, &index, &piece)) {
		TRY(serve_all(f));
		TRY(standby_look(f));
		if (next_piece(f, &index, &piece))
			TRY(bring(f, index, &piece));
	}
	return NULL;
}

static struct err *load(struct cached_block *c, const struct core *core, uint64_t index)
{
	if (!c->data)
		c->data = malloc(CORE_BLOCK);
	if (!c->data)
		return err_nomem();
	c->core = NULL;
	TRY(core_read_block(core, index, c->data, &c->len));
	c->core = core;
	c->index = index;
	return NULL;
}

struct err *filler_bytes(struct filler *f, const struct pending_run *r,
			 const uint8_t **bytes, size_t *len)
{
	uint64_t index = r->offset / CORE_BLOCK, within = r->offset % CORE_BLOCK;
	struct cached_block *oldest = &f->cache[0], *c = NULL;

	for (size_t i = 0; i < CACHED; i++) {
		if (f->cache[i].core == r->core && f->cache[i].index == index)
			c = &f->cache[i];
		if (f->cache[i].used < oldest->used)
			oldest = &f->cache[i];
	}
	if (!c) {
		c = oldest;
		TRY(load(c, r->core, index));
	}
	c->used = ++f->clock;
	if (within >= c->len)
		return err_new(ERR_CORRUPT, "memory beyond the end of the core");
	*bytes = c->data + within;
	*len = MIN(c->len - within, r->len) / PAGE * PAGE;
	return *len ? NULL : err_new(ERR_CORRUPT, "memory beyond the end of the core");
}
