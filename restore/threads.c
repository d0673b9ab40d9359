// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of a process that is rebuilt: made with their saved ids, at last stopped with their saved registers.
#include <errno.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/ptrace.h"
#include "os/vm.h"
#include "process/process.h"
#include "process/wait.h"
#include "resource/threads.h"
#include "restore/build.h"

static const uint64_t STOP_NS = 5000000000; // for one thread to stop

struct build_thread *build_thread(struct build *b, pid_t tid)
{
	vec_for_each(t, &b->threads)
		if (t->tid == tid)
			return t;
	return NULL;
}

struct err *threads_plan(struct build *b)
{
	size_t n;

	TRY(threads_count(b->state, &n));
	for (size_t i = 0; i < n; i++) {
		struct build_thread t = {};

		TRY(thread_at(b->state, i, &t.state, &t.saved));
		TRY(vec_push(&b->threads, t));
	}
	if (b->threads.v[0].saved != b->saved)
		return err_new(ERR_CORRUPT, "the first thread of process %d is %d",
			       b->saved, b->threads.v[0].saved);
	return NULL;
}

// Its own filters are not to meet what is done to rebuild it.
static unsigned long trace_options(const struct build *b)
{
	return state_has_seccomp(b->state)
		       ? PTRACE_O_EXITKILL | UAPI_PTRACE_O_SUSPEND_SECCOMP
		       : PTRACE_O_EXITKILL;
}

struct err *thread_adopt(struct build *b, struct build_thread *t)
{
	int r = os_ptrace_seize(t->tid, trace_options(b));

	if (r < 0)
		return err_sys(r, "cannot trace thread %d of process %d", t->tid,
			       b->remote.pid);
	t->traced = true;
	return NULL;
}

struct err *threads_make(struct build *b, bool any)
{
	for (size_t i = 1; i < b->threads.n; i++)
		TRY(birth_thread(b, &b->threads.v[i], any ? 0 : b->threads.v[i].saved));
	return NULL;
}

static struct err *thread_error(const struct build *b, const struct build_thread *t,
				int r, const char *what)
{
	return err_sys(r, "cannot set %s of thread %d of process %d", what, t->tid,
		       b->remote.pid);
}

struct err *thread_halt(const struct build *b, const struct build_thread *t)
{
	uint64_t deadline = monotonic_ns() + STOP_NS;

	os_ptrace_interrupt(t->tid);
	for (;;) {
		struct stop s = wait_stop(t->tid, deadline);

		switch (s.kind) {
		case STOP_EVENT:
		case STOP_GROUP:
			return NULL;
		case STOP_NONE:
			return err_new(ERR_INTERNAL,
				       "thread %d of process %d does not stop", t->tid,
				       b->remote.pid);
		case STOP_EXITED:
		case STOP_LOST:
			return err_new(ERR_LOST, "thread %d of process %d ended", t->tid,
				       b->remote.pid);
		case STOP_SIGNAL:
		case STOP_CLONE:
		case STOP_EXEC:
		case STOP_SYSCALL:
		case STOP_OTHER:
			os_ptrace_cont(t->tid, 0);
			break;
		}
	}
}

static struct err *rename_one(const struct build *b, const struct build_thread *t)
{
	pid_t word;
	taddr_t address;

	if (t->tid == t->saved || !json_has(t->state, "tid_address"))
		return NULL;
	TRY(json_get_addr(t->state, "tid_address", &address));
	// Not there, or something else by now: nothing that could be put right.
	if (os_pread(b->mem, &word, sizeof(word), address) != sizeof(word) ||
	    word != t->saved)
		return NULL;
	word = t->tid;
	ssize_t r = os_pwrite(b->mem, &word, sizeof(word), address);
	return r < 0 ? thread_error(b, t, (int)r, "the id in the memory") : NULL;
}

struct err *threads_rename(struct build *b)
{
	vec_for_each(t, &b->threads)
		TRY(json_at(rename_one(b, t), "threads", t - b->threads.v));
	return NULL;
}

static int run_to_exit(const struct build_thread *t)
{
	uint64_t deadline = monotonic_ns() + STOP_NS;

	// One stop at the entry, one at the exit of the call.
	for (int i = 0; i < 2; i++) {
		struct stop s = {STOP_EVENT, 0};

		while (s.kind == STOP_EVENT || s.kind == STOP_GROUP) {
			int r = os_ptrace_syscall(t->tid);

			if (r < 0)
				return r;
			s = wait_stop(t->tid, deadline);
		}
		if (s.kind != STOP_SYSCALL)
			return -EIO;
	}
	return 0;
}

