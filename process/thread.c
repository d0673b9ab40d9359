// SPDX-License-Identifier: LGPL-2.1-or-later
// Stopping, changing and releasing one thread; see process.h.
#include "process/thread.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "process/wait.h"
#include "util/cleanup.h"

enum { TIMEOUT_MARK = 0x6d << 24 }; // above all pids
static const uint64_t NS_PER_MS = 1000000;

// A dying thread becomes a zombie within this time.
static const uint64_t DEATH_NS = 200000000;

struct err *thread_gone(const struct process *p, pid_t tid)
{
	return err_new(ERR_LOST, "thread %d of process %d (%s) has ended", tid, p->pid,
		       p->comm);
}

struct thread *process_thread(struct process *p, pid_t tid)
{
	vec_for_each(t, &p->threads) {
		if (t->tid == tid && t->state != THREAD_GONE)
			return t;
	}
	return NULL;
}

struct err *threads_add(struct process *p, pid_t tid, bool traced)
{
	struct thread t = {.tid = tid,
			   .state = THREAD_RUNNING,
			   .traced = traced,
			   .waits_in = {.nr = -1}};
	_cleanup_free_ char *comm = NULL;
	size_t len;

	if (os_proc_read(p->pid, tid, "comm", &comm, &len) == 0)
		snprintf(t.comm, sizeof(t.comm), "%.*s", (int)strcspn(comm, "\n"), comm);
	return vec_push(&p->threads, t);
}

void thread_lost(struct process *p, struct thread *t)
{
	// A process that is our own child is reaped by whoever started it.
	if (t->traced && !(t->tid == p->pid && p->impl->own_child))
		wait_reap(t->tid);
	t->state = THREAD_GONE;
	t->traced = false;
}

struct err *thread_seize(struct process *p, struct thread *t, unsigned long options)
{
	struct os_status s;

	if (t->traced || t->state == THREAD_GONE)
		return NULL;
	int r = os_ptrace_seize(t->tid, options);
	if (!r) {
		t->traced = true;
		return NULL;
	}
	if (r != -EPERM && r != -ESRCH)
		return err_sys(r, "cannot attach to thread %d (%s) of %d", t->tid,
			       t->comm, p->pid);
	// EPERM also means: dying, or attached already because its creator was.
	int looked = r == -ESRCH ? r : os_proc_status(p->pid, t->tid, &s);
	if (looked < 0 && !os_proc_is_gone(looked))
		return err_sys(looked, "cannot look at thread %d (%s) of %d", t->tid,
			       t->comm, p->pid);
	if (looked < 0 || s.state == 'Z' || s.state == 'X') {
		t->state = THREAD_GONE;
		return NULL;
	}
	if (s.tracer == gettid()) {
		t->traced = true;
		return NULL;
	}
	if (s.tracer)
		return err_refuse("already-traced", t->comm,
				  "thread %d (%s) of %d is already traced by %d", t->tid,
				  t->comm, p->pid, s.tracer);
	return err_with(err_sys(r, "cannot attach to thread %d (%s) of %d", t->tid,
				t->comm, p->pid),
			"no-permission", t->comm);
}

// System calls whose result after any stop is EINTR, signal or not (signal(7)); sockets
// only when they have a timeout. None of them has done anything yet when it says so.
static bool ends_with_eintr(long nr)
{
	switch (nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case UAPI_SYS_EPOLL_PWAIT2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
	case SYS_splice:
	case SYS_sendfile:
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return true;
	default:
		return false;
	}
}

// epoll_wait's timeout is 32 bits of a register that the C library does not use after the call. The rest of it
// tells, at the next stop, that this is the call which this tool let go on then; what has passed since is taken
// off, so that a call that is stopped again and again ends in time all the same. When it began before the first
// stop nobody knows: that stop costs it the whole timeout once more at most.
static void shorten_timeout(const struct process *p, struct thread *t)
{
	uint64_t mark = (uint64_t)(TIMEOUT_MARK | (uint32_t)getpid()) << 32;
	int32_t ms = (int32_t)(uint32_t)t->regs.r10;

	if (((long)t->regs.orig_rax != SYS_epoll_wait &&
	     (long)t->regs.orig_rax != SYS_epoll_pwait) ||
	    t->regs.rip < p->impl->libc_start || t->regs.rip >= p->impl->libc_end ||
	    ms <= 0)
		return;
	if ((t->regs.r10 & ~(uint64_t)UINT32_MAX) == mark && t->released) {
		uint64_t passed = (monotonic_ns() - t->released) / NS_PER_MS;

		ms = passed < (uint64_t)ms ? ms - (int32_t)passed : 0;
	}
	t->regs.r10 = mark | (uint32_t)ms;
}

