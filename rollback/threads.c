// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads: those that were there when it was saved get what they had, those that ended since are made again under their
// ids, new ones end.
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "os/kernel.h"
#include "os/ptrace.h"
#include "process/seccomp.h"
#include "resource/threads.h"
#include "rollback/impl.h"

enum {
	COMM = 16,
	XSTATE_MIN = 576, // legacy region and header
	XSTATE_MAX = 1 << 16,
	XSTATE_MXCSR = 24,
	XSTATE_BV = 512,
	XSTATE_COMP = 520,
	PENDING_MAX = 1 << 16,
};
static const unsigned USER_CS = 0x33;

// The kernel takes such an area from a debugger with every check; the thread itself does not.
static struct err *check_xstate(const struct rollback *rb, const uint8_t *area, size_t len)
{
	static const uint8_t zero[XSTATE_MIN - XSTATE_COMP];
	_cleanup_free_ uint8_t *now = malloc(XSTATE_MAX);
	uint64_t bv, features;
	uint32_t mxcsr;

	if (!now)
		return err_nomem();
	ssize_t n = os_ptrace_getregset(rb->p->pid, NT_X86_XSTATE, now, XSTATE_MAX);
	if (n < 0)
		return err_sys((int)n, "cannot read the FPU state of thread %d",
			       rb->p->pid);
	memcpy(&features, now + 464, sizeof(features)); // XCR0, where the kernel tells it
	if (len < XSTATE_MIN || (size_t)n != len)
		return err_refuse("cpu-state", "xstate",
				  "the saved FPU and vector state does not fit this "
				  "processor");
	memcpy(&bv, area + XSTATE_BV, sizeof(bv));
	memcpy(&mxcsr, area + XSTATE_MXCSR, sizeof(mxcsr));
	if (bv & ~features || mxcsr & 0xffff0000 ||
	    memcmp(area + XSTATE_COMP, zero, sizeof(zero)) != 0)
		return err_new(ERR_CORRUPT, "member 'xstate' is damaged");
	return NULL;
}

static struct err *stage_xstate(struct rollback *rb, struct plan_thread *t)
{
	_cleanup_free_ uint8_t *area = NULL;
	size_t len;

	TRY(json_get_bytes(t->saved, "xstate", XSTATE_MAX, &area, &len));
	TRY(check_xstate(rb, area, len));
	return stage_put(rb, area, len, &t->xstate);
}

static struct err *add_altstack(struct rollback *rb, struct plan_thread *t)
{
	stack_t st = {.ss_flags = SS_DISABLE};
	const json_t *o;
	uint64_t size;
	taddr_t at, there;
	bool autodisarm;

	TRY(json_opt_object(t->saved, "altstack", &o));
	if (o) {
		TRY(json_get_addr(o, "address", &at));
		TRY(json_get_u64(o, "size", INT64_MAX, &size));
		TRY(json_opt_bool(o, "autodisarm", false, &autodisarm));
		st = (stack_t){.ss_sp = (void *)at,
			       .ss_size = size,
			       .ss_flags = autodisarm ? (int)UAPI_SS_AUTODISARM : 0};
	}
	TRY(stage_put(rb, &st, sizeof(st), &there));
	// EPERM while the thread is on it: it is the one already.
	return ADD(&t->calls, NULL, SYS_sigaltstack, there);
}

static struct err *add_robust(struct plan_thread *t)
{
	const json_t *o;
	taddr_t at = 0;
	uint64_t size = 24;

	TRY(json_opt_object(t->saved, "robust", &o));
	if (o) {
		TRY(json_get_addr(o, "address", &at));
		TRY(json_get_u64(o, "size", INT64_MAX, &size));
	}
	return ADD(&t->calls, "set the robust list", SYS_set_robust_list, at, size);
}

static struct err *add_name(struct rollback *rb, struct plan_thread *t)
{
	_cleanup_free_ char *name = NULL;
	char padded[COMM] = "";
	taddr_t at;

	TRY(json_get_text(t->saved, "comm", COMM - 1, &name));
	snprintf(padded, sizeof(padded), "%s", name);
	TRY(stage_put(rb, padded, sizeof(padded), &at));
	return ADD(&t->calls, "set the name", SYS_prctl, PR_SET_NAME, at);
}