// Without the restore area: by the system call instruction of the vdso. At PTRACE_EVENT_STOP before and afterwards; the
// registers are the call's then.
static struct err *call_bare(struct build *b, long nr, uint64_t arg0, uint64_t arg1)
{
	const struct build_thread *t = &b->threads.v[0];
	struct user_regs_struct regs;
	taddr_t code;

	TRY(space_syscall_at(b, &code));
	os_ptrace_setoptions(t->tid, trace_options(b) | PTRACE_O_TRACESYSGOOD);
	int r = os_ptrace_getregs(t->tid, &regs);
	regs.rip = code;
	regs.rax = (unsigned long)nr;
	regs.rdi = arg0;
	regs.rsi = arg1;
	regs.orig_rax = ~0UL;
	if (!r)
		r = os_ptrace_setregs(t->tid, &regs);
	if (!r)
		r = run_to_exit(t);
	if (!r)
		r = os_ptrace_getregs(t->tid, &regs);
	if (!r && (long)regs.rax < 0)
		r = (int)regs.rax;
	if (r < 0)
		return err_sys(r, "system call %ld in process %d", nr, b->remote.pid);
	os_ptrace_interrupt(t->tid);
	os_ptrace_cont(t->tid, 0);
	return thread_halt(b, t);
}

static int parent_death_signal(const struct build *b)
{
	int sig;
	struct err *e =
		json_opt_i32(b->threads.v[0].state, "pdeathsig", 0, SIGRTMAX, 0, &sig);

	if (!e)
		return sig;
	err_free(e); // checked before
	return 0;
}

struct err *threads_follow_tool(struct build *b)
{
	int64_t ret;

	return remote_call(&b->remote, SYS_prctl,
			   (uint64_t[6]){PR_SET_PDEATHSIG, SIGKILL}, &ret);
}

struct err *threads_leave_tool(struct build *b)
{
	const struct build_thread *t = &b->threads.v[0];
	struct user_regs_struct regs;
	uint64_t mask;
	int r = os_ptrace_getregs(t->tid, &regs);

	if (!r)
		r = os_ptrace_getsigmask(t->tid, &mask);
	if (!r)
		r = os_ptrace_setsigmask(t->tid, ~0ULL);
	if (r < 0)
		return thread_error(b, t, r, "the signal mask");
	TRY(call_bare(b, SYS_prctl, PR_SET_PDEATHSIG, (uint64_t)parent_death_signal(b)));
	r = os_ptrace_setregs(t->tid, &regs);
	if (!r)
		r = os_ptrace_setsigmask(t->tid, mask);
	return r < 0 ? thread_error(b, t, r, "the registers") : NULL;
}

static struct err *set_registers(const struct build *b, const struct build_thread *t)
{
	struct user_regs_struct regs;
	uint64_t mask;

	TRY(thread_registers(t->state, &regs));
	TRY(thread_sigmask(t->state, &mask));
	TRY(thread_set_xstate(t->state, t->tid));
	int r = os_ptrace_setregs(t->tid, &regs);
	if (r < 0)
		return thread_error(b, t, r, "the registers");
	r = os_ptrace_setsigmask(t->tid, mask);
	return r < 0 ? thread_error(b, t, r, "the signal mask") : NULL;
}

struct err *threads_settle(struct build *b)
{
	vec_for_each(t, &b->threads)
		os_ptrace_interrupt(t->tid);
	vec_for_each(t, &b->threads)
		TRY(thread_halt(b, t));
	TRY(call_bare(b, SYS_munmap, b->site->addr, b->site->size));
	vec_for_each(t, &b->threads)
		TRY(json_at(set_registers(b, t), "threads", t - b->threads.v));
	return NULL;
}

void threads_outlive_tool(const struct build *b, bool first)
{
	const unsigned long options = trace_options(b) & ~(unsigned long)PTRACE_O_EXITKILL;

	if (first)
		os_ptrace_setoptions(b->threads.v[0].tid, options);
	for (size_t i = 1; i < b->threads.n && !first; i++)
		os_ptrace_setoptions(b->threads.v[i].tid, options);
}

struct err *threads_release(struct build *b)
{
	struct err *e = NULL;

	vec_for_each(t, &b->threads) {
		int r = os_ptrace_detach(t->tid);

		t->traced = false;
		if (r < 0)
			e = err_first(e, err_sys(r, "cannot let thread %d go", t->tid));
	}
	return e;
}
