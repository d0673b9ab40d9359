// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back what each thread has besides registers and credentials.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "os/kernel.h"
#include "os/ptrace.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/threads.h"
#include "util/cleanup.h"

enum { RSEQ_UNREGISTER = 1, COMM_MAX = 15, RSEQ_SIZE_MAX = 1024 };
static const unsigned long READ_PERSONALITY = 0xffffffff;

struct saved_thread {
	char *comm;
	stack_t altstack;
	taddr_t robust, tid_address, rseq;
	uint64_t robust_size, rseq_size, rseq_signature;
	bool has_robust, has_tid_address;
	int64_t timer_slack, personality; // -1: not known
};

struct target { // one thread
	struct restorer *r;
	struct saved_thread saved;
	pid_t tid; // now
	struct call_list calls;
};

static void target_deinit(struct target *t)
{
	free(t->saved.comm);
	call_list_deinit(&t->calls);
}

static struct err *parse_altstack(const json_t *thread, stack_t *ret)
{
	const json_t *o;
	taddr_t address;
	uint64_t size;
	bool autodisarm;

	*ret = (stack_t){.ss_flags = SS_DISABLE};
	TRY(json_opt_object(thread, "altstack", &o));
	if (!o)
		return NULL;
	TRY(json_get_addr(o, "address", &address));
	TRY(json_get_u64(o, "size", (uint64_t)JSON_ADDR_MAX, &size));
	TRY(json_opt_bool(o, "autodisarm", false, &autodisarm));
	ret->ss_sp = (void *)(uintptr_t)address;
	ret->ss_size = size;
	ret->ss_flags = autodisarm ? (int)UAPI_SS_AUTODISARM : 0;
	return NULL;
}

static struct err *parse_rseq(const json_t *thread, struct saved_thread *ret)
{
	const json_t *o;

	TRY(json_opt_object(thread, "rseq", &o));
	if (!o)
		return NULL;
	TRY(json_get_addr(o, "address", &ret->rseq));
	TRY(json_get_u64(o, "size", RSEQ_SIZE_MAX, &ret->rseq_size));
	return json_get_u64(o, "signature", UINT32_MAX, &ret->rseq_signature);
}

static struct err *parse(const json_t *thread, struct saved_thread *ret)
{
	const json_t *o;

	TRY(json_get_text(thread, "comm", COMM_MAX, &ret->comm));
	TRY(parse_altstack(thread, &ret->altstack));
	TRY(parse_rseq(thread, ret));
	TRY(json_opt_object(thread, "robust", &o));
	ret->has_robust = o;
	if (o) {
		TRY(json_get_addr(o, "address", &ret->robust));
		TRY(json_get_u64(o, "size", INT32_MAX, &ret->robust_size));
	}
	ret->has_tid_address = json_has(thread, "tid_address");
	if (ret->has_tid_address)
		TRY(json_get_addr(thread, "tid_address", &ret->tid_address));
	TRY(json_opt_int(thread, "timer_slack", 0, INT64_MAX, -1, &ret->timer_slack));
	return json_opt_int(thread, "personality", 0, READ_PERSONALITY - 1, -1,
			    &ret->personality);
}

static struct err *add_name(struct target *t)
{
	const char *comm = t->saved.comm;
	taddr_t at;

	TRY(remote_put(t->r->remote, comm, strlen(comm) + 1, &at));
	return CALL(&t->calls, "set the name", SYS_prctl, PR_SET_NAME, at);
}

static bool same_altstack(const stack_t *a, const stack_t *b)
{
	const int flags = (int)(UAPI_SS_AUTODISARM | SS_DISABLE);

	if ((a->ss_flags & flags) != (b->ss_flags & flags))
		return false;
	return a->ss_flags & SS_DISABLE ||
	       (a->ss_sp == b->ss_sp && a->ss_size == b->ss_size);
}

