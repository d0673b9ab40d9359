// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a checkpoint; see checkpoint.h.
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "checkpoint/precopy.h"
#include "image/json.h"
#include "os/proc.h"
#include "util/cleanup.h"

static const uint64_t FREEZE_NS = 5000000000;

struct run { // of checkpoint_take
	const struct checkpoint_options *opt;
	struct checkpoint_result *ret;
	struct store *store;
	struct pending *pending;
	VEC(struct task *) tasks; // the root first
	struct saving saving;
	struct shared shared;
	struct modules modules;
	uint64_t start;
};

void checkpoint_result_deinit(struct checkpoint_result *r)
{
	free(r->id);
	free(r->path);
	vec_for_each(n, &r->notes)
		free(*n);
	vec_free(&r->notes);
}

static void run_deinit(struct run *r)
{
	saving_deinit(&r->saving);
	vec_for_each(t, &r->tasks)
		task_free(*t);
	vec_free(&r->tasks);
	vec_for_each(n, &r->saving.notes)
		free(*n);
	vec_free(&r->saving.notes);
	json_decref(r->saving.objects);
	modules_deinit(&r->modules);
	shared_deinit(&r->shared);
	pending_abort(r->pending);
	store_close(r->store);
}

static void say(const struct run *r, const char *text)
{
	if (r->opt->progress)
		r->opt->progress(r->opt->arg, text);
}

static struct err *interrupted(const struct run *r)
{
	if (!r->opt->interrupted || !r->opt->interrupted(r->opt->arg))
		return NULL;
	return err_with(err_new(ERR_BUSY, "interrupted; the process goes on"),
			"interrupted", NULL);
}

static struct err *open_task(struct run *r, pid_t pid)
{
	struct task *t;

	TRY(task_open(pid, r->opt, pending_dir(r->pending), &t));
	struct err *e = vec_push(&r->tasks, t);
	if (e)
		task_free(t);
	return e;
}

static struct err *save_all(struct run *r)
{
	vec_for_each(t, &r->tasks)
		TRY(task_save_memory(*t, &r->saving, &r->shared));
	vec_for_each(t, &r->tasks)
		TRY(task_save_state(*t, &r->saving));
	return saving_finish(&r->saving);
}

static struct err *stop(struct run *r)
{
	uint64_t deadline = monotonic_ns() + FREEZE_NS, last = 0;
	struct err *e = NULL;

	vec_for_each(t, &r->tasks)
		process_boost((*t)->process);
	for (size_t i = 0; i < r->tasks.n && !e; i++)
		e = task_freeze(r->tasks.v[i], deadline);
	if (!e)
		e = save_all(r);
	vec_for_each(t, &r->tasks)
		if ((*t)->frozen)
			e = err_first(e, task_thaw(*t, &last));
	for (size_t i = r->tasks.n; i-- > 0;)
		process_unboost(r->tasks.v[i]->process);
	if (!e)
		r->ret->stop_ns = last - r->tasks.v[0]->first_stop;
	return e;
}

static struct err *put_host(json_t *m)
{
	_cleanup_free_ char *boot = NULL;
	struct utsname u;
	size_t len;

	if (!uname(&u))
		TRY(json_put(m, "kernel", json_string(u.release)));
	if (!os_proc_read(0, 0, "../sys/kernel/random/boot_id", &boot, &len) && len) {
		boot[strcspn(boot, "\n")] = '\0';
		TRY(json_put(m, "boot_id", json_string(boot)));
	}
	return json_put(m, "molt", json_string(MOLT_VERSION));
}

static struct err *fill_manifest(struct run *r, json_t *m, json_t *processes)
{
	const struct task *root = r->tasks.v[0];
	const int64_t second = 1000000000;
	struct timespec now;
	const char *id = json_string_value(
		json_object_get(json_object_get(root->state, "exe"), "build_id"));

