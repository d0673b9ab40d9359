// SPDX-License-Identifier: LGPL-2.1-or-later
// Driving the helper thread: system calls and calls of functions in the target; see helper.h.
//
// It rests at a stop with `exit` as its next instruction. A system call sets its registers and goes on
// to the entry and to the exit of the call; what runs if the tool dies meanwhile is that call and exit.
#include "process/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/x86_64/bootstrap.h"
#include "os/proc.h"
#include "process/fault.h"
#include "process/helper_impl.h"
#include "process/memory.h"
#include "process/process_impl.h"
#include "process/wait.h"
#include "util/cleanup.h"

static const uint64_t SYSCALL_NS = 10000000000; // a call that takes longer is stuck
static const uint64_t EXIT_NS = 1000000000;
static const uint64_t ALL_SIGNALS = ~0ULL;

static uint64_t signal_bit(int sig)
{
	return 1ULL << (sig - 1);
}

// Signals of the thread's own making: blocked ones would make the kernel reset the program's handlers.
static uint64_t call_mask(void)
{
	return ~(signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) |
		 signal_bit(SIGFPE) | signal_bit(SIGTRAP));
}

static struct err *lost(struct helper *h)
{
	if (h->tid) {
		// A zombie that stays would keep the end of the process from its parent.
		wait_stop(h->tid, monotonic_ns() + EXIT_NS);
		wait_reap(h->tid);
		h->process->impl->helper = 0;
		h->process->impl->helper_area = 0;
		h->tid = 0;
	}
	return err_new(ERR_LOST, "the helper thread in process %d (%s) has ended",
		       h->process->pid, h->process->comm);
}

// Goes on to the next entry or exit of a system call. *fault gets the signal of a crash and the thread stands
// before its delivery then.
static struct err *step(struct helper *h, uint64_t deadline, int *fault)
{
	int sig = 0;

	*fault = 0;
	for (;;) {
		int r = sig ? os_ptrace_cont(h->tid, sig) : os_ptrace_syscall(h->tid);

		if (r < 0)
			return lost(h);
		struct stop s = wait_stop(h->tid, deadline);
		sig = 0;
		switch (s.kind) {
		case STOP_SYSCALL:
			return NULL;
		case STOP_SIGNAL:
			if (s.sig != SIGSTOP) {
				*fault = s.sig;
				return NULL;
			}
			sig = s.sig; // no mask holds it back, and it is meant for the process
			break;
		case STOP_NONE:
			return err_with(err_new(ERR_BUSY,
						"a call in the helper thread of process "
						"%d (%s) takes "
						"too long",
						h->process->pid, h->process->comm),
					"helper-timeout", h->process->comm);
		case STOP_EXITED:
		case STOP_LOST:
			return lost(h);
		case STOP_EVENT:
		case STOP_GROUP:
		case STOP_CLONE:
		case STOP_EXEC:
		case STOP_OTHER:
			break;
		}
	}
}

static struct err *usable(struct helper *h)
{
	if (!h->tid)
		return lost(h);
	if (h->broken)
		return err_new(ERR_INTERNAL,
			       "the helper thread of process %d is out of use",
			       h->process->pid);
	return NULL;
}

static struct err *set_regs(struct helper *h, const struct user_regs_struct *regs)
{
	return os_ptrace_setregs(h->tid, regs) < 0 ? lost(h) : NULL;
}

// Brings it to a stop where a change of registers is a change of what runs next.
static struct err *to_rest(struct helper *h)
{
	int fault;

	TRY(usable(h));
	if (h->place == HELPER_AT_RETURN)
		TRY(step(h, monotonic_ns() + SYSCALL_NS, &fault));
	h->place = HELPER_AT_STOP;
	return NULL;
}

struct err *helper_syscall(struct helper *h, long nr, const uint64_t args[6], int64_t *ret)
{
	struct user_regs_struct regs = h->regs;
	uint64_t deadline = monotonic_ns() + SYSCALL_NS;
	int fault;

