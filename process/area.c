// SPDX-License-Identifier: LGPL-2.1-or-later
// A shared piece of memory in a target; see area.h.
#include "process/area.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/x86_64/payload.h"
#include "os/proc.h"
#include "process/memory.h"
#include "util/cleanup.h"

enum {
	MAP_TRIES = 32,
	GUARD = 16 * PAYLOAD_PAGE,
	STACK_SCAN = 256 * 1024, // of the used part of a stack, from the innermost frame on
};

static struct err *open_memfd(struct helper *h, const char *name, uint64_t size, int *rfd,
			      int *fd)
{
	TRY(helper_memfd(h, name, rfd, fd));
	if (ftruncate(*fd, (off_t)size) < 0)
		return err_sys(errno, "cannot make room for %s", name);
	return NULL;
}

static struct err *try_hole(struct process *p, struct helper *h, taddr_t near, int rfd,
			    struct area *a)
{
	struct maps maps;
	taddr_t hole;

	TRY(maps_read(p->pid, &maps));
	hole = maps_find_hole(&maps, near, near + 1, a->size, GUARD);
	maps_deinit(&maps);
	if (!hole)
		return err_refuse("no-room", NULL,
				  "no room for %llu bytes near 0x%llx in process %d",
				  (unsigned long long)a->size, (unsigned long long)near,
				  p->pid);
	return helper_mmap(h, hole, a->size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED_NOREPLACE, rfd, 0, &a->addr);
}

// The target runs and may take the hole meanwhile.
static struct err *map_remote(struct process *p, struct helper *h, taddr_t near, int rfd,
			      struct area *a)
{
	for (int i = 1;; i++) {
		struct err *e = try_hole(p, h, near, rfd, a);

		if (!e || e->errnum != EEXIST || i == MAP_TRIES)
			return e;
		err_free(e);
	}
}

struct err *area_create(struct process *p, struct helper *h, taddr_t near,
			const char *name, uint64_t stubs, uint64_t size, struct area *ret)
{
	_cleanup_close_ int fd = -1;
	int rfd = -1;
	struct err *e;

	*ret = (struct area){.stubs = stubs, .size = size};
	e = open_memfd(h, name, size, &rfd, &fd);
	if (!e) {
		ret->map = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_POPULATE, fd, 0);
		if (ret->map == MAP_FAILED) {
			ret->map = NULL;
			e = err_sys(errno, "cannot map %s", name);
		}
	}
	if (!e)
		e = map_remote(p, h, near, rfd, ret);
	if (rfd >= 0)
		e = err_first(e, helper_close(h, rfd));
	if (e)
		area_deinit(ret);
	return e;
}

struct err *area_seal(struct helper *h, const struct area *a)
{
	struct syscall_req reqs[] = {
		{.nr = SYS_mprotect,
		 .args = {a->addr, PAYLOAD_PAGE, PROT_READ | PROT_EXEC}},
		{.nr = SYS_mprotect,
		 .args = {a->addr + a->stubs, a->size - a->stubs, PROT_READ | PROT_EXEC}},
	};
	int64_t ignored;
	size_t done = 0;

	TRY(helper_syscalls(h, reqs, ARRAY_SIZE(reqs), &done));
	if (done < ARRAY_SIZE(reqs))
		return err_sys((int)-reqs[done].ret, "cannot prepare the area at 0x%llx",
			       (unsigned long long)a->addr);
	// Only spares page faults later; older kernels do not know it.
	TRY(helper_syscall(h, SYS_madvise,
			   (uint64_t[6]){a->addr, a->size, MADV_POPULATE_READ}, &ignored));
	return helper_syscall(h, SYS_madvise,
			      (uint64_t[6]){a->addr + PAYLOAD_PAGE,
					    a->stubs - PAYLOAD_PAGE, MADV_POPULATE_WRITE},
			      &ignored);
}

struct err *area_unmap(struct helper *h, struct area *a)
{
	if (!a->addr)
		return NULL;
	TRY(helper_munmap(h, a->addr, a->size));
	a->addr = 0;
	return NULL;
}

void area_deinit(struct area *a)
{
	if (a->map)
		munmap(a->map, a->size);
	*a = (struct area){0};
}

static bool points_to_code(const struct area *a, taddr_t addr)
{
	return area_contains(a, addr) &&
	       (addr - a->addr < PAYLOAD_PAGE || addr - a->addr >= a->stubs);
}

bool area_visited(const struct process *p, const struct area *a, const struct thread *t)
{
	taddr_t words[PAYLOAD_PAGE / sizeof(taddr_t)];
	taddr_t at = t->regs.rsp & ~7ull;

	if (points_to_code(a, t->regs.rip))
		return true;
	for (uint64_t seen = 0; seen < STACK_SCAN;) {
		size_t len = PAYLOAD_PAGE - (at & (PAYLOAD_PAGE - 1));
		struct err *e = mem_read(p->pid, at, words, len);

		if (e) { // the end of the stack
			err_free(e);
			return false;
		}
		for (size_t i = 0; i < len / sizeof(words[0]); i++)
			if (points_to_code(a, words[i]))
				return true;
		seen += len;
		at += len;
	}
	return false;
}

void area_state_from(struct thread_state_rec *s, const struct user_regs_struct *r,
		     uint64_t sigmask)
{
	uint64_t exit_stub = s->exit_stub;

	*s = (struct thread_state_rec){
		.r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rax = r->rax,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rip = r->rip,
		.flags = r->eflags,
		.rsp = r->rsp,
		.sigmask = sigmask,
		.exit_stub = exit_stub,
	};
	if ((int64_t)r->orig_rax < 0)
		return;
	// The kernel restarts an interrupted system call only for a thread that goes on from the
	// stop with these registers; on its way through code of ours it has to be done here.
	switch ((int64_t)r->rax) {
	case -512: // ERESTARTSYS
	case -513: // ERESTARTNOINTR
	case -514: // ERESTARTNOHAND
		s->rax = r->orig_rax;
		s->rip -= 2;
		break;
	case -516: // ERESTART_RESTARTBLOCK
		s->rax = SYS_restart_syscall;
		s->rip -= 2;
		break;
	}
}

uint64_t process_start_time(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long start;
	size_t len;
	char *end;

	if (os_proc_read(pid, 0, "stat", &text, &len) < 0)
		return 0;
	end = strrchr(text, ')');
	if (!end ||
	    sscanf(end + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
		   "%*d %*d %*d %llu",
		   &start) != 1)
		return 0;
	return start;
}