static struct err *saved_rseq(const struct plan_thread *t, taddr_t *at, uint64_t *size,
			      uint64_t *signature)
{
	const json_t *o;

	*at = 0;
	TRY(json_opt_object(t->saved, "rseq", &o));
	if (!o)
		return NULL;
	TRY(json_get_addr(o, "address", at));
	TRY(json_get_u64(o, "size", UINT32_MAX, size));
	return json_get_u64(o, "signature", UINT32_MAX, signature);
}

// A new thread has none; an old one's stays where it is, for the kernel writes to it at any time.
static struct err *add_rseq(struct rollback *rb, struct plan_thread *t)
{
	struct uapi_rseq_configuration now;
	uint64_t size = 0, signature = 0;
	taddr_t at;

	TRY(saved_rseq(t, &at, &size, &signature));
	if (t->made)
		return at ? ADD(&t->calls, "register rseq", SYS_rseq, at, size, 0,
				signature)
			  : NULL;
	if (os_ptrace_rseq(t->tid, &now) < 0 || now.pointer == at)
		return NULL;
	return err_refuse("other-process", rb->p->comm,
			  "thread %d has another rseq area than thread %d of the "
			  "checkpoint",
			  t->tid, t->tid);
}

static struct err *add_pending(struct rollback *rb, struct plan_thread *t)
{
	const json_t *list;
	siginfo_t info;
	taddr_t at;

	const struct thread *now = process_thread(rb->p, t->tid);
	if (now && !t->made)
		TRY(flush_pending(rb, &t->calls, t->tid, false, now->sigmask));
	TRY(json_opt_array(t->saved, "pending", PENDING_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		_cleanup_free_ uint8_t *bytes = NULL;
		size_t len = 0;

		if (!json_is_string(v) ||
		    !base64_decode(json_string_value(v), json_string_length(v),
				   sizeof(info), &bytes, &len) ||
		    len != sizeof(info))
			return err_new(ERR_CORRUPT, "a pending signal is damaged");
		memcpy(&info, bytes, sizeof(info));
		TRY(stage_put(rb, &info, sizeof(info), &at));
		TRY(ADD(&t->calls, NULL, SYS_rt_tgsigqueueinfo, (uint64_t)rb->p->pid,
			(uint64_t)t->tid, (uint64_t)info.si_signo, at));
	}
	return NULL;
}

static struct err *plan_saved(struct rollback *rb, struct plan_thread *t)
{
	taddr_t tid_address = 0;

	TRY(thread_registers(t->saved, &t->regs));
	TRY(thread_sigmask(t->saved, &t->sigmask));
	if (t->regs.cs != USER_CS)
		return err_new(ERR_CORRUPT, "member 'regs' is damaged");
	TRY(stage_xstate(rb, t));
	TRY(ADD(&t->calls, "set the thread pointer", SYS_arch_prctl, ARCH_SET_FS,
		t->regs.fs_base));
	TRY(ADD(&t->calls, NULL, SYS_arch_prctl, ARCH_SET_GS, t->regs.gs_base));
	if (json_has(t->saved, "tid_address"))
		TRY(json_get_addr(t->saved, "tid_address", &tid_address));
	TRY(ADD(&t->calls, "set the tid address", SYS_set_tid_address, tid_address));
	TRY(add_robust(t));
	TRY(add_altstack(rb, t));
	TRY(add_rseq(rb, t));
	TRY(add_pending(rb, t));
	return add_name(rb, t);
}

// Nothing that the thread or the kernel would write at its end may hit what comes in the place of its memory, or where
// nothing is any more.
static struct err *plan_end(struct plan_thread *t)
{
	const uint64_t unregister = 1;
	struct uapi_rseq_configuration rseq;