	TRY(to_rest(h));
	if (seccomp_ask(&h->filters, nr, args, SECCOMP_ALL_ARGS) == SECCOMP_KILLS) {
		*ret = -EPERM;
		return NULL;
	}
	regs.rip = h->syscall_at;
	regs.rax = (unsigned long)nr;
	regs.orig_rax = ~0UL;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	TRY(set_regs(h, &regs));
	for (int stop = 0; stop < 2; stop++) {
		struct err *e = step(h, deadline, &fault);

		h->broken = h->broken || (e && h->tid);
		TRY(e);
		if (fault)
			return err_new(ERR_INTERNAL,
				       "helper thread of process %d: signal %d",
				       h->process->pid, fault);
	}
	if (os_ptrace_getregs(h->tid, &regs) < 0)
		return lost(h);
	*ret = (int64_t)regs.rax;
	return NULL;
}

struct err *helper_syscalls(struct helper *h, struct syscall_req *reqs, size_t n,
			    size_t *done)
{
	for (*done = 0; *done < n; ++*done) {
		struct syscall_req *r = &reqs[*done];

		TRY(helper_syscall(h, r->nr, r->args, &r->ret));
		// Addresses are below 2^47, so that every negative number is an error.
		if (r->ret < 0)
			return NULL;
	}
	return NULL;
}

// Makes it give up the function and rest before `exit`; it is not used again.
static void abandon(struct helper *h)
{
	struct user_regs_struct regs = h->regs;

	h->broken = true;
	if (!h->tid)
		return;
	os_ptrace_interrupt(h->tid);
	os_ptrace_cont(h->tid, 0);
	wait_stop(h->tid, monotonic_ns() + EXIT_NS);
	regs.rip = h->syscall_at;
	regs.rax = SYS_exit;
	regs.rdi = 0;
	regs.orig_rax = ~0UL;
	os_ptrace_setregs(h->tid, &regs);
}

// Runs until the function comes back; system calls of its own are passed.
static struct err *run_function(struct helper *h, taddr_t func, uint64_t deadline,
				uint64_t *ret)
{
	taddr_t page_end = h->area + HELPER_PAGE;
	struct user_regs_struct regs;
	int fault;

	for (;;) {
		TRY(step(h, deadline, &fault));
		if (fault)
			return err_with(err_new(ERR_INTERNAL,
						"function 0x%" PRIx64
						" called in process %d (%s) "
						"crashed: signal %d",
						func, h->process->pid, h->process->comm,
						fault),
					"call-crashed", h->process->comm);
		if (os_ptrace_getregs(h->tid, &regs) < 0)
			return lost(h);
		if (regs.orig_rax == HELPER_MARK && regs.rip >= h->area &&
		    regs.rip < page_end)
			break;
	}
	*ret = regs.rdi;
	h->place = HELPER_AT_RETURN;
	return NULL;
}

struct err *helper_call(struct helper *h, taddr_t func, uint64_t arg, uint64_t timeout_ns,
			uint64_t *ret)
{
	struct user_regs_struct regs = h->regs;
	uint64_t deadline;

	TRY(to_rest(h));
	if (__builtin_add_overflow(monotonic_ns(), timeout_ns, &deadline))
		deadline = UINT64_MAX;
	regs.rip = h->area + helper_function_offset;
	regs.rsp = h->area + HELPER_AREA;
	regs.rax = func;
	regs.rdi = arg;
	regs.orig_rax = ~0UL;
	TRY(set_regs(h, &regs));
	os_ptrace_setsigmask(h->tid, call_mask());
	struct err *e = run_function(h, func, deadline, ret);
	if (h->tid)
		os_ptrace_setsigmask(h->tid, ALL_SIGNALS);
	if (e)
		abandon(h);
	return e;
}

struct err *helper_mmap(struct helper *h, taddr_t addr, uint64_t len, int prot, int flags,
			int fd, uint64_t off, taddr_t *ret)
{
	uint64_t args[6] = {addr,	  len, (uint64_t)prot, (uint64_t)flags,
			    (uint64_t)fd, off};
	int64_t r;

	TRY(helper_syscall(h, SYS_mmap, args, &r));
	if (r < 0)
		return err_sys((int)r,
			       "cannot map %" PRIu64 " bytes at 0x%" PRIx64
			       " in process %d",
			       len, addr, h->process->pid);
	*ret = (taddr_t)r;
	return NULL;
}

