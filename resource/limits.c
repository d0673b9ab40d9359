// SPDX-License-Identifier: LGPL-2.1-or-later
// Resource limits (getrlimit(2)): read from /proc/PID/limits, which needs no right to change them.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/uapi.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/process.h"
#include "resource/rights.h"
#include "util/cleanup.h"

static const struct {
	const char *line; // how the file calls it
	const char *name;
	int number;
} limits[] = {
	{"Max cpu time", "cpu", RLIMIT_CPU},
	{"Max file size", "fsize", RLIMIT_FSIZE},
	{"Max data size", "data", RLIMIT_DATA},
	{"Max stack size", "stack", RLIMIT_STACK},
	{"Max core file size", "core", RLIMIT_CORE},
	{"Max resident set", "rss", RLIMIT_RSS},
	{"Max processes", "nproc", RLIMIT_NPROC},
	{"Max open files", "nofile", RLIMIT_NOFILE},
	{"Max locked memory", "memlock", RLIMIT_MEMLOCK},
	{"Max address space", "as", RLIMIT_AS},
	{"Max file locks", "locks", RLIMIT_LOCKS},
	{"Max pending signals", "sigpending", RLIMIT_SIGPENDING},
	{"Max msgqueue size", "msgqueue", RLIMIT_MSGQUEUE},
	{"Max nice priority", "nice", RLIMIT_NICE},
	{"Max realtime priority", "rtprio", RLIMIT_RTPRIO},
	{"Max realtime timeout", "rttime", RLIMIT_RTTIME},
};

enum { LIMITS = ARRAY_SIZE(limits) };

struct limit_list {
	struct rlimit v[LIMITS]; // in the order of the table
};

static const char *parse_one(const char *at, rlim_t *ret)
{
	char *end;

	at += strspn(at, " ");
	if (!strncmp(at, "unlimited", strlen("unlimited"))) {
		*ret = RLIM_INFINITY;
		return at + strlen("unlimited");
	}
	*ret = strtoull(at, &end, 10);
	return end;
}

static struct err *read_limits(pid_t pid, struct limit_list *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(pid, 0, "limits", &text, &len);

	if (r < 0)
		return err_sys(os_proc_is_gone(r) ? -ESRCH : r,
			       "cannot read /proc/%d/limits", pid);
	for (size_t i = 0; i < LIMITS; i++) {
		const char *at = strstr(text, limits[i].line);

		if (!at)
			return err_new(ERR_SYSTEM, "/proc/%d/limits says nothing of '%s'",
				       pid, limits[i].line);
		at = parse_one(at + strlen(limits[i].line), &ret->v[i].rlim_cur);
		parse_one(at, &ret->v[i].rlim_max);
	}
	return NULL;
}

// -1: none. Larger than any integer of JSON is as good as none.
static json_t *number(rlim_t v)
{
	return json_integer(v > INT64_MAX ? -1 : (json_int_t)v);
}

struct err *save_limits(struct saver *s)
{
	struct limit_list l;
	json_t *o, *pair;

	TRY(read_limits(s->process->pid, &l));
	TRY(json_put_object(s->state, "limits", &o));
	for (size_t i = 0; i < LIMITS; i++) {
		TRY(json_put_array(o, limits[i].name, &pair));
		TRY(json_add(pair, number(l.v[i].rlim_cur)));
		TRY(json_add(pair, number(l.v[i].rlim_max)));
	}
	return NULL;
}

static struct err *get_limits(const json_t *state, struct limit_list *ret)
{
	const json_t *o, *pair;
	int64_t soft, hard;

	TRY(json_get_object(state, "limits", &o));
	for (size_t i = 0; i < LIMITS; i++) {
		const char *name = limits[i].name;

		TRY(json_get_array(o, name, 2, &pair));
		TRY(err_wrap(json_item_int(pair, 0, -1, INT64_MAX, &soft), "%s", name));
		TRY(err_wrap(json_item_int(pair, 1, -1, INT64_MAX, &hard), "%s", name));
		ret->v[i].rlim_cur = soft < 0 ? RLIM_INFINITY : (rlim_t)soft;
		ret->v[i].rlim_max = hard < 0 ? RLIM_INFINITY : (rlim_t)hard;
		if (ret->v[i].rlim_cur > ret->v[i].rlim_max)
			return err_new(ERR_CORRUPT, "limit '%s' is above its own maximum",
				       name);
	}
	return NULL;
}

struct err *check_limits(const json_t *state)
{
	struct limit_list saved, own;

	TRY(get_limits(state, &saved));
	TRY(read_limits(getpid(), &own));
	if (rights_has_cap(CAP_SYS_RESOURCE))
		return NULL;
	for (size_t i = 0; i < LIMITS; i++)
		if (saved.v[i].rlim_max > own.v[i].rlim_max)
			return err_refuse("privilege", limits[i].name,
					  "the saved process may have more '%s' than "
					  "molt's caller (RLIMIT_%s)",
					  limits[i].line + strlen("Max "), limits[i].name);
	return NULL;
}

struct err *restore_limits(struct restorer *r)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	const size_t mark = r->remote->used;
	struct limit_list saved, now;
	taddr_t at;

	TRY(get_limits(r->state, &saved));
	TRY(read_limits(r->remote->pid, &now));
	for (size_t i = 0; i < LIMITS; i++) {
		if (!memcmp(&saved.v[i], &now.v[i], sizeof(now.v[i])))
			continue;
		TRY(remote_put(r->remote, &saved.v[i], sizeof(saved.v[i]), &at));
		TRY(CALL(&l, "set a limit", SYS_prlimit64, 0, (uint64_t)limits[i].number,
			 at, 0));
	}
	struct err *e = call_list_run(&l, r->remote, r->remote->tid);
	remote_release(r->remote, mark);
	return e;
}
