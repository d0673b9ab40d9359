// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving the state of every thread, see docs/checkpoint-format.md, `threads`.
#include "resource/threads.h"

#include <elf.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/proc.h"
#include "os/ptrace.h"
#include "process/ask.h"
#include "resource/calls.h"
#include "resource/credentials.h"
#include "resource/json.h"
#include "resource/signals.h"
#include "resource/status.h"
#include "util/cleanup.h"

enum { XSTATE_MAX = 1 << 16 };
static const unsigned long READ_PERSONALITY = 0xffffffff;

// What only the thread itself can tell.
struct answers { // shared memory
	stack_t altstack;
	uint64_t tid_address;
	int pdeathsig;
	char ldt[16];
};

enum { // places in the list of calls
	ASK_ALTSTACK,
	ASK_TID_ADDRESS,
	ASK_PDEATHSIG,
	ASK_TIMER_SLACK,
	ASK_SECUREBITS,
	ASK_PERSONALITY,
	ASK_LDT,
};

struct asked {
	pid_t tid;
	char comm[16];
	struct call_list calls;
	struct answers *answers;
};

struct asked_list {
	VEC(struct asked) v;
	VEC(struct ask_job) jobs;
};

static void asked_list_deinit(struct asked_list *l)
{
	vec_for_each(a, &l->v)
		call_list_deinit(&a->calls);
	vec_free(&l->v);
	vec_free(&l->jobs);
}

static struct err *questions(struct saver *s, struct asked *a)
{
	struct call_list *l = &a->calls;
	void *room;

	TRY(remote_room(s->ask, sizeof(*a->answers), &room));
	a->answers = room;
	TRY(CALL(l, NULL, SYS_sigaltstack, 0, remote_at(s->ask, &a->answers->altstack)));
	TRY(CALL(l, NULL, SYS_prctl, PR_GET_TID_ADDRESS,
		 remote_at(s->ask, &a->answers->tid_address)));
	TRY(CALL(l, NULL, SYS_prctl, PR_GET_PDEATHSIG,
		 remote_at(s->ask, &a->answers->pdeathsig)));
	TRY(CALL(l, NULL, SYS_prctl, PR_GET_TIMERSLACK));
	TRY(CALL(l, NULL, SYS_prctl, PR_GET_SECUREBITS));
	TRY(CALL(l, NULL, SYS_personality, READ_PERSONALITY));
	return CALL(l, NULL, SYS_modify_ldt, 0, remote_at(s->ask, a->answers->ldt),
		    sizeof(a->answers->ldt));
}

static struct err *ask_all(struct saver *s, struct asked_list *l)
{
	vec_for_each(t, &s->process->threads) {
		struct asked a = {.tid = t->tid};

		if (t->state == THREAD_GONE)
			continue;
		memcpy(a.comm, t->comm, sizeof(a.comm));
		TRY(vec_push(&l->v, a));
		TRY(questions(s, &l->v.v[l->v.n - 1]));
	}
	vec_for_each(a, &l->v) {
		struct ask_job job = {.tid = a->tid,
				      .reqs = a->calls.reqs.v,
				      .n = a->calls.reqs.n,
				      .all = true};

		TRY(vec_push(&l->jobs, job));
	}
	return ask_many(s->ask, l->jobs.v, l->jobs.n);
}

// The value a call gave; one that a seccomp filter forbids leaves it unknown.
static struct err *answer(const struct asked *a, int which, const char *name, int64_t *ret)
{
	*ret = a->calls.reqs.v[which].ret;
	if (*ret == -EPERM || *ret == -EACCES)
		return err_refuse("seccomp", name,
				  "the seccomp filter of thread %d (%s) does not allow "
				  "%s, by which its state would be read",
				  a->tid, a->comm, name);
	return NULL;
}

static struct err *put_altstack(const struct asked *a, json_t *out)
{
	const stack_t *st = &a->answers->altstack;
	json_t *o;
	int64_t r;

