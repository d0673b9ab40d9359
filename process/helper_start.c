// SPDX-License-Identifier: LGPL-2.1-or-later
// Making the helper thread: one injected clone into one stopped thread, written so that the tool may
// die at any instruction (findings-safety.md, Protocol 1-3).
#include <errno.h>
#include <inttypes.h>
#include <linux/ptrace.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>

#include "arch/x86_64/bootstrap.h"
#include "os/proc.h"
#include "process/fault.h"
#include "process/helper_impl.h"
#include "process/maps.h"
#include "process/memory.h"
#include "process/thread.h"
#include "process/wait.h"
#include "util/cleanup.h"

static const uint64_t STOP_NS = 100000000;    // for one candidate thread to stop
static const uint64_t LOOK_NS = 100000000;    // before it is looked whether clone failed
static const uint64_t INJECT_NS = 2000000000; // for the injected calls
static const uint64_t SEARCH_NS = 1000000000; // for a thread at a suitable place
static const long SEARCH_NAP_NS = 1000000;
static const uint64_t ALL_SIGNALS = ~0ULL;
static const unsigned USER_CS = 0x33; // 64-bit user code
static const taddr_t VSYSCALL = 0xffffffffff600000;
enum { CANDIDATES_MAX = 64, FLAG_OF = 1 << 11 };

static struct err *injection_failed(const struct helper *h, int errnum, const char *what)
{
	return err_sys(errnum, "cannot make a helper thread in process %d (%s): %s",
		       h->process->pid, h->process->comm, what);
}

// How the thread goes on without the tool: as the kernel would have restarted its system call.
static void restart_by_hand(const struct user_regs_struct *regs, struct bootstrap_data *d)
{
	long result = (long)regs->rax;

	d->rax = regs->rax;
	d->rip = regs->rip;
	if ((long)regs->orig_rax < 0)
		return;
	switch (result) {
	case -UAPI_ERESTARTSYS:
	case -UAPI_ERESTARTNOINTR:
	case -UAPI_ERESTARTNOHAND:
		d->rax = regs->orig_rax;
		d->rip = regs->rip - 2;
		break;
	case -UAPI_ERESTART_RESTARTBLOCK:
		d->rax = SYS_restart_syscall;
		d->rip = regs->rip - 2;
		break;
	default:
		break;
	}
}

static struct err *write_stub(struct helper *h, const struct thread *t)
{
	const struct user_regs_struct *r = &t->regs;
	struct bootstrap_data d = {
		.blocked = ALL_SIGNALS,
		.mask = t->sigmask,
		.flags = (r->eflags & FLAG_OF ? 1 : 0) | (r->eflags & 0xff) << 8,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.r8 = r->r8,
		.r10 = r->r10,
		.r11 = r->r11,
		.name = HELPER_NAME,
	};
	_cleanup_free_ uint8_t *stub = malloc(h->slack_size);

	if (!stub)
		return err_nomem();
	restart_by_hand(r, &d);
	memcpy(stub, bootstrap_start, h->slack_size);
	memcpy(stub + bootstrap_data_offset, &d, sizeof(d));
	return mem_poke(h->process->pid, h->slack, stub, h->slack_size);
}

// The way in: registers first. Between the two writes the thread would run the stub, which sets the mask
// itself.
static int enter_stub(const struct helper *h, const struct thread *t)
{
	struct user_regs_struct regs = t->regs;
	int r = os_ptrace_setoptions(t->tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
						     PTRACE_O_TRACEEXEC);

	regs.rip = h->slack;
	regs.orig_rax = ~0UL;
	if (!r)
		r = os_ptrace_setregs(t->tid, &regs);
	if (!r)
		r = os_ptrace_setsigmask(t->tid, ALL_SIGNALS);
	return r;
}

// The way out: the mask first. Between the two writes the thread would run the end of the stub, which sets
// mask and registers itself.
static int leave_stub(const struct thread *t)
{
	int r = os_ptrace_setsigmask(t->tid, t->sigmask);

	return r ? r : os_ptrace_setregs(t->tid, &t->regs);
}

static bool in_stub(const struct helper *h, const struct user_regs_struct *regs)
{
	return regs->rip >= h->slack && regs->rip - h->slack < h->slack_size;
}

