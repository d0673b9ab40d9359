// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a checkpoint; see checkpoint.h.
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checkpoint/family.h"
#include "checkpoint/precopy.h"
#include "checkpoint/stop.h"
#include "image/compress.h"
#include "image/json.h"
#include "os/boot.h"
#include "os/proc.h"
#include "process/area.h"
#include "resource/json.h"
#include "util/cleanup.h"

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
	if (r->parent.path)
		checkpoint_deinit(&r->parent);
	store_close(r->store);
}

void run_say(const struct run *r, const char *text)
{
	if (r->opt->progress)
		r->opt->progress(r->opt->arg, text);
}

struct err *run_interrupted(const struct run *r)
{
	if (!r->opt->interrupted || !r->opt->interrupted(r->opt->arg))
		return NULL;
	return err_with(err_new(ERR_BUSY, "interrupted; the process goes on"),
			"interrupted", NULL);
}

static bool has_number(const json_t *state, const char *name, uint64_t value)
{
	return value &&
	       (uint64_t)json_integer_value(json_object_get(state, name)) == value;
}

// The core of the same process in the parent; one that has come since has none.
static const struct core *parent_of(const struct run *r, pid_t pid)
{
	vec_for_each(c, &r->parent.cores) {
		const json_t *state = core_state(*c);

		if (has_number(state, "pid", (uint64_t)pid) &&
		    has_number(state, "start_time", process_start_time(pid)))
			return *c;
	}
	return NULL;
}

static struct err *open_parent(struct run *r)
{
	char boot[BOOT_ID_SIZE] = "";
	const char *then;

	if (!r->opt->parent)
		return NULL;
	TRY(checkpoint_open(r->opt->store, r->opt->parent, false, &r->parent));
	if (strcmp(store_path(r->parent.store), store_path(r->store)) != 0)
		return err_new(ERR_USAGE, "--parent names a checkpoint of another store");
	then = json_string_value(json_object_get(r->parent.manifest, "boot_id"));
	os_boot_id(boot);
	if (then && !strcmp(then, boot) && parent_of(r, r->root))
		return NULL;
	return err_refuse("not-the-parent", r->parent.id,
			  "checkpoint %s is not of this process: it has another pid or "
			  "was started at another time",
			  r->parent.id);
}

struct err *run_open_task(struct run *r, pid_t pid)
{
	struct task *t;

	TRY(task_open(pid, r->opt, pending_dir(r->pending), parent_of(r, pid), &t));
	if (!r->tasks.n)
		memcpy(r->ret->comm, t->process->comm, sizeof(r->ret->comm));
	struct err *e = vec_push(&r->tasks, t);
	if (e)
		task_free(t);
	return e;
}

static void remove_core(const struct run *r, pid_t pid)
{
	char core[32];

	snprintf(core, sizeof(core), "core.%d", pid);
	unlinkat(pending_dir(r->pending), core, 0);
}

// It may be about to end, or to become another program by exec, which ends the helper.
struct err *run_open_child(struct run *r, pid_t pid)
{
	enum { TRIES = 20 };
	const struct timespec nap = {.tv_nsec = 2000000};
	struct err *e = NULL;

	for (int i = 0; i < TRIES; i++) {
		err_free(e);
		e = run_open_task(r, pid);
		if (!e || e->kind == ERR_NOMEM)
			return e;
		remove_core(r, pid);
		nanosleep(&nap, NULL);
		if (!family_lives(pid))
			break;
	}
	if (family_lives(pid))
		return e;
	err_free(e);
	return NULL;
}

struct err *run_drop_ended(struct run *r, size_t i, struct err *e)
{
	enum { DROPS = 1000 };
	struct task *t = r->tasks.v[i];

	if (!e || i == 0 || (family_lives(t->process->pid) && e->kind != ERR_LOST) ||
	    r->drops++ == DROPS)
		return e;
	remove_core(r, t->process->pid);
	memmove(&r->tasks.v[i], &r->tasks.v[i + 1],
		(r->tasks.n - i - 1) * sizeof(*r->tasks.v));
	r->tasks.n--;
	task_free(t);
	err_free(e);
	return NULL;
}

static struct err *finish_cores(struct run *r, json_t *processes)
{
	vec_for_each(t, &r->tasks) {
		bool first = t == r->tasks.v;
		json_t *entry = NULL;

		TRY(task_finish(*t, &r->modules, r->store,
				first ? r->saving.objects : NULL, &entry));
		TRY(json_add(processes, entry));
		if (r->opt->compress)
			TRY(core_compress(pending_dir(r->pending), entry));
		r->ret->bytes += (*t)->memory.stored;
	}
	return NULL;
}

static struct err *commit(struct run *r)
{
	json_t *processes = json_array(), *manifest = json_object();
	struct err *e = processes && manifest ? finish_cores(r, processes) : err_nomem();

