// SPDX-License-Identifier: LGPL-2.1-or-later
// Before anything is done in a process with seccomp filters: would they let it?
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/proc.h"
#include "process/seccomp.h"
#include "process/thread.h"
#include "util/cleanup.h"

static const uint64_t STOP_NS = 1000000000;
enum { MODE_STRICT = 1 };
#define HELPER_CLONE (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) // as bootstrap.S has it

static const struct need {
	long nr;
	const char *name;
	uint64_t args[6];
	unsigned known;
	bool may_fail; // an error is seen and the update given up
} needs[] = {
	// In every thread, by stubs and gates that nobody watches over.
	{SYS_rt_sigprocmask, "rt_sigprocmask", {0}, 0, false},
	{SYS_clone, "clone", {HELPER_CLONE}, SECCOMP_ALL_ARGS, false},
	{SYS_getpid, "getpid", {0}, 0, false},
	{SYS_exit, "exit", {0}, SECCOMP_ALL_ARGS, false},
	{SYS_futex, "futex", {0}, 0, false},
	{SYS_clock_gettime, "clock_gettime", {0}, 0, false},
	{SYS_restart_syscall, "restart_syscall", {0}, 0, false},
	// By the helper thread, call by call.
	{SYS_mmap, "mmap", {0}, 0, true},
	{SYS_munmap, "munmap", {0}, 0, true},
	{SYS_mprotect, "mprotect", {0}, 0, true},
	{SYS_madvise, "madvise", {0}, 0, true},
	{SYS_memfd_create, "memfd_create", {0}, 0, true},
	{SYS_ftruncate, "ftruncate", {0}, 0, true},
	{SYS_close, "close", {0}, 0, true},
	{SYS_close_range, "close_range", {0}, 0, true},
	{SYS_prctl, "prctl", {0}, 0, true},
	{SYS_sched_setattr, "sched_setattr", {0}, 0, true},
};

// A call that waits and that the stop has broken off would go on by restart_syscall: where that is forbidden, by
// the call itself, with its full time.
static void avoid_restart(struct thread *t)
{
	if ((long)t->regs.rax != -UAPI_ERESTART_RESTARTBLOCK || (long)t->regs.orig_rax < 0)
		return;
	t->regs.rax = (unsigned long)-UAPI_ERESTARTNOINTR;
	t->regs_dirty = true;
}

static struct err *forbidden(const struct process *p, const struct thread *t,
			     const char *call)
{
	return err_refuse("seccomp", call,
			  "thread %d (%s) of process %d runs under a seccomp filter that "
			  "does not allow %s, which molt has to do in it",
			  t->tid, t->comm, p->pid, call);
}

static struct err *ask_all(const struct process *p, struct thread *t,
			   const struct seccomp *s)
{
	static const uint64_t none[6] = {0};
	struct err *e = NULL;

	if (seccomp_ask(s, SYS_restart_syscall, none, 0) != SECCOMP_ALLOWS)
		avoid_restart(t);
	for (size_t i = 0; i < ARRAY_SIZE(needs) && !e; i++) {
		const struct need *n = &needs[i];
		enum seccomp_answer a = seccomp_ask(s, n->nr, n->args, n->known);

		if (a == SECCOMP_KILLS || (a == SECCOMP_FAILS && !n->may_fail))
			e = forbidden(p, t, n->name);
	}
	return e;
}

static struct err *check_stopped(const struct process *p, struct thread *t)
{
	_cleanup_(seccomp_deinit) struct seccomp s = {0};
	struct err *e = seccomp_read(t, &s);

	if (!e)
		return ask_all(p, t, &s);
	avoid_restart(t);
	if (e->kind != ERR_PERM)
		return e;
	err_free(e);
	return err_refuse(
		"seccomp", p->comm,
		"thread %d (%s) of process %d runs under a seccomp filter, which "
		"molt can only read with CAP_SYS_ADMIN",
		t->tid, t->comm, p->pid);
}

static struct err *check_thread(struct process *p, pid_t tid)
{
	struct thread *t = process_thread(p, tid);
	struct os_status st;
	int r = os_proc_status(p->pid, tid, &st);

	if (r < 0 && !os_proc_is_gone(r))
		return err_sys(r, "cannot look at thread %d of %d", tid, p->pid);
	if (r < 0 || !st.seccomp || !t)
		return NULL;
	if (st.seccomp == MODE_STRICT)
		return forbidden(p, t, "anything but read and write");
	struct err *e = thread_stop(p, t, monotonic_ns() + STOP_NS);
	t = process_thread(p, tid);
	if (e || !t || t->state != THREAD_STOPPED) {
		if (e && e->kind != ERR_LOST)
			return e;
		err_free(e);
		return NULL;
	}
	e = check_stopped(p, t);
	return err_first(e, thread_release(p, t));
}

struct err *seccomp_check(struct process *p)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;

	TRY(threads_refresh(p));
	tids = malloc((p->threads.n + 1) * sizeof(*tids));
	if (!tids)
		return err_nomem();
	vec_for_each(t, &p->threads)
		tids[n++] = t->tid;
	for (size_t i = 0; i < n; i++)
		TRY(check_thread(p, tids[i]));
	return NULL;
}