// A thread that runs on it right now may not set it, even to what it is.
static struct err *add_altstack(struct target *t)
{
	struct remote *remote = t->r->remote;
	const stack_t *wanted = &t->saved.altstack;
	void *room;
	int64_t ret;
	taddr_t at;

	TRY(remote_room(remote, sizeof(stack_t), &room));
	TRY(remote_call_in(remote, t->tid, SYS_sigaltstack,
			   (uint64_t[6]){0, remote_at(remote, room)}, &ret));
	if (ret == 0 && same_altstack(room, wanted))
		return NULL;
	TRY(remote_put(remote, wanted, sizeof(*wanted), &at));
	return CALL(&t->calls, "set the alternate stack", SYS_sigaltstack, at);
}

// Only a stopped thread tells whether it has one registered; one that is made anew has none.
static struct err *add_rseq(struct target *t)
{
	const struct saved_thread *s = &t->saved;
	struct uapi_rseq_configuration now = {0};

	if (os_ptrace_rseq(t->tid, &now) < 0)
		now.pointer = 0;
	if (now.pointer == s->rseq)
		return NULL;
	if (now.pointer)
		TRY(CALL(&t->calls, "unregister the rseq area", SYS_rseq, now.pointer,
			 now.size, RSEQ_UNREGISTER, now.signature));
	if (!s->rseq)
		return NULL;
	return CALL(&t->calls, "register the rseq area", SYS_rseq, s->rseq, s->rseq_size,
		    0, s->rseq_signature);
}

static struct err *add_settings(struct target *t)
{
	const struct saved_thread *s = &t->saved;
	int64_t ret;

	if (s->has_robust)
		TRY(CALL(&t->calls, "set the robust list", SYS_set_robust_list, s->robust,
			 s->robust_size));
	if (s->has_tid_address)
		TRY(CALL(&t->calls, "set the tid address", SYS_set_tid_address,
			 s->tid_address));
	// 0 would mean the default; threads with a real-time policy have that by themselves.
	if (s->timer_slack > 0)
		TRY(CALL(&t->calls, NULL, SYS_prctl, PR_SET_TIMERSLACK,
			 (uint64_t)s->timer_slack));
	if (s->personality < 0)
		return NULL;
	TRY(remote_call_in(t->r->remote, t->tid, SYS_personality,
			   (uint64_t[6]){READ_PERSONALITY}, &ret));
	if (ret == s->personality)
		return NULL;
	return CALL(&t->calls, "set the personality", SYS_personality,
		    (uint64_t)s->personality);
}

static struct err *restore_thread(struct target *t, const json_t *thread)
{
	TRY(parse(thread, &t->saved));
	TRY(add_name(t));
	TRY(add_altstack(t));
	TRY(add_rseq(t));
	TRY(add_settings(t));
	TRY(call_list_run(&t->calls, t->r->remote, t->tid));
	return restore_scheduling(t->r, t->tid, thread);
}

struct err *restore_threads(struct restorer *r)
{
	const size_t mark = r->remote->used;
	size_t n;

	TRY(threads_count(r->state, &n));
	for (size_t i = 0; i < n; i++) {
		struct target t = {.r = r};
		const json_t *thread;
		pid_t saved;

		TRY(thread_at(r->state, i, &thread, &saved));
		t.tid = r->tid_of(r, saved);
		struct err *e = restore_thread(&t, thread);
		target_deinit(&t);
		remote_release(r->remote, mark);
		TRY(json_at(e, "threads", i));
	}
	return NULL;
}

struct err *check_thread(const json_t *thread)
{
	struct saved_thread s = {0};
	struct user_regs_struct regs;
	uint64_t mask;
	int sig;

	struct err *e = parse(thread, &s);
	free(s.comm);
	TRY(e);
	TRY(json_opt_i32(thread, "pdeathsig", 0, UAPI_SIGNALS, 0, &sig));
	TRY(thread_registers(thread, &regs));
	TRY(thread_sigmask(thread, &mask));
	TRY(check_saved_xstate(thread));
	return check_scheduling(thread);
}
