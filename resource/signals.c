// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving handlers and pending signals.
#include "resource/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "os/kernel.h"
#include "os/ptrace.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/status.h"
#include "util/cleanup.h"

enum { PORTION = 32 };

static uint64_t bit(int sig)
{
	return 1ULL << (sig - 1);
}

// What stops a process does not wait: it has happened, or it happens again.
static const uint64_t never_kept = 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1);

static struct err *add_signal(json_t *list, const siginfo_t *info)
{
	char *text = base64_encode(info, sizeof(*info));
	json_t *v = text ? json_string_nocheck(text) : NULL;

	free(text);
	return json_add(list, v);
}

// A signal that found no room in the queue is only a bit; what came with it is lost in the original, too.
static struct err *add_bare(json_t *list, uint64_t mask)
{
	for (int sig = 1; sig <= UAPI_SIGNALS; sig++) {
		siginfo_t info = {.si_signo = sig, .si_code = SI_USER};

		if (mask & bit(sig))
			TRY(add_signal(list, &info));
	}
	return NULL;
}

struct err *save_pending(pid_t tid, bool shared, uint64_t mask, json_t *out)
{
	siginfo_t queued[PORTION];
	json_t *list;

	if (!(mask & ~never_kept))
		return NULL;
	TRY(json_put_array(out, "pending", &list));
	for (uint64_t first = 0;;) {
		int n = os_ptrace_pending(tid, shared, first, queued, PORTION);

		if (n < 0)
			return err_sys(n, "cannot read the pending signals of thread %d",
				       tid);
		if (!n)
			break;
		for (int i = 0; i < n; i++) {
			if (bit(queued[i].si_signo) & never_kept)
				continue;
			TRY(add_signal(list, &queued[i]));
			mask &= ~bit(queued[i].si_signo);
		}
		first += (uint64_t)n;
	}
	return add_bare(list, mask & ~never_kept);
}

static bool is_plain(const struct uapi_sigaction *a)
{
	return !a->handler && !a->flags && !a->mask;
}

static struct err *put_handlers(const struct uapi_sigaction *actions, json_t *signals)
{
	json_t *list, *o;

	TRY(json_put_array(signals, "handlers", &list));
	for (int sig = 1; sig <= UAPI_SIGNALS; sig++) {
		const struct uapi_sigaction *a = &actions[sig - 1];

		if (is_plain(a))
			continue;
		TRY(json_add_object(list, &o));
		TRY(json_put_int(o, "signal", sig));
		TRY(json_put_mask(o, "handler", a->handler));
		TRY(json_put_mask(o, "flags", a->flags));
		TRY(json_put_mask(o, "restorer", a->restorer));
		TRY(json_put_mask(o, "mask", a->mask));
	}
	return NULL;
}

static struct err *save_handlers(struct saver *s, json_t *signals)
{
	const size_t mark = s->ask->used;
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct uapi_sigaction *actions;
	void *room;

	TRY(remote_room(s->ask, UAPI_SIGNALS * sizeof(*actions), &room));
	actions = room;
	for (int sig = 1; sig <= UAPI_SIGNALS; sig++)
		TRY(CALL(&l, "read the signal handlers", SYS_rt_sigaction, (uint64_t)sig,
			 0, remote_at(s->ask, &actions[sig - 1]), sizeof(uint64_t)));
	struct err *e = call_list_ask(&l, s->ask, s->process->pid);
	if (!e)
		e = put_handlers(actions, signals);
	remote_release(s->ask, mark);
	return e;
}

struct err *save_signals(struct saver *s)
{
	_cleanup_(thread_status_deinit) struct thread_status status = {0};
	json_t *signals;

	TRY(thread_status_read(s->process->pid, 0, &status));
	TRY(json_put_object(s->state, "signals", &signals));
	TRY(save_handlers(s, signals));
	TRY(save_pending(s->process->pid, true, status.shared_pending, signals));
	return save_timers(s);
}
