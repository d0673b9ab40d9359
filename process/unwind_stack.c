// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads a target's stack in large pieces.
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "process/memory.h"
#include "process/unwind_internal.h"

enum { PAGE = 4096 };

struct err *stack_reader_init(struct stack_reader *s, pid_t pid)
{
	*s = (struct stack_reader){.pid = pid};
	for (unsigned i = 0; i < STACK_WINDOWS; i++) {
		s->windows[i].buf = malloc(STACK_WINDOW);
		if (!s->windows[i].buf)
			return err_nomem();
	}
	return NULL;
}

void stack_reader_deinit(struct stack_reader *s)
{
	for (unsigned i = 0; i < STACK_WINDOWS; i++)
		free(s->windows[i].buf);
}

// Reads what is mapped from `addr` on, up to `len` bytes. The remote side is given page
// by page, so that the end of the stack cuts the transfer short instead of failing it.
static size_t read_ahead(pid_t pid, taddr_t addr, uint8_t *buf, size_t len)
{
	struct iovec local = {buf, len}, remote[STACK_WINDOW / PAGE + 1];
	unsigned n = 0;
	ssize_t got;

	for (size_t done = 0; done < len && n < ARRAY_SIZE(remote); n++) {
		size_t part = PAGE - (size_t)((addr + done) & (PAGE - 1));

		if (part > len - done)
			part = len - done;
		remote[n] = (struct iovec){(void *)(uintptr_t)(addr + done), part};
		done += part;
	}
	got = process_vm_readv(pid, &local, 1, remote, n, 0);
	return got > 0 ? (size_t)got : 0;
}

static struct stack_window *load(struct stack_reader *s, taddr_t addr, size_t len)
{
	struct stack_window *w = &s->windows[s->next];

	s->next = (s->next + 1) % STACK_WINDOWS;
	w->start = addr & ~7ULL;
	w->len = read_ahead(s->pid, w->start, w->buf, len);
	return w;
}

void stack_reader_begin(struct stack_reader *s, taddr_t sp)
{
	for (unsigned i = 0; i < STACK_WINDOWS; i++)
		s->windows[i].len = 0;
	s->next = 0;
	load(s, sp - STACK_RED_ZONE, STACK_FIRST);
}

static bool from_window(const struct stack_window *w, taddr_t addr, void *buf, size_t len)
{
	if (addr < w->start || addr - w->start > w->len ||
	    w->len - (addr - w->start) < len)
		return false;
	memcpy(buf, w->buf + (addr - w->start), len);
	return true;
}

bool stack_read(struct stack_reader *s, taddr_t addr, void *buf, size_t len)
{
	struct err *e;

	for (unsigned i = 0; i < STACK_WINDOWS; i++)
		if (from_window(&s->windows[i], addr, buf, len))
			return true;
	if (from_window(load(s, addr, STACK_WINDOW), addr, buf, len))
		return true;
	e = mem_read(s->pid, addr, buf, len); // where process_vm_readv is denied
	err_free(e);
	return !e;
}
