// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading and writing a target's memory; see memory.h.
#include "process/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/param.h>

#include "os/proc.h"
#include "os/vm.h"
#include "util/cleanup.h"

enum {
	BATCH = 512,
	PAGE = 4096
}; // ranges in one call (the kernel's limit is IOV_MAX, 1024)

enum transfer { TRANSFER_READ, TRANSFER_WRITE };

struct cursor { // the next byte to transfer
	size_t index, offset;
};

static struct err *failed(enum transfer t, pid_t pid, taddr_t addr, int errnum)
{
	return err_sys(errnum, "cannot %s memory of %d at 0x%" PRIx64,
		       t == TRANSFER_READ ? "read" : "write", pid, addr);
}

static size_t fill(const struct mem_range *r, size_t n, struct cursor c,
		   struct iovec *local, struct iovec *remote)
{
	size_t used = 0;

	for (; c.index < n && used < BATCH; c.index++, c.offset = 0) {
		const struct mem_range *m = &r[c.index];

		if (c.offset == m->len)
			continue;
		local[used] = (struct iovec){(char *)m->buf + c.offset, m->len - c.offset};
		remote[used++] =
			(struct iovec){(void *)(m->addr + c.offset), m->len - c.offset};
	}
	return used;
}

static void advance(const struct mem_range *r, size_t n, struct cursor *c, size_t bytes)
{
	while (c->index < n && bytes >= r[c->index].len - c->offset) {
		bytes -= r[c->index].len - c->offset;
		c->index++;
		c->offset = 0;
	}
	c->offset += bytes;
}

// The rest from the cursor on, by way of /proc/PID/mem: works where process_vm_* is
// denied or missing, and writes through protections.
static struct err *by_mem_file(pid_t pid, const struct mem_range *r, size_t n,
			       struct cursor c, enum transfer t)
{
	_cleanup_close_ int fd =
		os_proc_open(pid, 0, "mem", t == TRANSFER_READ ? O_RDONLY : O_RDWR);

	if (fd < 0)
		return failed(t, pid, n ? r[0].addr : 0, fd == -ENOENT ? ESRCH : fd);
	for (; c.index < n; c.index++, c.offset = 0) {
		const struct mem_range *m = &r[c.index];

		while (c.offset < m->len) {
			char *buf = (char *)m->buf + c.offset;
			size_t len = m->len - c.offset;
			taddr_t at = m->addr + c.offset;
			ssize_t done = t == TRANSFER_READ ? os_pread(fd, buf, len, at)
							  : os_pwrite(fd, buf, len, at);

			// 0: the address space is gone; EIO is how this file says "not
			// mapped".
			if (done <= 0)
				return failed(t, pid, at,
					      !done	     ? ESRCH
					      : done == -EIO ? EFAULT
							     : (int)done);
			c.offset += (size_t)done;
		}
	}
	return NULL;
}

static struct err *transfer(pid_t pid, const struct mem_range *r, size_t n,
			    enum transfer t)
{
	struct iovec local[BATCH], remote[BATCH];
	struct cursor c = {0, 0};

	for (size_t i = 0; i < n; i++) {
		taddr_t end;

		if (__builtin_add_overflow(r[i].addr, r[i].len, &end))
			return failed(t, pid, r[i].addr, EFAULT);
	}
	for (;;) {
		size_t used = fill(r, n, c, local, remote);
		if (!used)
			return NULL;
		ssize_t done =
			os_vm_transfer(pid, local, remote, used, t == TRANSFER_WRITE);
		if (done == -EPERM || done == -ENOSYS)
			return by_mem_file(pid, r, n, c, t);
		if (done < 0)
			return failed(t, pid, (taddr_t)remote[0].iov_base, (int)done);
		if (!done)
			return failed(t, pid, (taddr_t)remote[0].iov_base, EFAULT);
		advance(r, n, &c, (size_t)done);
	}
}

struct err *mem_read(pid_t pid, taddr_t addr, void *buf, size_t len)
{
	return transfer(pid, &(struct mem_range){addr, buf, len}, 1, TRANSFER_READ);
}

struct err *mem_read_many(pid_t pid, const struct mem_range *r, size_t n)
{
	return transfer(pid, r, n, TRANSFER_READ);
}

static void *unconst(const void *p)
{
	return (void *)(uintptr_t)p;
}

struct err *mem_write(pid_t pid, taddr_t addr, const void *buf, size_t len)
{
	return transfer(pid, &(struct mem_range){addr, unconst(buf), len}, 1,
			TRANSFER_WRITE);
}

struct err *mem_write_many(pid_t pid, const struct mem_range *r, size_t n)
{
	return transfer(pid, r, n, TRANSFER_WRITE);
}

struct err *mem_peek(pid_t pid, taddr_t addr, void *buf, size_t len)
{
	return by_mem_file(pid, &(struct mem_range){addr, buf, len}, 1,
			   (struct cursor){0, 0}, TRANSFER_READ);
}

struct err *mem_poke(pid_t pid, taddr_t addr, const void *buf, size_t len)
{
	return by_mem_file(pid, &(struct mem_range){addr, unconst(buf), len}, 1,
			   (struct cursor){0, 0}, TRANSFER_WRITE);
}

struct err *mem_read_string(pid_t pid, taddr_t addr, char *buf, size_t max)
{
	size_t n = 0;

	if (!max)
		return err_new(ERR_INTERNAL, "no room for a string at 0x%" PRIx64, addr);
	while (n < max) {
		// Never across a page: what follows the string may be unmapped.
		size_t step = MIN(max - n, PAGE - (addr + n) % PAGE);

		TRY(mem_read(pid, addr + n, buf + n, step));
		if (memchr(buf + n, 0, step))
			return NULL;
		n += step;
	}
	return err_new(ERR_CORRUPT,
		       "string at 0x%" PRIx64 " of %d is longer than %zu bytes", addr,
		       pid, max - 1);
}