// Runs the stub up to its clone: *tid > 0 is the new thread. If clone fails the thread goes on by itself, which
// shows when it is looked at a while later: *tid stays 0 then.
static struct err *run_to_clone(const struct helper *h, const struct thread *t, pid_t *tid)
{
	uint64_t deadline = monotonic_ns() + LOOK_NS, end = monotonic_ns() + INJECT_NS;
	struct user_regs_struct regs;
	unsigned long msg;
	int sig = 0;

	*tid = 0;
	os_ptrace_cont(t->tid, 0);
	for (;;) {
		struct stop s = wait_stop(t->tid, deadline);

		sig = 0;
		switch (s.kind) {
		case STOP_CLONE:
			if (os_ptrace_eventmsg(t->tid, &msg) < 0)
				return thread_gone(h->process, t->tid);
			*tid = (pid_t)msg;
			return NULL;
		case STOP_EVENT:
		case STOP_GROUP:
			if (os_ptrace_getregs(t->tid, &regs) < 0)
				return thread_gone(h->process, t->tid);
			if (!in_stub(h, &regs))
				return NULL;
			break;
		case STOP_SIGNAL: // SIGSTOP, which no mask holds back
			sig = s.sig;
			break;
		case STOP_NONE:
			if (monotonic_ns() >= end)
				return injection_failed(h, ETIMEDOUT, "clone");
			os_ptrace_interrupt(t->tid);
			deadline = end;
			continue;
		case STOP_EXITED:
		case STOP_LOST:
			return thread_gone(h->process, t->tid);
		case STOP_SYSCALL:
		case STOP_EXEC:
		case STOP_OTHER:
			break;
		}
		os_ptrace_cont(t->tid, sig);
	}
}

// Brings the thread from inside its clone to PTRACE_EVENT_STOP, the only place where registers change.
static struct err *settle(struct process *p, struct thread *t,
			  struct user_regs_struct *now)
{
	os_ptrace_interrupt(t->tid);
	os_ptrace_cont(t->tid, 0);
	t->state = THREAD_RUNNING;
	return thread_catch(p, t, monotonic_ns() + INJECT_NS, now);
}

// Without it h->tid stays 0: the new thread was killed at once.
static void first_stop_of_helper(struct helper *h, pid_t tid)
{
	struct stop s = wait_stop(tid, monotonic_ns() + INJECT_NS);

	if (s.kind != STOP_EVENT && s.kind != STOP_GROUP)
		return;
	os_ptrace_setoptions(tid, PTRACE_O_TRACESYSGOOD);
	if (os_ptrace_getregs(tid, &h->regs) < 0)
		return;
	h->place = HELPER_AT_STOP;
	h->syscall_at = h->slack + bootstrap_syscall_offset;
	h->process->impl->helper = tid;
	h->tid = tid;
}

// Puts the thread back where it was before the stub, unless it has left that by itself.
static struct err *bring_back(struct helper *h, const struct thread *saved)
{
	struct process *p = h->process;
	struct thread *t = process_thread(p, saved->tid);
	struct user_regs_struct now;

	if (!t)
		return thread_gone(p, saved->tid);
	TRY(settle(p, t, &now));
	t = process_thread(p, saved->tid);
	if (!in_stub(h, &now))
		return thread_read_stop(p, t, t->group_stop);
	t->regs = saved->regs;
	t->sigmask = saved->sigmask;
	int r = leave_stub(t);
	return r < 0 ? injection_failed(h, r, "registers") : NULL;
}

static struct err *inject_stopped(struct helper *h, struct thread *t)
{
	struct thread saved = *t;
	pid_t tid = 0;

	TRY(write_stub(h, t));
	TRY(fault_point("helper-stub"));
	int r = enter_stub(h, t);
	struct err *e = r < 0 ? injection_failed(h, r, "registers")
			      : fault_point("helper-entered");
	if (!e)
		e = run_to_clone(h, t, &tid);
	if (!e && tid)
		e = fault_point("helper-cloned");
	// Whatever happened, the thread goes back to where it was.
	struct err *back = bring_back(h, &saved);
	h->stub_in_use = back && process_thread(h->process, saved.tid);
	if (tid)
		first_stop_of_helper(h, tid);
	if (!e)
		e = back;
	else
		err_free(back);
	if (e)
		return e;
	if (tid)
		return h->tid ? NULL
			      : injection_failed(h, ESRCH, "the new thread was killed");
	return injection_failed(h, EAGAIN, "clone failed");
}