	if (!e)
		e = run_interrupted(r);
	if (!e)
		e = run_manifest(r, processes, manifest);
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
	TRY(open_parent(r));
	TRY(store_begin(r->store, r->opt->name, &r->pending));
	r->saving.opt = &r->opt->save;
	r->saving.objects = json_pack("{s:[],s:[]}", "files", "memory");
	return r->saving.objects ? NULL : err_nomem();
}

static struct err *open_all(struct run *r)
{
	_cleanup_(pids_deinit) struct pids pids = {0};

	if (r->opt->tree)
		TRY(family_read(r->root, &pids));
	else
		TRY(vec_push(&pids.v, r->root));
	vec_for_each(pid, &pids.v)
		TRY(*pid == r->root ? run_open_task(r, *pid) : run_open_child(r, *pid));
	size_t n = r->opt->tree ? 0 : family_children(r->root);
	return n ? saving_note(
			   &r->saving,
			   "%zu child%s of process %d %s not saved (--tree does that)", n,
			   n == 1 ? "" : "ren", r->root, n == 1 ? "is" : "are")
		 : NULL;
}

static struct err *copy_all(struct run *r)
{
	for (size_t i = 0; i < r->tasks.n;) {
		struct task *t = r->tasks.v[i];

		TRY(run_drop_ended(r, i, precopy(t)));
		if (i == r->tasks.n || r->tasks.v[i] != t)
			continue;
		if (!t->tracker)
			TRY(saving_note(&r->saving,
					"writes of process %d cannot be tracked: it "
					"stands while all of its memory is written",
					t->process->pid));
		i++;
	}
	return NULL;
}

static struct err *take(struct run *r)
{
	run_say(r, "reading the process");
	TRY(begin(r));
	TRY(open_all(r));
	TRY(run_interrupted(r));
	run_say(r, "copying memory");
	TRY(copy_all(r));
	TRY(run_interrupted(r));
	run_say(r, "stopping the process");
	TRY(run_stop(r));
	vec_for_each(t, &r->tasks) {
		struct err *e = task_leave(*t);

		if (e && e->kind != ERR_LOST)
			return e;
		err_free(e); // what has ended since is saved all the same
	}
	run_say(r, "writing the checkpoint");
	TRY(commit(r));
	return r->opt->after == SAVE_KILL ? run_end(r) : NULL;
}

static void describe(struct run *r)
{
	struct checkpoint_result *ret = r->ret;

	ret->processes = r->tasks.n;
	ret->threads = 0;
	vec_for_each(t, &r->tasks)
		ret->threads += json_array_size(json_object_get((*t)->state, "threads"));
	ret->total_ns = monotonic_ns() - r->start;
	ret->notes.v = r->saving.notes.v;
	ret->notes.n = r->saving.notes.n;
	ret->notes.cap = r->saving.notes.cap;
	memset(&r->saving.notes, 0, sizeof(r->saving.notes));
}

// What a writer of memory says of a full disk does not know where that is.
static struct err *name_store(const struct run *r, struct err *e)
{
	const char *path = r->store ? store_path(r->store) : NULL;

	if (e && path && e->code && strcmp(e->code, "store-full") == 0 &&
	    !strstr(e->message, path))
		return err_wrap(e, "store %s", path);
	return e;
}

struct program { // of which nothing is the same after an exec
	char *auxv;
	size_t len;
};

static void program_deinit(struct program *p)
{
	free(p->auxv);
}

static void program_read(pid_t pid, struct program *ret)
{
	if (os_proc_read(pid, 0, "auxv", &ret->auxv, &ret->len) < 0)
		*ret = (struct program){0};
}

static bool runs_another(pid_t pid, const struct program *before)
{
	_cleanup_(program_deinit) struct program now = {0};

	program_read(pid, &now);
	return now.len &&
	       (now.len != before->len || memcmp(now.auxv, before->auxv, now.len) != 0);
}

// A process that runs another program now may fail anywhere, with reasons that say nothing.
static struct err *name_exec(pid_t pid, const struct program *before, struct err *e)
{
	const struct timespec nap = {0, 1000000};
	const int naps = 20; // its threads end a moment before

	if (!e || !before->len || (e->code && !strcmp(e->code, "program-replaced")))
		return e;
	for (int i = 0; !runs_another(pid, before); i++) {
		if (e->kind != ERR_LOST || i == naps)
			return e;
		nanosleep(&nap, NULL);
	}
	struct err *better = err_refuse("program-replaced", NULL,
					"process %d started another program (exec) "
					"meanwhile: %s",
					pid, e->message);
	err_free(e);
	return better;
}

struct err *checkpoint_take(pid_t pid, const struct checkpoint_options *opt,
			    struct checkpoint_result *ret)
{
	_cleanup_(run_deinit) struct run r = {
		.root = pid, .opt = opt, .ret = ret, .start = monotonic_ns()};

	_cleanup_(program_deinit) struct program before = {0};

	*ret = (struct checkpoint_result){.pid = pid};
	program_read(pid, &before);
	struct err *e = take(&r);
	describe(&r);
	return name_store(&r, name_exec(pid, &before, e));
}