	clock_gettime(CLOCK_REALTIME, &now);
	TRY(json_put_int(m, "time", now.tv_sec * second + now.tv_nsec));
	TRY(json_put_text(m, "program", root->process->exe));
	if (id)
		TRY(json_put(m, "build_id", json_string(id)));
	TRY(json_put_text(m, "comm", root->process->comm));
	TRY(json_put_int(m, "pid", root->process->pid));
	TRY(json_put_int(m, "generation", (int64_t)r->opt->generation));
	TRY(json_put(m, "trigger",
		     json_string(r->opt->trigger ? r->opt->trigger : "command")));
	TRY(json_put(m, "parent",
		     r->opt->parent ? json_string(r->opt->parent) : json_null()));
	TRY(json_put(m, "processes", json_incref(processes)));
	TRY(json_put_int(m, "bytes", (int64_t)r->ret->bytes));
	TRY(json_put_int(m, "stop_us", (int64_t)(r->ret->stop_ns / 1000)));
	TRY(json_put_int(m, "total_ms", (int64_t)((monotonic_ns() - r->start) / 1000000)));
	return put_host(m);
}

static struct err *finish_cores(struct run *r, json_t *processes)
{
	vec_for_each(t, &r->tasks) {
		bool first = t == r->tasks.v;
		json_t *entry = NULL;

		TRY(task_finish(*t, &r->modules, r->store,
				first ? r->saving.objects : NULL, &entry));
		TRY(json_add(processes, entry));
		r->ret->bytes += ranges_bytes(&(*t)->present);
	}
	return NULL;
}

static struct err *commit(struct run *r)
{
	json_t *processes = json_array(), *manifest = json_object();
	struct err *e = processes && manifest ? finish_cores(r, processes) : err_nomem();

	if (!e)
		e = interrupted(r);
	if (!e)
		e = fill_manifest(r, manifest, processes);
	if (!e)
		e = pending_commit(take_ptr(r->pending), manifest, &r->ret->id,
				   &r->ret->path);
	json_decref(processes);
	json_decref(manifest);
	return e;
}

static struct err *begin(struct run *r)
{
	TRY(store_open(r->opt->store, true, &r->store));
	TRY(store_begin(r->store, r->opt->name, &r->pending));
	r->saving.opt = &r->opt->save;
	r->saving.objects = json_pack("{s:[],s:[]}", "files", "memory");
	return r->saving.objects ? NULL : err_nomem();
}

static struct err *take(struct run *r, pid_t pid)
{
	say(r, "reading the process");
	TRY(begin(r));
	TRY(open_task(r, pid));
	TRY(interrupted(r));
	say(r, "copying memory");
	vec_for_each(t, &r->tasks)
		TRY(precopy(*t));
	TRY(interrupted(r));
	say(r, "stopping the process");
	TRY(stop(r));
	vec_for_each(t, &r->tasks)
		TRY(task_leave(*t));
	say(r, "writing the checkpoint");
	return commit(r);
}

static void describe(struct run *r, pid_t pid)
{
	struct checkpoint_result *ret = r->ret;

	ret->pid = pid;
	ret->processes = r->tasks.n;
	if (r->tasks.n)
		memcpy(ret->comm, r->tasks.v[0]->process->comm, sizeof(ret->comm));
	vec_for_each(t, &r->tasks)
		ret->threads += (*t)->process->threads.n;
	ret->total_ns = monotonic_ns() - r->start;
	ret->notes.v = r->saving.notes.v;
	ret->notes.n = r->saving.notes.n;
	ret->notes.cap = r->saving.notes.cap;
	memset(&r->saving.notes, 0, sizeof(r->saving.notes));
}

struct err *checkpoint_take(pid_t pid, const struct checkpoint_options *opt,
			    struct checkpoint_result *ret)
{
	_cleanup_(run_deinit) struct run r = {
		.opt = opt, .ret = ret, .start = monotonic_ns()};

	*ret = (struct checkpoint_result){0};
	struct err *e = take(&r, pid);
	describe(&r, pid);
	return e;
}