struct err *helper_munmap(struct helper *h, taddr_t addr, uint64_t len)
{
	int64_t r;

	TRY(helper_syscall(h, SYS_munmap, (uint64_t[6]){addr, len}, &r));
	return r < 0 ? err_sys((int)r,
			       "cannot unmap %" PRIu64 " bytes at 0x%" PRIx64
			       " in process %d",
			       len, addr, h->process->pid)
		     : NULL;
}

struct err *helper_mprotect(struct helper *h, taddr_t addr, uint64_t len, int prot)
{
	int64_t r;

	TRY(helper_syscall(h, SYS_mprotect, (uint64_t[6]){addr, len, (uint64_t)prot}, &r));
	return r < 0 ? err_sys((int)r,
			       "cannot change the protection of %" PRIu64
			       " bytes at 0x%" PRIx64 " in process %d",
			       len, addr, h->process->pid)
		     : NULL;
}

struct err *helper_memfd_at(struct helper *h, taddr_t name, int *rfd)
{
	int64_t r;

	TRY(helper_syscall(h, SYS_memfd_create, (uint64_t[6]){name, MFD_CLOEXEC}, &r));
	if (r < 0)
		return err_sys((int)r, "cannot make a memory file in process %d",
			       h->process->pid);
	*rfd = (int)r;
	return NULL;
}

struct err *helper_close(struct helper *h, int rfd)
{
	int64_t r;

	return helper_syscall(h, SYS_close, (uint64_t[6]){(uint64_t)rfd}, &r);
}

struct err *helper_memfd(struct helper *h, const char *name, int *rfd, int *fd)
{
	char path[64];

	TRY(mem_write(h->process->pid, h->area + HELPER_SCRATCH, name, strlen(name) + 1));
	TRY(helper_memfd_at(h, h->area + HELPER_SCRATCH, rfd));
	snprintf(path, sizeof(path), "fd/%d", *rfd);
	*fd = os_proc_open(h->process->pid, h->tid, path, O_RDWR);
	if (*fd >= 0)
		return NULL;
	struct err *e =
		err_sys(*fd, "cannot open a memory file of process %d", h->process->pid);
	err_free(helper_close(h, *rfd));
	return e;
}

taddr_t helper_scratch(const struct helper *h, size_t *size)
{
	*size = HELPER_STACK / 2; // functions that are called have the upper half
	return h->area + HELPER_SCRATCH;
}

pid_t helper_tid(const struct helper *h)
{
	return h->tid;
}

taddr_t helper_near(const struct helper *h)
{
	return h->area;
}

struct err *helper_start(struct process *p, taddr_t near, struct helper **ret)
{
	_cleanup_(helper_stopp) struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return err_nomem();
	h->process = p;
	TRY(helper_take_slack(h));
	TRY(helper_inject(h));
	helper_watch(h);
	TRY(fault_point("helper-made"));
	TRY(helper_settle(h, near));
	TRY(fault_point("helper-ready"));
	*ret = take_ptr(h);
	return NULL;
}

// Lets it run into exit and takes it away.
static void end_thread(struct helper *h)
{
	uint64_t deadline = monotonic_ns() + EXIT_NS;

	while (h->tid) {
		os_ptrace_cont(h->tid, 0);
		struct stop s = wait_stop(h->tid, deadline);

		if (s.kind == STOP_EXITED || s.kind == STOP_LOST)
			err_free(lost(h));
		else if (s.kind == STOP_NONE)
			break;
	}
}

void helper_stop(struct helper *h)
{
	if (!h)
		return;
	if (h->tid && h->area && !h->broken && !h->slack_bytes)
		err_free(helper_leave_area(h));
	err_free(fault_point("helper-left")); // there is nothing that it could make fail
	end_thread(h);
	helper_unwatch(h);
	err_free(helper_clear_slack(h));
	free(h->slack_bytes);
	seccomp_deinit(&h->filters);
	free(h);
}

void helper_stopp(struct helper **h)
{
	helper_stop(*h);
}
