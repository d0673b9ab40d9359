// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving what a process has once: ids, limits, folders, the bounds of its memory.
#include "resource/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/proc.h"
#include "os/uapi.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/status.h"
#include "util/cleanup.h"

const char *const mm_names[MM_FIELDS] = {
	"start_code",  "end_code",  "start_data", "end_data",  "start_brk", "brk",
	"start_stack", "arg_start", "arg_end",	  "env_start", "env_end"};

enum { AUXV_MAX = 8192 };

// Fields of /proc/PID/stat (proc(5)), counted from 1.
enum {
	STAT_PPID = 4,
	STAT_PGRP = 5,
	STAT_SESSION = 6,
	STAT_TTY = 7,
	STAT_TPGID = 8,
	STAT_START_CODE = 26,
	STAT_END_CODE = 27,
	STAT_START_STACK = 28,
	STAT_START_DATA = 45,
	STAT_END_DATA = 46,
	STAT_START_BRK = 47,
	STAT_ARG_START = 48,
	STAT_ARG_END = 49,
	STAT_ENV_START = 50,
	STAT_ENV_END = 51,
	STAT_FIELDS = 52,
};

static struct err *read_stat(pid_t pid, int64_t fields[STAT_FIELDS])
{
	_cleanup_free_ char *text = NULL;
	char *at, *end;
	size_t len;
	int r = os_proc_read(pid, 0, "stat", &text, &len);

	if (r < 0)
		return err_sys(os_proc_is_gone(r) ? -ESRCH : r,
			       "cannot read /proc/%d/stat", pid);
	at = strrchr(text, ')');
	if (!at || strlen(at) < 4)
		return err_new(ERR_SYSTEM, "/proc/%d/stat is not complete", pid);
	at += 3; // behind the state letter
	for (int i = STAT_PPID; i < STAT_FIELDS; i++, at = end) {
		fields[i] = (int64_t)strtoull(at, &end, 10);
		if (end == at)
			return err_new(ERR_SYSTEM, "/proc/%d/stat is not complete", pid);
	}
	return NULL;
}

static struct err *put_ids(struct saver *s, const int64_t *stat)
{
	TRY(json_put_int(s->state, "pid", s->process->pid));
	TRY(json_put_int(s->state, "ppid", stat[STAT_PPID]));
	TRY(json_put_int(s->state, "pgid", stat[STAT_PGRP]));
	TRY(json_put_int(s->state, "sid", stat[STAT_SESSION]));
	TRY(json_put_text(s->state, "comm", s->process->comm));
	if (!stat[STAT_TTY])
		return NULL;
	return save_ctty(s, (uint64_t)stat[STAT_TTY], stat[STAT_TPGID] == stat[STAT_PGRP]);
}

static struct err *put_mm(const struct saver *s, const int64_t *stat)
{
	static const int from[MM_FIELDS] = {
		STAT_START_CODE,  STAT_END_CODE,  STAT_START_DATA,
		STAT_END_DATA,	  STAT_START_BRK, 0,
		STAT_START_STACK, STAT_ARG_START, STAT_ARG_END,
		STAT_ENV_START,	  STAT_ENV_END};
	json_t *mm;
	int64_t brk;

	TRY(helper_syscall(s->helper, SYS_brk, (uint64_t[6]){0}, &brk));
	TRY(json_put_object(s->state, "mm", &mm));
	for (size_t i = 0; i < MM_FIELDS; i++)
		TRY(json_put_int(mm, mm_names[i], from[i] ? stat[from[i]] : brk));
	return NULL;
}

static struct err *put_auxv(const struct saver *s)
{
	_cleanup_free_ char *auxv = NULL;
	size_t len;
	int r = os_proc_read(s->process->pid, 0, "auxv", &auxv, &len);

	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/auxv", s->process->pid);
	return len <= AUXV_MAX ? json_put_bytes(s->state, "auxv", auxv, len)
			       : err_new(ERR_SYSTEM, "/proc/%d/auxv has %zu bytes",
					 s->process->pid, len);
}

static struct err *put_number_file(const struct saver *s, const char *file)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(s->process->pid, 0, file, &text, &len);

	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/%s", s->process->pid, file);
	return json_put_int(s->state, file, strtol(text, NULL, 10));
}

// What prctl says; a kernel that does not know one has none.
static struct err *put_prctl(struct saver *s)
{
	const size_t mark = s->ask->used;
	_cleanup_(call_list_deinit) struct call_list l = {0};
	void *place;

