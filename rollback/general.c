// SPDX-License-Identifier: LGPL-2.1-or-later
// What the process has once: signal handlers and pending signals, current folder, umask, limits.
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "os/kernel.h"
#include "os/proc.h"
#include "os/ptrace.h"
#include "rollback/impl.h"

enum { PENDING_MAX = 1 << 16, PORTION = 32 };

static struct err *read_handlers(const json_t *signals,
				 struct uapi_sigaction actions[UAPI_SIGNALS])
{
	const json_t *list, *o;
	int sig;

	TRY(json_get_array(signals, "handlers", UAPI_SIGNALS, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_get_i32(o, "signal", 1, UAPI_SIGNALS, &sig));
		struct uapi_sigaction *a = &actions[sig - 1];
		uint64_t handler, flags, restorer, mask;

		TRY(json_get_mask(o, "handler", &handler));
		TRY(json_get_mask(o, "flags", &flags));
		TRY(json_get_mask(o, "restorer", &restorer));
		TRY(json_get_mask(o, "mask", &mask));
		*a = (struct uapi_sigaction){.handler = handler,
					     .flags = flags,
					     .restorer = restorer,
					     .mask = mask};
	}
	return NULL;
}

static struct err *add_handlers(struct rollback *rb, const json_t *signals)
{
	struct uapi_sigaction actions[UAPI_SIGNALS] = {0};
	taddr_t at;

	TRY(read_handlers(signals, actions));
	TRY(stage_put(rb, actions, sizeof(actions), &at));
	for (int sig = 1; sig <= UAPI_SIGNALS; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			TRY(ADD(&rb->calls, "set a signal handler", SYS_rt_sigaction,
				(uint64_t)sig,
				at + (uint64_t)(sig - 1) * sizeof(actions[0]), 0,
				sizeof(uint64_t)));
	return NULL;
}

// What waits now is taken off; what nobody blocks is on its way, and is delivered.
struct err *flush_pending(struct rollback *rb, struct calls *c, pid_t tid, bool shared,
			  uint64_t blocked)
{
	siginfo_t queued[PORTION];
	uint64_t first = 0;
	taddr_t set, zero;
	int n;

	TRY(stage_put(rb, &(struct timespec){0}, sizeof(struct timespec), &zero));
	while ((n = os_ptrace_pending(tid, shared, first, queued, PORTION)) > 0) {
		for (int i = 0; i < n; i++) {
			uint64_t bit = 1ULL << (queued[i].si_signo - 1);

			if (queued[i].si_signo < 1 || queued[i].si_signo > UAPI_SIGNALS ||
			    !(bit & blocked))
				continue;
			TRY(stage_put(rb, &bit, sizeof(bit), &set));
			TRY(ADD(c, NULL, SYS_rt_sigtimedwait, set, 0, zero, sizeof(bit)));
		}
		first += (uint64_t)n;
	}
	return NULL;
}

static uint64_t blocked_by_all(const struct rollback *rb)
{
	uint64_t mask = ~0ULL;

	vec_for_each(t, &rb->p->threads)
		if (t->state == THREAD_STOPPED)
			mask &= t->sigmask;
	return mask;
}

static struct err *add_pending(struct rollback *rb, const json_t *signals)
{
	const json_t *list;
	siginfo_t info;
	taddr_t at;

	TRY(flush_pending(rb, &rb->calls, rb->p->pid, true, blocked_by_all(rb)));
	TRY(json_opt_array(signals, "pending", PENDING_MAX, &list));
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
		TRY(ADD(&rb->calls, NULL, SYS_rt_sigqueueinfo, (uint64_t)rb->p->pid,
			(uint64_t)info.si_signo, at));
	}
	return NULL;
}

static struct err *add_folder(struct rollback *rb)
{
	_cleanup_free_ char *path = NULL;
	char now[PATH_MAX];
	struct stat st;
	taddr_t at;

	TRY(json_get_text(rb->state, "cwd", PATH_MAX - 1, &path));
	int r = os_proc_link(rb->p->pid, 0, "cwd", now, sizeof(now));
	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/cwd", rb->p->pid);
	if (!strcmp(path, now))
		return NULL;
	if (path[0] != '/' || stat(path, &st) || !S_ISDIR(st.st_mode))
		return err_refuse(
			"folder-gone", path,
			"the current folder of process %d when it was saved, %s, "
			"is gone",
			rb->p->pid, path);
	TRY(stage_put(rb, path, strlen(path) + 1, &at));
	return ADD(&rb->calls, "change the current folder", SYS_chdir, at);
}

struct err *limits_plan(struct rollback *rb, bool raise)
{
	static const char *const names[] = {
		[RLIMIT_CPU] = "cpu",		[RLIMIT_FSIZE] = "fsize",
		[RLIMIT_DATA] = "data",		[RLIMIT_STACK] = "stack",
		[RLIMIT_CORE] = "core",		[RLIMIT_RSS] = "rss",
		[RLIMIT_NPROC] = "nproc",	[RLIMIT_NOFILE] = "nofile",
		[RLIMIT_MEMLOCK] = "memlock",	[RLIMIT_AS] = "as",
		[RLIMIT_LOCKS] = "locks",	[RLIMIT_SIGPENDING] = "sigpending",
		[RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
		[RLIMIT_RTPRIO] = "rtprio",	[RLIMIT_RTTIME] = "rttime",
	};
	const json_t *o;
	taddr_t at;

	TRY(json_get_object(rb->state, "limits", &o));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		const json_t *pair = json_object_get(o, names[i]);
		int64_t soft, hard;
		struct rlimit now;

		if (!pair || prlimit(rb->p->pid, i, NULL, &now))
			continue;
		TRY(json_item_int(pair, 0, -1, INT64_MAX, &soft));
		TRY(json_item_int(pair, 1, -1, INT64_MAX, &hard));
		struct rlimit saved = {(rlim_t)soft, (rlim_t)hard};
		if ((saved.rlim_cur == now.rlim_cur && saved.rlim_max == now.rlim_max) ||
		    raise != (saved.rlim_cur > now.rlim_cur))
			continue;
		TRY(stage_put(rb, &saved, sizeof(saved), &at));
		TRY(ADD(&rb->calls, "put a limit back", SYS_prlimit64, 0, i, at, 0));
	}
	return NULL;
}

struct err *general_plan(struct rollback *rb)
{
	const json_t *signals;
	int mask;

	TRY(json_get_object(rb->state, "signals", &signals));
	TRY(add_handlers(rb, signals));
	TRY(add_pending(rb, signals));
	TRY(add_folder(rb));
	TRY(json_get_i32(rb->state, "umask", 0, 0777, &mask));
	return ADD(&rb->calls, NULL, SYS_umask, (uint64_t)mask);
}
