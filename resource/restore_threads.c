// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back what each thread has besides registers and credentials.
#include <errno.h>
#include <signal.h>
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

struct target { // one thread
	struct restorer *r;
	const json_t *saved;
	pid_t tid; // now
	struct call_list calls;
};

static struct err *add_name(struct target *t)
{
	_cleanup_free_ char *comm = NULL;
	taddr_t at;

	TRY(json_get_text(t->saved, "comm", COMM_MAX, &comm));
	TRY(remote_put(t->r->remote, comm, strlen(comm) + 1, &at));
	return CALL(&t->calls, "set the name", SYS_prctl, PR_SET_NAME, at);
}

static struct err *saved_altstack(const json_t *thread, stack_t *ret)
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
	stack_t wanted;
	void *room;
	int64_t ret;
	taddr_t at;

	TRY(saved_altstack(t->saved, &wanted));
	TRY(remote_room(remote, sizeof(stack_t), &room));
	TRY(remote_call_in(remote, t->tid, SYS_sigaltstack,
			   (uint64_t[6]){0, remote_at(remote, room)}, &ret));
	if (ret == 0 && same_altstack(room, &wanted))
		return NULL;
	TRY(remote_put(remote, &wanted, sizeof(wanted), &at));
	return CALL(&t->calls, "set the alternate stack", SYS_sigaltstack, at);
}

static struct err *add_robust(struct target *t)
{
	const json_t *o;
	taddr_t address;
	uint64_t size;

	TRY(json_opt_object(t->saved, "robust", &o));
	if (!o)
		return NULL;
	TRY(json_get_addr(o, "address", &address));
	TRY(json_get_u64(o, "size", INT32_MAX, &size));
	return CALL(&t->calls, "set the robust list", SYS_set_robust_list, address, size);
}

static struct err *add_tid_address(struct target *t)
{
	taddr_t address;

	if (!json_has(t->saved, "tid_address"))
		return NULL;
	TRY(json_get_addr(t->saved, "tid_address", &address));
	return CALL(&t->calls, "set the tid address", SYS_set_tid_address, address);
}

// Only a stopped thread tells whether it has one registered; one that is made anew has none.
static struct err *add_rseq(struct target *t)
{
	struct uapi_rseq_configuration now = {0};
	const json_t *o;
	taddr_t address = 0;
	uint64_t size = 0, signature = 0;

	TRY(json_opt_object(t->saved, "rseq", &o));
	if (o) {
		TRY(json_get_addr(o, "address", &address));
		TRY(json_get_u64(o, "size", RSEQ_SIZE_MAX, &size));
		TRY(json_get_u64(o, "signature", UINT32_MAX, &signature));
	}
	if (os_ptrace_rseq(t->tid, &now) < 0)
		now.pointer = 0;
	if (now.pointer == address)
		return NULL;
	if (now.pointer)
		TRY(CALL(&t->calls, "unregister the rseq area", SYS_rseq, now.pointer,
			 now.size, RSEQ_UNREGISTER, now.signature));
	if (!address)
		return NULL;
	return CALL(&t->calls, "register the rseq area", SYS_rseq, address, size, 0,
		    signature);
}

static struct err *add_settings(struct target *t)
{
	int64_t slack, personality, ret;

	TRY(json_opt_int(t->saved, "timer_slack", 0, INT64_MAX, -1, &slack));
	TRY(json_opt_int(t->saved, "personality", 0, READ_PERSONALITY - 1, -1,
			 &personality));
	// 0 would mean the default; threads with a real-time policy have that by themselves.
	if (slack > 0)
		TRY(CALL(&t->calls, NULL, SYS_prctl, PR_SET_TIMERSLACK, (uint64_t)slack));
	if (personality < 0)
		return NULL;
	TRY(remote_call_in(t->r->remote, t->tid, SYS_personality,
			   (uint64_t[6]){READ_PERSONALITY}, &ret));
	if (ret == personality)
		return NULL;
	return CALL(&t->calls, "set the personality", SYS_personality,
		    (uint64_t)personality);
}

static struct err *restore_thread(struct target *t)
{
	TRY(add_name(t));
	TRY(add_altstack(t));
	TRY(add_robust(t));
	TRY(add_tid_address(t));
	TRY(add_rseq(t));
	TRY(add_settings(t));
	TRY(call_list_run(&t->calls, t->r->remote, t->tid));
	return restore_scheduling(t->r, t->tid, t->saved);
}

struct err *restore_threads(struct restorer *r)
{
	const size_t mark = r->remote->used;
	size_t n;

	TRY(threads_count(r->state, &n));
	for (size_t i = 0; i < n; i++) {
		struct target t = {.r = r};
		pid_t saved;

		TRY(thread_at(r->state, i, &t.saved, &saved));
		t.tid = r->tid_of(r, saved);
		struct err *e = restore_thread(&t);
		call_list_deinit(&t.calls);
		remote_release(r->remote, mark);
		TRY(json_at(e, "threads", i));
	}
	return NULL;
}
