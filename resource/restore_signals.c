// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back handlers and pending signals. Every signal is blocked in every thread meanwhile.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/kernel.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/signals.h"
#include "resource/threads.h"
#include "util/cleanup.h"

enum { PENDING_MAX = 1 << 20 };

static struct err *get_handlers(const json_t *signals, struct uapi_sigaction *ret)
{
	const json_t *list, *o;
	int sig;

	TRY(json_get_array(signals, "handlers", UAPI_SIGNALS, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_at(json_get_i32(o, "signal", 1, UAPI_SIGNALS, &sig), "handlers",
			    i));
		struct uapi_sigaction *a = &ret[sig - 1];
		TRY(json_get_mask(o, "handler", &a->handler));
		TRY(json_get_mask(o, "flags", &a->flags));
		TRY(json_get_mask(o, "restorer", &a->restorer));
		TRY(json_get_mask(o, "mask", &a->mask));
	}
	return NULL;
}

static struct err *restore_handlers(struct restorer *r, const json_t *signals)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct uapi_sigaction actions[UAPI_SIGNALS] = {0};
	taddr_t at;

	TRY(get_handlers(signals, actions));
	TRY(remote_put(r->remote, actions, sizeof(actions), &at));
	for (int sig = 1; sig <= UAPI_SIGNALS; sig++, at += sizeof(*actions))
		if (sig != SIGKILL && sig != SIGSTOP)
			TRY(CALL(&l, "set a signal handler", SYS_rt_sigaction,
				 (uint64_t)sig, at, 0, sizeof(uint64_t)));
	return call_list_run(&l, r->remote, r->remote->tid);
}

static struct err *get_signal(const json_t *list, size_t i, siginfo_t *ret)
{
	const json_t *v = json_array_get(list, i);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len;

	if (!json_is_string(v) ||
	    !base64_decode(json_string_value(v), json_string_length(v), sizeof(*ret),
			   &bytes, &len) ||
	    len != sizeof(*ret))
		return err_new(ERR_CORRUPT, "pending[%zu] is no siginfo", i);
	memcpy(ret, bytes, sizeof(*ret));
	if (ret->si_signo < 1 || ret->si_signo > UAPI_SIGNALS ||
	    ret->si_signo == SIGKILL || ret->si_signo == SIGSTOP)
		return err_new(ERR_CORRUPT, "pending[%zu] is signal %d", i, ret->si_signo);
	return NULL;
}

// Under other ids what the process sent itself comes from its new one.
static void rename_sender(const struct restorer *r, siginfo_t *info)
{
	if (info->si_code != SI_USER && info->si_code != SI_QUEUE &&
	    info->si_code != SI_TKILL)
		return;
	pid_t now = info->si_pid > 0 ? r->tid_of(r, info->si_pid) : 0;
	if (now)
		info->si_pid = now;
}

// Sent by the thread to itself, the kernel takes any origin for true.
static struct err *queue(struct restorer *r, pid_t tid, bool shared, const json_t *holder)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct remote *remote = r->remote;
	const json_t *list;
	siginfo_t info;
	taddr_t at;

	TRY(json_opt_array(holder, "pending", PENDING_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const size_t mark = remote->used;

		TRY(get_signal(list, i, &info));
		rename_sender(r, &info);
		TRY(remote_put(remote, &info, sizeof(info), &at));
		uint64_t sig = (uint64_t)info.si_signo;
		if (shared)
			TRY(CALL(&l, "queue a signal", SYS_rt_sigqueueinfo,
				 (uint64_t)remote->pid, sig, at));
		else
			TRY(CALL(&l, "queue a signal", SYS_rt_tgsigqueueinfo,
				 (uint64_t)remote->pid, (uint64_t)tid, sig, at));
		TRY(call_list_run(&l, remote, tid));
		remote_release(remote, mark);
	}
	return NULL;
}

static struct err *restore_pending(struct restorer *r, const json_t *signals)
{
	size_t n;

	TRY(threads_count(r->state, &n));
	for (size_t i = 0; i < n; i++) {
		const json_t *thread;
		pid_t saved;

		TRY(thread_at(r->state, i, &thread, &saved));
		TRY(json_at(queue(r, r->tid_of(r, saved), false, thread), "threads", i));
	}
	return queue(r, r->remote->tid, true, signals);
}

struct err *restore_signals(struct restorer *r)
{
	const size_t mark = r->remote->used;
	const json_t *signals;

	TRY(json_get_object(r->state, "signals", &signals));
	struct err *e = restore_handlers(r, signals);
	if (!e)
		e = restore_pending(r, signals);
	remote_release(r->remote, mark);
	return e;
}

static struct err *check_pending(const json_t *holder)
{
	const json_t *list;
	siginfo_t info;

	TRY(json_opt_array(holder, "pending", PENDING_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++)
		TRY(get_signal(list, i, &info));
	return NULL;
}

struct err *check_signals(const json_t *state)
{
	struct uapi_sigaction actions[UAPI_SIGNALS];
	const json_t *signals, *thread;
	pid_t tid;
	size_t n;

	TRY(json_get_object(state, "signals", &signals));
	TRY(get_handlers(signals, actions));
	TRY(threads_count(state, &n));
	for (size_t i = 0; i < n; i++) {
		TRY(thread_at(state, i, &thread, &tid));
		TRY(json_at(check_pending(thread), "threads", i));
	}
	return check_pending(signals);
}
