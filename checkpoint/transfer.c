// SPDX-License-Identifier: LGPL-2.1-or-later
// See transfer.h.
#include "checkpoint/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>

#include "os/vm.h"
#include "process/memory.h"
#include "util/cleanup.h"

enum {
	VECTORS = 1024,	    // IOV_MAX
	PORTION = 16 << 20, // of one call of the helper, which has a deadline
	BUFFER = 1 << 20,
	PAGE = 4096,
};

void pieces_deinit(struct pieces *p)
{
	vec_free(&p->v);
}

struct err *transfer_give(struct memory *m, int fd, int *rfd)
{
	struct err *e = m->helper ? helper_give_fd(m->helper, fd, rfd) : NULL;

	if (!e || (e->kind != ERR_UNSUPPORTED && e->kind != ERR_REFUSED))
		return e;
	*rfd = -1;
	err_free(e);
	return NULL;
}

static struct err *file_error(int errnum)
{
	return err_with(err_sys(errnum, "cannot write the checkpoint"),
			errnum == -ENOSPC || errnum == -EDQUOT || errnum == -EFBIG
				? "store-full"
				: NULL,
			NULL);
}

struct err *transfer_put(int fd, const void *buf, uint64_t len, uint64_t offset)
{
	const uint8_t *from = buf;

	while (len) {
		ssize_t n = os_pwrite(fd, from, len, offset);

		if (n <= 0)
			return file_error(n ? (int)n : -EIO);
		from += n;
		len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return NULL;
}

static bool is_fault(const struct err *e)
{
	return e && e->errnum == EFAULT;
}

struct err *transfer_look(const struct memory *m, taddr_t addr, uint8_t *buf, size_t n,
			  bool *there)
{
	struct err *e = mem_read(m->pid, addr, buf, n);

	if (is_fault(e)) {
		err_free(e);
		e = mem_peek(m->pid, addr, buf, n);
	}
	*there = !is_fault(e);
	if (*there)
		return e;
	err_free(e);
	return NULL;
}

static struct err *copy(struct memory *m, int fd, const struct piece *p, uint8_t *buf)
{
	size_t step = BUFFER;

	for (uint64_t done = 0; done < p->len;) {
		size_t n = MIN(p->len - done, step);
		bool there;

		TRY(transfer_look(m, p->addr + done, buf, n, &there));
		if (!there && n > PAGE) {
			step = PAGE;
			continue;
		}
		if (there)
			TRY(transfer_put(fd, buf, n, p->offset + done));
		done += n;
	}
	return NULL;
}

static struct err *copy_all(struct memory *m, int fd, const struct piece *p, size_t n)
{
	_cleanup_free_ uint8_t *buf = malloc(BUFFER);

	if (!buf)
		return err_nomem();
	for (size_t i = 0; i < n; i++)
		TRY(copy(m, fd, &p[i], buf));
	return NULL;
}

struct cursor { // the next byte
	size_t index;
	uint64_t done;
};

struct batch {
	struct iovec v[VECTORS];
	size_t n;
	uint64_t bytes, offset;
};

// As much as stands together in the file.
static void fill(const struct pieces *pieces, struct cursor c, struct batch *b)
{
	b->n = 0;
	b->bytes = 0;
	for (; c.index < pieces->v.n && b->n < VECTORS && b->bytes < PORTION;
	     c.index++, c.done = 0) {
		const struct piece *p = &pieces->v.v[c.index];
		uint64_t len = MIN(p->len - c.done, PORTION - b->bytes);

		if (!b->n)
			b->offset = p->offset + c.done;
		else if (b->offset + b->bytes != p->offset + c.done)
			return;
		b->v[b->n++] = (struct iovec){(void *)(p->addr + c.done), len};
		b->bytes += len;
	}
}

static void advance(const struct pieces *pieces, struct cursor *c, uint64_t bytes)
{
	while (bytes) {
		uint64_t n = MIN(bytes, pieces->v.v[c->index].len - c->done);

		bytes -= n;
		c->done += n;
		if (c->done == pieces->v.v[c->index].len)
			*c = (struct cursor){c->index + 1, 0};
	}
}

// *ret: bytes, or -errno.
static struct err *call(struct memory *m, int rfd, const struct batch *b, int64_t *ret)
{
	size_t size;
	taddr_t at = helper_scratch(m->helper, &size);

	TRY(mem_write(m->pid, at, b->v, b->n * sizeof(*b->v)));
	return helper_syscall(m->helper, SYS_pwritev,
			      (uint64_t[6]){(uint64_t)rfd, at, b->n, b->offset, 0}, ret);
}

static bool is_disk_error(int64_t r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EIO;
}

// Up to the first that the helper cannot write.
static struct err *by_helper(struct memory *m, int *rfd, const struct pieces *pieces,
			     struct cursor *c)
{
	_cleanup_free_ struct batch *b = malloc(sizeof(*b));

	if (!b)
		return err_nomem();
	while (c->index < pieces->v.n) {
		int64_t r;

		fill(pieces, *c, b);
		TRY(call(m, *rfd, b, &r));
		if (is_disk_error(r))
			return file_error((int)r);
		if (r <= 0) {
			if (r != -EFAULT) // a filter, a limit, a security module
				*rfd = -1;
			return NULL;
		}
		advance(pieces, c, (uint64_t)r);
	}
	return NULL;
}

struct err *transfer_write(struct memory *m, int *rfd, int fd, bool readable,
			   const struct pieces *pieces)
{
	struct cursor c = {0, 0};

	vec_for_each(p, &pieces->v)
		m->written += p->len;
	if (*rfd >= 0 && readable)
		TRY(by_helper(m, rfd, pieces, &c));
	if (c.index == pieces->v.n)
		return NULL;
	struct piece first = pieces->v.v[c.index];
	first = (struct piece){first.addr + c.done, first.len - c.done,
			       first.offset + c.done};
	TRY(copy_all(m, fd, &first, 1));
	return copy_all(m, fd, pieces->v.v + c.index + 1, pieces->v.n - c.index - 1);
}
