// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back what a process has once.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/uapi.h"
#include "resource/calls.h"
#include "resource/credentials.h"
#include "resource/json.h"
#include "resource/process.h"
#include "util/cleanup.h"

enum { OOM_MIN = -1000, OOM_MAX = 1000, UMASK_MAX = 0777, FLAGS_MAX = 0xffff };

struct ids {
	pid_t pid, pgid, sid; // 0: of a process outside of the pid namespace
};

struct settings {
	int umask, oom, thp, dumpable, mdwe;
	bool subreaper, merge;
};

static struct err *get_settings(const json_t *state, struct settings *ret)
{
	TRY(json_get_i32(state, "umask", 0, UMASK_MAX, &ret->umask));
	TRY(json_get_i32(state, "oom_score_adj", OOM_MIN, OOM_MAX, &ret->oom));
	TRY(json_opt_i32(state, "thp_disable", 0, FLAGS_MAX, 0, &ret->thp));
	TRY(json_opt_i32(state, "dumpable", 0, 2, 1, &ret->dumpable));
	TRY(json_opt_i32(state, "mdwe", 0, FLAGS_MAX, 0, &ret->mdwe));
	TRY(json_opt_bool(state, "child_subreaper", false, &ret->subreaper));
	return json_opt_bool(state, "memory_merge", false, &ret->merge);
}

static struct err *get_ids(const json_t *state, struct ids *ret)
{
	int pgid, sid;

	TRY(json_get_pid(state, "pid", &ret->pid));
	TRY(json_get_i32(state, "pgid", 0, INT32_MAX, &pgid));
	TRY(json_get_i32(state, "sid", 0, INT32_MAX, &sid));
	ret->pgid = pgid;
	ret->sid = sid;
	return NULL;
}

static struct err *note_outside(struct restorer *r, const char *what, pid_t saved)
{
	return restoring_note(r->all,
			      "process %d stays in molt's %s: its own, %d, was led by a "
			      "process that is not in the checkpoint or not there",
			      r->remote->pid, what, saved);
}

static struct err *make_session(struct restorer *r, const struct ids *saved)
{
	pid_t now = r->remote->pid, sid = getsid(now);
	int64_t ret;

	if (saved->sid != saved->pid)
		return NULL;
	if (sid == now)
		return NULL;
	TRY(remote_call(r->remote, SYS_setsid, (uint64_t[6]){0}, &ret));
	if (ret < 0)
		return err_sys((int)ret, "process %d cannot begin a session", now);
	return restore_ctty(r);
}

struct err *restore_session(struct restorer *r)
{
	struct ids saved;

	TRY(get_ids(r->state, &saved));
	return make_session(r, &saved);
}

// The id a saved process has now; where it is not in the checkpoint it may still be there as it was.
static pid_t id_now(const struct restorer *r, pid_t saved)
{
	pid_t now = r->tid_of(r, saved);

	return now ? now : saved;
}

// Leading its own group it is its own matter; another group can be joined when it is there, in the same session.
static struct err *restore_group(struct restorer *r)
{
	struct ids saved;
	pid_t now = r->remote->pid;
	int64_t ret;

	TRY(get_ids(r->state, &saved));
	TRY(make_session(r, &saved));
	bool leads = saved.pgid == saved.pid;
	pid_t pgid = id_now(r, saved.pgid);
	if (saved.sid != saved.pid && getsid(now) != id_now(r, saved.sid)) {
		TRY(note_outside(r, "session", saved.sid));
		if (!leads)
			return NULL;
	}
	if (getpgid(now) != pgid) {
		TRY(remote_call(r->remote, SYS_setpgid, (uint64_t[6]){0, (uint64_t)pgid},
				&ret));
		if (ret < 0)
			return note_outside(r, "process group", saved.pgid);
	}
	return leads ? restore_foreground(r) : NULL;
}

static struct err *write_number(struct restorer *r, const char *file, int value)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", value);
	_cleanup_close_ int fd = os_proc_open(r->remote->pid, 0, file, O_WRONLY);

	if (fd >= 0 && write(fd, text, (size_t)n) == n)
		return NULL;
	return restoring_note(r->all, "process %d keeps another %s than %d: %s",
			      r->remote->pid, file, value, strerror(fd < 0 ? -fd : errno));
}

static struct err *restore_oom(struct restorer *r)
{
	_cleanup_free_ char *text = NULL;
	struct settings s;
	size_t len;

	TRY(get_settings(r->state, &s));
	if (os_proc_read(r->remote->pid, 0, "oom_score_adj", &text, &len) == 0 &&
	    strtol(text, NULL, 10) == s.oom)
		return NULL;
	return write_number(r, "oom_score_adj", s.oom);
}

static struct err *restore_settings(struct restorer *r)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct settings s;

	TRY(get_settings(r->state, &s));
	TRY(CALL(&l, "set the umask", SYS_umask, (uint64_t)s.umask));
	if (s.subreaper)
		TRY(CALL(&l, "set the child subreaper", SYS_prctl, PR_SET_CHILD_SUBREAPER,
			 s.subreaper));
	// Bit 0 says that it is so at all, the others are the flags (Linux 6.18).
	if (s.thp)
		TRY(CALL(&l, "set THP_DISABLE", SYS_prctl, PR_SET_THP_DISABLE, s.thp & 1,
			 (uint64_t)s.thp & ~1ULL));
	if (s.merge)
		TRY(CALL(&l, NULL, SYS_prctl, UAPI_PR_SET_MEMORY_MERGE, 1));
	return call_list_run(&l, r->remote, r->remote->tid);
}

struct err *restore_process(struct restorer *r)
{
	TRY(restore_group(r));
	TRY(restore_folders(r));
	TRY(restore_settings(r));
	TRY(restore_oom(r));
	return restore_limits(r);
}

// What changing credentials resets, and what closes doors for good.
struct err *restore_process_last(struct restorer *r)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct settings s;

	TRY(get_settings(r->state, &s));
	// 2 (only for root) cannot be asked for; 0 is the stricter of the two.
	TRY(CALL(&l, "set dumpable", SYS_prctl, PR_SET_DUMPABLE, s.dumpable == 1));
	if (s.mdwe)
		TRY(CALL(&l, "set MDWE", SYS_prctl, UAPI_PR_SET_MDWE, (uint64_t)s.mdwe));
	return call_list_run(&l, r->remote, r->remote->tid);
}

struct err *check_process(const json_t *state)
{
	struct settings s;
	struct ids ids;

	TRY(get_ids(state, &ids));
	TRY(check_ctty(state));
	return get_settings(state, &s);
}