static bool in_critical_section(const struct process *p, const struct thread *t)
{
	struct uapi_rseq_configuration c;
	uint64_t cs;

	if (os_ptrace_rseq(t->tid, &c) < 0 || !c.pointer)
		return false;
	struct err *e = mem_read(p->pid, c.pointer + offsetof(struct uapi_rseq, rseq_cs),
				 &cs, sizeof(cs));
	if (!e)
		return cs != 0;
	err_free(e);
	return true;
}

static bool suitable(const struct process *p, const struct thread *t)
{
	return t->regs.cs == USER_CS && t->regs.rip < VSYSCALL &&
	       !in_critical_section(p, t);
}

// The helper has the filters of the thread it is made by.
static struct err *inherit_filters(struct helper *h, const struct thread *t)
{
	struct os_status s;

	seccomp_deinit(&h->filters);
	if (os_proc_status(h->process->pid, t->tid, &s) < 0 || !s.seccomp)
		return NULL;
	return seccomp_read(t, &h->filters);
}

// Threads to try, best first: the first thread (its thread-local storage stays as long as the process) and others
// that wait in a system call, then the rest. One in state D would not stop.
static size_t candidates(const struct process *p, pid_t *tids)
{
	pid_t others[CANDIDATES_MAX];
	size_t used = 0, n_others = 0;
	struct os_status s;

	vec_for_each(t, &p->threads) {
		if (os_proc_status(p->pid, t->tid, &s) < 0 || s.state == 'D' ||
		    s.state == 'Z')
			continue;
		bool waits = s.state != 'R' && os_proc_syscall(p->pid, t->tid) >= 0;
		if (waits && used < CANDIDATES_MAX)
			tids[used++] = t->tid;
		else if (n_others < CANDIDATES_MAX)
			others[n_others++] = t->tid;
	}
	for (size_t i = 0; i < n_others && used < CANDIDATES_MAX; i++)
		tids[used++] = others[i];
	return used;
}

// *done: the helper was made. Not done and no error: the thread is not at a suitable place.
static struct err *try_thread(struct helper *h, pid_t tid, bool *done)
{
	struct process *p = h->process;
	struct thread *t = process_thread(p, tid);

	*done = false;
	if (!t)
		return NULL;
	struct err *e = thread_stop(p, t, monotonic_ns() + STOP_NS);
	t = process_thread(p, tid);
	if (e || !t) {
		if (e && e->kind != ERR_BUSY && e->kind != ERR_LOST)
			return e;
		err_free(e);
		return NULL;
	}
	if (suitable(p, t)) {
		e = inherit_filters(h, t);
		if (!e)
			e = inject_stopped(h, t);
		*done = !e;
	}
	t = process_thread(p, tid);
	return err_first(e, t ? thread_release(p, t) : NULL);
}

// A thread of the target stands still meanwhile.
static struct err *try_thread_quickly(struct helper *h, pid_t tid, bool *done)
{
	bool raised = h->process->impl->boost;

	process_boost(h->process);
	struct err *e = try_thread(h, tid, done);
	if (!raised)
		process_unboost(h->process);
	return e;
}

static struct err *try_all(struct helper *h, bool *done)
{
	pid_t tids[CANDIDATES_MAX];

	TRY(threads_refresh(h->process));
	size_t n = candidates(h->process, tids);
	for (size_t i = 0; i < n && !*done; i++)
		TRY(try_thread_quickly(h, tids[i], done));
	return NULL;
}

struct err *helper_inject(struct helper *h)
{
	struct process *p = h->process;
	struct err *e = seccomp_check(p);
	uint64_t deadline = monotonic_ns() + SEARCH_NS;
	bool done = false;

	while (!e && !done && monotonic_ns() < deadline) {
		e = try_all(h, &done);
		threads_release_left_over(p);
		if (!e && !done)
			nanosleep(&(struct timespec){0, SEARCH_NAP_NS}, NULL);
	}
	if (e || done)
		return e;
	if (!process_alive(p))
		return err_new(ERR_LOST, "process %d (%s) has ended", p->pid, p->comm);
	return err_with(err_new(ERR_BUSY,
				"no thread of process %d (%s) stopped at a place where "
				"the helper "
				"thread can be made",
				p->pid, p->comm),
			"no-safe-thread", p->comm);
}