// With ERESTARTNOHAND in its place the kernel starts the call again, or gives EINTR when
// a handler runs. It is written at once: it has to hold even if the tool dies now.
static struct err *hide_stop(const struct process *p, struct thread *t)
{
	if ((long)t->regs.rax != -EINTR || (long)t->regs.orig_rax < 0 ||
	    !ends_with_eintr((long)t->regs.orig_rax))
		return NULL;
	t->regs.rax = (unsigned long)-UAPI_ERESTARTNOHAND;
	shorten_timeout(p, t);
	int r = os_ptrace_setregs(t->tid, &t->regs);
	return r < 0 ? err_sys(r, "cannot write the registers of thread %d", t->tid)
		     : NULL;
}

long thread_waits_in(const struct thread *t)
{
	const struct user_regs_struct *r = &t->regs;
	long nr = (long)r->orig_rax;

	if ((long)r->rax != -UAPI_ERESTART_RESTARTBLOCK || nr != SYS_restart_syscall)
		return nr;
	return t->waits_in.rip == r->rip && t->waits_in.rsp == r->rsp &&
			       t->waits_in.rdi == r->rdi && t->waits_in.rsi == r->rsi
		       ? t->waits_in.nr
		       : nr;
}

static void remember_wait(struct thread *t)
{
	const struct user_regs_struct *r = &t->regs;

	if ((long)r->rax != -UAPI_ERESTART_RESTARTBLOCK ||
	    (long)r->orig_rax == SYS_restart_syscall)
		return;
	t->waits_in.nr = (long)r->orig_rax;
	t->waits_in.rip = r->rip;
	t->waits_in.rsp = r->rsp;
	t->waits_in.rdi = r->rdi;
	t->waits_in.rsi = r->rsi;
}

struct err *thread_read_stop(const struct process *p, struct thread *t, bool group)
{
	t->state = THREAD_STOPPED;
	t->group_stop = group;
	t->regs_dirty = t->mask_dirty = false;
	int r = os_ptrace_getregs(t->tid, &t->regs);
	if (!r)
		r = os_ptrace_getsigmask(t->tid, &t->sigmask);
	if (r < 0)
		return err_sys(r, "cannot read the registers of thread %d", t->tid);
	remember_wait(t);
	return hide_stop(p, t);
}

// A traced thread made another task: a thread of this process joins the list, a process
// of its own (clone with another exit signal) is let go later.
static struct err *adopt(struct process *p, pid_t parent)
{
	unsigned long msg;
	struct os_status s;

	if (os_ptrace_eventmsg(parent, &msg) < 0)
		return NULL;
	pid_t tid = (pid_t)msg;
	int r = os_proc_status(p->pid, tid, &s);
	if (os_proc_is_gone(r))
		return vec_push(&p->impl->strays, tid);
	return process_thread(p, tid) ? NULL : threads_add(p, tid, true);
}

static struct err *busy(struct process *p, const struct thread *t)
{
	struct os_status s;
	bool known = !os_proc_status(p->pid, t->tid, &s);
	struct err *e = err_new(
		ERR_BUSY,
		"thread %d (%s) of %d did not stop in time (state %c, system call %ld)",
		t->tid, t->comm, p->pid, known ? s.state : '?',
		os_proc_syscall(p->pid, t->tid));

	return err_with(e, "thread-does-not-stop", t->comm);
}

// Goes on from any stop other than PTRACE_EVENT_STOP. Every trap clears a pending
// interrupt, so that it is asked for again before the thread runs.
static void pass(pid_t tid, int sig)
{
	os_ptrace_interrupt(tid);
	os_ptrace_cont(tid, sig);
}

// Threads are named by index: adopt() may move the list.
static struct err *await(struct process *p, size_t index, uint64_t deadline, bool *group)
{
	pid_t tid = p->threads.v[index].tid;