	TRY(answer(a, ASK_ALTSTACK, "sigaltstack", &r));
	if (r < 0)
		return err_sys((int)r, "cannot read the alternate stack of thread %d",
			       a->tid);
	if (st->ss_flags & SS_DISABLE)
		return NULL;
	TRY(json_put_object(out, "altstack", &o));
	TRY(json_put_int(o, "address", (int64_t)(uintptr_t)st->ss_sp));
	TRY(json_put_int(o, "size", (int64_t)st->ss_size));
	return json_put_bool(o, "autodisarm", (unsigned)st->ss_flags & UAPI_SS_AUTODISARM);
}

static struct err *put_answers(const struct asked *a, json_t *out)
{
	int64_t r;

	TRY(put_altstack(a, out));
	TRY(answer(a, ASK_TID_ADDRESS, "prctl", &r));
	if (r >= 0)
		TRY(json_put_int(out, "tid_address", (int64_t)a->answers->tid_address));
	if (a->calls.reqs.v[ASK_PDEATHSIG].ret >= 0 && a->answers->pdeathsig)
		TRY(json_put_int(out, "pdeathsig", a->answers->pdeathsig));
	r = a->calls.reqs.v[ASK_TIMER_SLACK].ret;
	if (r >= 0)
		TRY(json_put_int(out, "timer_slack", r));
	r = a->calls.reqs.v[ASK_PERSONALITY].ret;
	if (r >= 0)
		TRY(json_put_int(out, "personality", r));
	TRY(answer(a, ASK_LDT, "modify_ldt", &r));
	if (r > 0)
		return err_refuse("ldt", a->comm,
				  "thread %d (%s) has segments of its own (modify_ldt), "
				  "which cannot be brought back",
				  a->tid, a->comm);
	return NULL;
}

static struct err *put_rseq(const struct thread *t, json_t *out)
{
	struct uapi_rseq_configuration c;
	json_t *o;

	if (os_ptrace_rseq(t->tid, &c) < 0 || !c.pointer)
		return NULL;
	TRY(json_put_object(out, "rseq", &o));
	TRY(json_put_int(o, "address", (int64_t)c.pointer));
	TRY(json_put_int(o, "size", c.size));
	return json_put_int(o, "signature", c.signature);
}

static struct err *put_robust(const struct thread *t, json_t *out)
{
	uint64_t head = 0;
	size_t size = 0;
	json_t *o;

	if (syscall(SYS_get_robust_list, t->tid, &head, &size) < 0)
		return err_sys(errno, "cannot read the robust list of thread %d", t->tid);
	if (!head)
		return NULL;
	TRY(json_put_object(out, "robust", &o));
	TRY(json_put_int(o, "address", (int64_t)head));
	return json_put_int(o, "size", (int64_t)size);
}

static struct err *put_registers(const struct thread *t, json_t *out)
{
	_cleanup_free_ uint8_t *xstate = malloc(XSTATE_MAX);

	if (!xstate)
		return err_nomem();
	ssize_t n = os_ptrace_getregset(t->tid, NT_X86_XSTATE, xstate, XSTATE_MAX);
	if (n < 0)
		return err_sys((int)n, "cannot read the FPU state of thread %d", t->tid);
	TRY(json_put_bytes(out, "regs", &t->regs, sizeof(t->regs)));
	TRY(json_put_bytes(out, "xstate", xstate, (size_t)n));
	return json_put_mask(out, "sigmask", t->sigmask);
}

// A folder namespace of its own comes with a current folder of its own (CLONE_FS).
static struct err *check_namespaces(const struct saver *s, const struct thread *t)
{
	static const char *const kinds[] = {"ns/net", "ns/uts", "ns/ipc"};
	char first[64], own[64];
	pid_t pid = s->process->pid;