	TRY(remote_room(s->ask, sizeof(int), &place));
	int *subreaper = place;
	TRY(CALL(&l, NULL, SYS_prctl, PR_GET_DUMPABLE));
	TRY(CALL(&l, NULL, SYS_prctl, PR_GET_CHILD_SUBREAPER,
		 remote_at(s->ask, subreaper)));
	TRY(CALL(&l, NULL, SYS_prctl, PR_GET_THP_DISABLE));
	TRY(CALL(&l, NULL, SYS_prctl, UAPI_PR_GET_MDWE));
	TRY(CALL(&l, NULL, SYS_prctl, UAPI_PR_GET_MEMORY_MERGE));
	struct err *e = call_list_ask(&l, s->ask, s->process->pid);
	int reaper = *subreaper;
	remote_release(s->ask, mark);
	TRY(e);
	const struct syscall_req *r = l.reqs.v;
	TRY(json_put_int(s->state, "dumpable", r[0].ret >= 0 ? r[0].ret : 1));
	TRY(json_put_bool(s->state, "child_subreaper", r[1].ret >= 0 && reaper));
	TRY(json_put_int(s->state, "thp_disable", r[2].ret > 0 ? r[2].ret : 0));
	TRY(json_put_int(s->state, "mdwe", r[3].ret > 0 ? r[3].ret : 0));
	return json_put_bool(s->state, "memory_merge", r[4].ret > 0);
}

static struct err *check_namespaces(const struct saver *s)
{
	static const char *const kinds[] = {"user", "mnt", "pid",  "net",
					    "ipc",  "uts", "time", "pid_for_children"};
	char name[64], own[128], its[128];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(name, sizeof(name), "ns/%s", kinds[i]);
		int a = os_proc_link(getpid(), 0, name, own, sizeof(own));
		int b = os_proc_link(s->process->pid, 0, name, its, sizeof(its));

		if (a == -ENOENT || b == -ENOENT)
			continue; // the kernel has none of that kind
		if (a < 0 || b < 0)
			return err_sys(a < 0 ? a : b, "cannot read /proc/%d/%s",
				       s->process->pid, name);
		if (strcmp(own, its) != 0)
			return err_refuse("namespace", kinds[i],
					  "process %d (%s) is in another %s namespace "
					  "than molt",
					  s->process->pid, s->process->comm, kinds[i]);
	}
	return NULL;
}

static struct err *compare_memory(const struct saver *s, pid_t other, bool *ret)
{
	long r = syscall(SYS_kcmp, s->process->pid, other, KCMP_VM, 0, 0);

	*ret = r == 0;
	return NULL; // one that has ended, or that nobody may look at, shares nothing
}

static struct err *check_relative(const struct saver *s, pid_t other)
{
	struct os_status status;
	bool shared;

	TRY(compare_memory(s, other, &shared));
	if (shared)
		return err_refuse("shares-memory", s->process->comm,
				  "process %d (%s) shares its whole memory with process "
				  "%d (vfork or clone)",
				  s->process->pid, s->process->comm, other);
	if (os_proc_status(other, 0, &status) < 0 || !status.tracer)
		return NULL;
	if (process_thread(s->process, status.tracer))
		return err_refuse("is-tracer", s->process->comm,
				  "process %d (%s) traces process %d; that cannot be "
				  "brought back",
				  s->process->pid, s->process->comm, other);
	return NULL;
}

static struct err *check_relatives(const struct saver *s, pid_t parent)
{
	_cleanup_free_ char *text = NULL;
	char *end;
	size_t len;

	if (parent > 1)
		TRY(check_relative(s, parent));
	vec_for_each(t, &s->process->threads) {
		free(take_ptr(text));
		if (os_proc_read(s->process->pid, t->tid, "children", &text, &len) < 0)
			continue;
		for (const char *at = text;; at = end) {
			pid_t child = (pid_t)strtol(at, &end, 10);

			if (end == at)
				break;
			TRY(check_relative(s, child));
		}
	}
	return NULL;
}

struct err *save_process(struct saver *s)
{
	_cleanup_(thread_status_deinit) struct thread_status status = {0};
	int64_t stat[STAT_FIELDS] = {0};
	pid_t pid = s->process->pid;
	const struct thread *first = process_thread(s->process, pid);

	TRY(check_namespaces(s));
	TRY(read_stat(pid, stat));
	TRY(check_relatives(s, (pid_t)stat[STAT_PPID]));
	TRY(json_put_int(s->state, "format", IMAGE_FORMAT));
	TRY(put_ids(s, stat));
	TRY(put_mm(s, stat));
	TRY(put_auxv(s));
	TRY(thread_status_read(pid, 0, &status));
	TRY(json_put_int(s->state, "umask", status.umask));
	TRY(json_put_bool(s->state, "stopped", first && first->group_stop));
	TRY(put_number_file(s, "oom_score_adj"));
	TRY(put_prctl(s));
	TRY(save_limits(s));
	return save_folders(s);
}