	for (;;) {
		struct stop s = wait_stop(tid, deadline);

		switch (s.kind) {
		case STOP_EVENT:
		case STOP_GROUP:
			*group = s.kind == STOP_GROUP;
			return NULL;
		case STOP_EXITED:
		case STOP_LOST:
			thread_lost(p, &p->threads.v[index]);
			return NULL;
		case STOP_NONE:
			return busy(p, &p->threads.v[index]);
		case STOP_CLONE: {
			struct err *e = adopt(p, tid);

			pass(tid, 0);
			TRY(e);
			break;
		}
		case STOP_EXEC:
			p->impl->replaced = true;
			pass(tid, 0);
			break;
		case STOP_SIGNAL:
			pass(tid, s.sig);
			break;
		case STOP_SYSCALL:
		case STOP_OTHER:
			pass(tid, 0);
			break;
		}
	}
}

struct err *thread_collect(struct process *p, size_t index, uint64_t deadline)
{
	bool group;

	TRY(await(p, index, deadline, &group));
	struct thread *t = &p->threads.v[index];
	return t->state == THREAD_GONE ? NULL : thread_read_stop(p, t, group);
}

struct err *thread_stop(struct process *p, struct thread *t, uint64_t deadline)
{
	size_t index = (size_t)(t - p->threads.v);

	if (t->state == THREAD_STOPPED)
		return NULL;
	TRY(thread_seize(p, t, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC));
	if (t->state == THREAD_GONE)
		return thread_gone(p, t->tid);
	os_ptrace_interrupt(t->tid);
	TRY(thread_collect(p, index, deadline));
	t = &p->threads.v[index];
	return t->state == THREAD_GONE ? thread_gone(p, t->tid) : NULL;
}

struct err *thread_interrupt(struct process *p, struct thread *t)
{
	if (t->state == THREAD_STOPPED)
		return NULL;
	if (t->state == THREAD_GONE || !t->traced || os_ptrace_interrupt(t->tid) < 0)
		return thread_gone(p, t->tid);
	return NULL;
}

struct err *thread_catch(struct process *p, struct thread *t, uint64_t deadline,
			 struct user_regs_struct *now)
{
	size_t index = (size_t)(t - p->threads.v);
	bool group;

	if (t->state == THREAD_RUNNING) {
		TRY(await(p, index, deadline, &group));
		t = &p->threads.v[index];
		if (t->state == THREAD_RUNNING)
			t->state = THREAD_STOPPED;
	}
	if (t->state == THREAD_GONE)
		return thread_gone(p, t->tid);
	int r = now ? os_ptrace_getregs(t->tid, now) : 0;
	return r < 0 ? err_sys(r, "cannot read the registers of thread %d", t->tid) : NULL;
}

struct err *thread_set(struct process *p, struct thread *t,
		       const struct user_regs_struct *regs, uint64_t sigmask)
{
	int r = t->state == THREAD_STOPPED ? os_ptrace_setregs(t->tid, regs) : -ESRCH;

	if (!r)
		r = os_ptrace_setsigmask(t->tid, sigmask);
	if (r == -ESRCH)
		return thread_gone(p, t->tid);
	return r < 0 ? err_sys(r, "cannot write the registers of thread %d", t->tid)
		     : NULL;
}

struct err *thread_continue(struct process *p, struct thread *t)
{
	int r = t->state == THREAD_STOPPED ? os_ptrace_cont(t->tid, 0) : -ESRCH;

	if (r < 0)
		return thread_gone(p, t->tid);
	t->state = THREAD_RUNNING;
	return NULL;
}

// The mask first: with signals free a handler may run on either side of the register
// write, as it may at any instruction; with the registers first and the tool dead, the
// mask would stay as a gate had it.
struct err *thread_write_back(struct thread *t)
{
	int r = 0;

	if (t->mask_dirty)
		r = os_ptrace_setsigmask(t->tid, t->sigmask);
	if (!r && t->regs_dirty)
		r = os_ptrace_setregs(t->tid, &t->regs);
	t->mask_dirty = t->regs_dirty = false;
	if (r == -ESRCH)
		return NULL; // killed meanwhile: thread_detach sees it
	return r < 0 ? err_sys(r, "cannot write the registers of thread %d", t->tid)
		     : NULL;
}

void thread_detach(struct process *p, struct thread *t)
{
	t->released = monotonic_ns();
	if (os_ptrace_detach(t->tid) == 0) {
		t->state = THREAD_RUNNING;
		t->traced = false;
		return;
	}
	// Not stopped any more: only SIGKILL does that.
	wait_stop(t->tid, monotonic_ns() + DEATH_NS);
	thread_lost(p, t);
}

struct err *thread_release(struct process *p, struct thread *t)
{
	if (t->state != THREAD_STOPPED)
		return NULL;
	struct err *e = thread_write_back(t);
	thread_detach(p, t);
	return e;
}