	for (size_t i = 0; t->tid != pid && i < ARRAY_SIZE(kinds); i++)
		if (os_proc_link(pid, pid, kinds[i], first, sizeof(first)) == 0 &&
		    os_proc_link(pid, t->tid, kinds[i], own, sizeof(own)) == 0 &&
		    strcmp(first, own) != 0)
			return err_refuse("namespace", t->comm,
					  "thread %d (%s) is in another namespace (%s) "
					  "than the first",
					  t->tid, t->comm, kinds[i]);
	return NULL;
}

// Threads may have tables, folders and namespaces of their own; nothing here would bring that back.
static struct err *check_shared(const struct saver *s, const struct thread *t)
{
	static const struct {
		int type;
		const char *what;
	} kinds[] = {{KCMP_FILES, "descriptor table"},
		     {KCMP_FS, "current folder and root"}};
	pid_t pid = s->process->pid;

	for (size_t i = 0; t->tid != pid && i < ARRAY_SIZE(kinds); i++) {
		long r = syscall(SYS_kcmp, pid, t->tid, kinds[i].type, 0, 0);

		if (r < 0)
			return err_sys(errno, "cannot compare thread %d with the first",
				       t->tid);
		if (r > 0)
			return err_refuse("unshared-threads", t->comm,
					  "thread %d (%s) has a %s of its own, which "
					  "cannot be brought back",
					  t->tid, t->comm, kinds[i].what);
	}
	if (os_ptrace_dispatches(t->tid) == 1)
		return err_refuse("syscall-dispatch", t->comm,
				  "the system calls of thread %d (%s) go to a handler of "
				  "its own (PR_SET_SYSCALL_USER_DISPATCH)",
				  t->tid, t->comm);
	return NULL;
}

static struct err *save_thread(struct saver *s, const struct asked *a, json_t *out)
{
	const struct thread *t = process_thread(s->process, a->tid);
	_cleanup_(thread_status_deinit) struct thread_status status = {0};
	int64_t securebits;

	if (!t || t->state != THREAD_STOPPED)
		return err_new(ERR_LOST, "it has ended");

	TRY(thread_status_read(s->process->pid, t->tid, &status));
	if (status.shadow_stack)
		return err_refuse("shadow-stack", t->comm,
				  "thread %d (%s) has a shadow stack, which cannot be "
				  "brought back",
				  t->tid, t->comm);
	TRY(check_shared(s, t));
	TRY(check_namespaces(s, t));
	TRY(json_put_int(out, "tid", t->tid));
	TRY(json_put_text(out, "comm", t->comm));
	TRY(put_registers(t, out));
	TRY(save_restart(s, t, out));
	TRY(put_answers(a, out));
	TRY(put_rseq(t, out));
	TRY(put_robust(t, out));
	TRY(save_scheduling(t, out));
	TRY(save_pending(t->tid, false, status.pending, out));
	TRY(answer(a, ASK_SECUREBITS, "prctl", &securebits));
	return save_thread_credentials(s, t, &status, securebits < 0 ? 0 : securebits,
				       out);
}

static struct err *save_asked(struct saver *s, const struct asked_list *l)
{
	json_t *threads, *out;

	TRY(json_put_array(s->state, "threads", &threads));
	for (int first = 1; first >= 0; first--) {
		vec_for_each(a, &l->v) {
			if ((a->tid == s->process->pid) != first)
				continue;
			TRY(json_add_object(threads, &out));
			TRY(err_wrap(save_thread(s, a, out), "thread %d (%s)", a->tid,
				     a->comm));
		}
	}
	return NULL;
}

struct err *save_threads(struct saver *s)
{
	_cleanup_(asked_list_deinit) struct asked_list l = {0};
	const struct thread *first = process_thread(s->process, s->process->pid);
	size_t mark = s->ask->used;

	if (!first)
		return err_refuse("zombie", s->process->comm,
				  "the first thread of process %d (%s) has ended while "
				  "others run; such a process cannot be brought back",
				  s->process->pid, s->process->comm);
	struct err *e = ask_all(s, &l);
	if (!e)
		e = save_asked(s, &l);
	remote_release(s->ask, mark);
	return e;
}
