// SPDX-License-Identifier: LGPL-2.1-or-later
// Seccomp filters of a thread, both ways.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "os/ptrace.h"
#include "process/seccomp.h"
#include "resource/calls.h"
#include "resource/credentials.h"
#include "resource/json.h"
#include "resource/threads.h"
#include "util/cleanup.h"

// Filters whose answer another process gives are tied to a descriptor there.
static struct err *check_filter(const struct thread *t, const struct seccomp_filter *f)
{
	vec_for_each(i, &f->v)
		if (BPF_CLASS(i->code) == BPF_RET &&
		    (i->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return err_refuse("seccomp-notify", t->comm,
					  "a seccomp filter of thread %d (%s) asks "
					  "another process (user notification), which "
					  "cannot be brought back",
					  t->tid, t->comm);
	return NULL;
}

struct err *save_seccomp(const struct thread *t, json_t *out)
{
	_cleanup_(seccomp_deinit) struct seccomp s = {0};
	json_t *list, *o;
	unsigned i = 0;

	TRY(seccomp_read(t, &s));
	TRY(json_put_array(out, "seccomp", &list));
	vec_for_each(f, &s.filters) {
		uint64_t flags;

		TRY(check_filter(t, f));
		if (os_ptrace_seccomp_flags(t->tid, i++, &flags) < 0)
			flags = 0; // a kernel before 4.16
		TRY(json_add_object(list, &o));
		TRY(json_put_bool(o, "log", flags & SECCOMP_FILTER_FLAG_LOG));
		TRY(json_put_bytes(o, "filter", f->v.v, f->v.n * sizeof(*f->v.v)));
	}
	return NULL;
}

static struct err *get_filter(const json_t *list, size_t i, bool *log, uint8_t **code,
			      size_t *n)
{
	const size_t max = BPF_MAXINSNS * sizeof(struct sock_filter);
	const json_t *o;
	size_t len;

	TRY(json_item_object(list, i, &o));
	TRY(json_opt_bool(o, "log", false, log));
	TRY(json_get_bytes(o, "filter", max, code, &len));
	*n = len / sizeof(struct sock_filter);
	return len && len % sizeof(struct sock_filter) == 0
		       ? NULL
		       : err_new(ERR_CORRUPT, "member 'filter' has %zu bytes", len);
}

static struct err *install(struct restorer *r, pid_t tid, const json_t *list, size_t i)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	_cleanup_free_ uint8_t *code = NULL;
	const size_t mark = r->remote->used;
	taddr_t at, prog_at;
	bool log;
	size_t n;

	TRY(get_filter(list, i, &log, &code, &n));
	TRY(remote_put(r->remote, code, n * sizeof(struct sock_filter), &at));
	struct sock_fprog prog = {.len = (unsigned short)n,
				  .filter = (struct sock_filter *)(uintptr_t)at};
	TRY(remote_put(r->remote, &prog, sizeof(prog), &prog_at));
	TRY(CALL(&l, "install a seccomp filter", SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		 log ? SECCOMP_FILTER_FLAG_LOG : 0, prog_at));
	TRY(call_list_run(&l, r->remote, tid));
	remote_release(r->remote, mark);
	return NULL;
}

struct err *restore_seccomp(struct restorer *r, pid_t tid, const struct credentials *c)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};

	if (c->strict) {
		TRY(CALL(&l, "enter strict seccomp", SYS_prctl, PR_SET_SECCOMP,
			 SECCOMP_MODE_STRICT));
		return call_list_run(&l, r->remote, tid);
	}
	for (size_t i = json_array_size(c->seccomp); i-- > 0;)
		TRY(json_at(install(r, tid, c->seccomp, i), "seccomp", i));
	return NULL;
}

struct err *check_seccomp(const struct credentials *c)
{
	for (size_t i = 0; i < json_array_size(c->seccomp); i++) {
		_cleanup_free_ uint8_t *code = NULL;
		bool log;
		size_t n;

		TRY(json_at(get_filter(c->seccomp, i, &log, &code, &n), "seccomp", i));
	}
	return NULL;
}

bool state_has_seccomp(const json_t *state)
{
	const json_t *threads = json_object_get(state, "threads");

	for (size_t i = 0; i < json_array_size(threads); i++)
		if (json_has(json_object_get(json_array_get(threads, i), "credentials"),
			     "seccomp"))
			return true;
	return false;
}