	TRY(ADD(&t->calls, "forget the tid address", SYS_set_tid_address, 0));
	TRY(ADD(&t->calls, "forget the robust list", SYS_set_robust_list, 0, 24));
	if (os_ptrace_rseq(t->tid, &rseq) < 0 || !rseq.pointer)
		return NULL;
	return ADD(&t->calls, "forget the rseq area", SYS_rseq, rseq.pointer, rseq.size,
		   unregister, rseq.signature);
}

// What a filter does not allow must show before it is decided.
static struct err *check_filters(const struct rollback *rb, pid_t tid,
				 const struct calls *c)
{
	_cleanup_(seccomp_deinit) struct seccomp filters = {0};
	const struct thread *t = process_thread(rb->p, tid);

	if (!t || !seccomp_filtered(rb->p, t))
		return NULL;
	TRY(seccomp_read(t, &filters));
	vec_for_each(r, &c->v)
		if (r->nr < ASK_COPY && seccomp_ask(&filters, r->nr, r->args,
						    SECCOMP_ALL_ARGS) != SECCOMP_ALLOWS)
			return err_refuse(
				"seccomp", t->comm,
				"thread %d (%s) of process %d runs under a "
				"seccomp filter that does not allow system call "
				"%ld, which a rollback needs",
				tid, t->comm, rb->p->pid, r->nr);
	return NULL;
}

static struct plan_thread *planned(struct rollback *rb, pid_t tid)
{
	vec_for_each(t, &rb->threads)
		if (t->tid == tid)
			return t;
	return NULL;
}

static struct err *make_thread(struct rollback *rb, pid_t tid)
{
	struct clone_args args = {.flags = CLONE_VM | CLONE_FS | CLONE_FILES |
					   CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
				  .set_tid_size = 1};
	taddr_t at;
	pid_t made;

	TRY(stage_put(rb, &tid, sizeof(tid), &at));
	args.set_tid = at;
	TRY(stage_put(rb, &args, sizeof(args), &at));
	TRY(ask_spawn(rb->r, at, sizeof(args), &made));
	rb->ret->made++;
	if (made == tid)
		return NULL;
	if (made >= 0)
		return err_new(ERR_INTERNAL, "thread %d was made instead of %d", made,
			       tid);
	if (made == -EPERM)
		return err_refuse(
			"thread-id", rb->p->comm,
			"thread %d has ended since, and process %d may not make "
			"one with that id (CAP_CHECKPOINT_RESTORE)",
			tid, rb->p->pid);
	if (made == -EEXIST)
		return err_refuse("thread-id", rb->p->comm,
				  "thread %d has ended since, and its id is in use", tid);
	return err_sys(made, "cannot make thread %d again", tid);
}

static struct err *add_saved(struct rollback *rb, size_t i)
{
	struct plan_thread t = {0};

	TRY(thread_at(rb->state, i, &t.saved, &t.tid));
	t.made = !process_thread(rb->p, t.tid);
	if (!i && t.tid != rb->p->pid)
		return err_new(ERR_CORRUPT, "the first thread is not the first");
	if (!i && t.made)
		return err_refuse("zombie", rb->p->comm,
				  "the first thread of process %d has ended", rb->p->pid);
	if (planned(rb, t.tid))
		return err_new(ERR_CORRUPT, "thread %d stands twice", t.tid);
	TRY(vec_push(&rb->threads, t));
	return t.made ? make_thread(rb, t.tid) : NULL;
}

struct err *threads_plan_all(struct rollback *rb)
{
	size_t n;

	TRY(threads_count(rb->state, &n));
	for (size_t i = 0; i < n; i++)
		TRY(add_saved(rb, i));
	vec_for_each(t, &rb->p->threads)
		if (t->state == THREAD_STOPPED && !planned(rb, t->tid))
			TRY(vec_push(&rb->threads, (struct plan_thread){.tid = t->tid}));
	vec_for_each(t, &rb->threads) {
		TRY(err_wrap(t->saved ? plan_saved(rb, t) : plan_end(t), "thread %d",
			     t->tid));
		rb->ret->ended += !t->saved;
	}
	rb->ret->threads = n;
	return NULL;
}

static struct err *join_lists(struct rollback *rb, struct plan_thread *first)
{
	struct calls *all = &rb->calls;

	for (size_t i = 0; i < first->calls.v.n; i++) {
		TRY(vec_push(&all->v, first->calls.v.v[i]));
		TRY(vec_push(&all->what, first->calls.what.v[i]));
	}
	first->calls.v.n = first->calls.what.n = 0;
	return NULL;
}

struct err *threads_finish(struct rollback *rb)
{
	TRY(join_lists(rb, &rb->threads.v[0]));
	for (size_t i = 0; i < rb->threads.n; i++) {
		struct plan_thread *t = &rb->threads.v[i];
		struct calls *c = i ? &t->calls : &rb->calls;
		struct ask_finish f = {.n = c->v.n,
				       .ends = !t->saved,
				       .regs = &t->regs,
				       .sigmask = t->sigmask,
				       .xstate = t->xstate};

		TRY(check_filters(rb, t->tid, c));
		TRY(calls_stage(rb, c, &f.list));
		TRY(ask_finish(rb->r, t->tid, &f));
	}
	return NULL;
}
