// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a live update; see update.h and docs/design.md, "Order of an update".
#include "update/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "process/fault.h"
#include "update/install.h"
#include "update/preview.h"
#include "update/quiesce.h"
#include "update/swap.h"
#include "util/cleanup.h"

enum {
	MAX_TRIES = 5, // a word that was to be changed changed by itself: look again
	FRAMES_PER_THREAD = 256, // room in the commit's log for return addresses
	FRAMES_MAX = 1 << 18,
	THREADS_SPARE = 64, // that may come into being until the stop
	STEADY_WAIT_S = 5,
};

struct update {
	const struct update_options *opt;
	struct update_result *ret;
	struct subject *subject;
	struct plan *plan;
	struct helper *helper;
	struct commit *commit;
	struct quiesce *quiesce;
	struct installed installed;
	bool committed;
};

void update_result_deinit(struct update_result *r)
{
	vec_for_each(n, &r->notes)
		free(*n);
	vec_free(&r->notes);
}

static void say(const struct update *u, const char *text)
{
	if (u->opt->progress)
		u->opt->progress(u->opt->arg, text);
}

static void forward_progress(void *arg, const char *text)
{
	say(arg, text);
}

static struct err *fresh_maps(struct update *u)
{
	struct maps now = {0};

	TRY(maps_read(u->subject->process->pid, &now));
	maps_deinit(&u->subject->maps);
	u->subject->maps = now;
	return NULL;
}

// All patched pages become writable and private before the stop, so that the commit is plain stores.
static struct err *prepare_commit(struct update *u)
{
	struct plan *p = u->plan;
	size_t threads = u->subject->process->threads.n + THREADS_SPARE;
	_cleanup_free_ struct commit_span *spans =
		malloc((p->patches.n + p->moved.n + 1) * sizeof(*spans));
	size_t n = 0, carried = 0, frames = threads * FRAMES_PER_THREAD;

	if (!spans)
		return err_nomem();
	// At worst each byte of a moved variable is a word of its own.
	vec_for_each(m, &p->moved)
		carried += p->diff->new_vars.v[p->diff->vars.v[m->pair].new].size;
	if (frames > FRAMES_MAX)
		frames = FRAMES_MAX;
	TRY(fresh_maps(u));
	TRY(commit_create(u->subject->process, u->helper, p->layout.base,
			  p->patches.n + carried + frames, threads, &u->commit));
	vec_for_each(patch, &p->patches)
		spans[n++] = (struct commit_span){.addr = patch->addr, .len = patch->len};
	vec_for_each(m, &p->moved)
		spans[n++] = (struct commit_span){
			.addr = m->to,
			.len = p->diff->new_vars.v[p->diff->vars.v[m->pair].new].size};
	return commit_prepare_ranges(u->commit, &u->subject->maps, spans, n);
}

// A word that was to be changed has changed by itself since the plan was made: a PLT slot that was bound
// is taken as it is now, a variable that is no longer as it was initialised stays as it is.
static struct err *refresh_patches(struct update *u)
{
	struct plan *p = u->plan;
	size_t kept = 0;

	TRY(merge_again(p));
	for (size_t i = 0; i < p->patches.n; i++) {
		struct patch patch = p->patches.v[i];
		uint8_t now[PATCH_MAX];

		TRY(mem_read(u->subject->process->pid, patch.addr, now, patch.len));
		if (memcmp(now, patch.old_bytes, patch.len)) {
			if (!memcmp(now, patch.new_bytes, patch.len))
				continue;
			if (!strcmp(patch.what, "binding of an old PLT slot"))
				continue;	      // bound meanwhile
			if (!patch_is_merged(&patch)) // else the next stop will tell
				return err_refuse(
					"text-changed", patch.what,
					"the %s at 0x%lx was changed by somebody else",
					patch.what, patch.addr);
		}
		p->patches.v[kept++] = patch;
	}
	p->patches.n = kept;
	return NULL;
}

static struct err *add_patches(struct update *u)
{
	commit_reset(u->commit, 0);
	vec_for_each(patch, &u->plan->patches)
		TRY(commit_add(u->commit, patch));
	return NULL;
}

// In the stop: what must be as it is at this very moment, then the commit.
static struct err *commit_now(struct update *u)
{
	if (u->plan->moved.n)
		TRY(fresh_maps(u)); // memory that is new is searched for pointers too
	vec_for_each(m, &u->plan->moved)
		TRY(merge_moved(u->plan, m, u->commit));
	TRY(fault_point("update-before-commit"));
	TRY(commit_execute(u->commit));
	struct err *e = fault_point("update-after-commit");
	if (!e)
		return NULL;
	struct err *undo = commit_undo(u->commit);
	if (undo) {
		err_free(e);
		return undo;
	}
	e->kind = ERR_ROLLED_BACK;
	return e;
}

// The new program runs: what failed besides is a remark.
static struct err *note_and_free(struct update *u, struct err *e)
{
	struct err *noted = plan_note(u->plan, "updated, but: %s", e->message);

	err_free(e);
	return noted;
}

// One critical stop. A word that changed by itself gives ERR_ROLLED_BACK with code data-changed.
static struct err *try_commit(struct update *u, uint64_t deadline)
{
	struct process *pr = u->subject->process;
	uint64_t first = 0, last = 0;

	process_boost(pr);
	struct err *e = quiesce_freeze(u->quiesce, u->commit, deadline, &first);
	if (!e) {
		struct quiesce_times t = quiesce_last_times(u->quiesce);
		uint64_t before = monotonic_ns();

		u->ret->threads = pr->threads.n;
		e = commit_now(u);
		u->committed = commit_in_force(u->commit);
		uint64_t after = monotonic_ns();
		struct err *thawed = process_thaw(pr, &last);
		if (!e)
			e = thawed;
		else
			err_free(thawed);
		if (u->committed && e)
			e = note_and_free(u, e);
		u->ret->stop_ns = last - first;
		u->ret->freeze_ns = t.freeze;
		u->ret->judge_ns = t.judge;
		u->ret->commit_ns = after - before;
		u->ret->thaw_ns = last - after;
	}
	process_unboost(pr);
	u->ret->attempts = quiesce_attempts(u->quiesce);
	return e;
}

static struct err *commit_with_retries(struct update *u)
{
	double wait = u->opt->wait_seconds > 0 ? u->opt->wait_seconds : STEADY_WAIT_S;
	uint64_t deadline = monotonic_ns() + (uint64_t)(wait * 1e9);

	for (int i = 0;; i++) {
		struct err *e = add_patches(u);

		if (!e)
			e = try_commit(u, deadline);
		if (!e || u->committed || i + 1 == MAX_TRIES ||
		    e->kind != ERR_ROLLED_BACK || !e->code ||
		    strcmp(e->code, "data-changed"))
			return e;
		err_free(e);
		TRY(refresh_patches(u));
	}
}

static struct quiesce_options quiesce_options_of(const struct update *u)
{
	return (struct quiesce_options){.wait_seconds = u->opt->wait_seconds,
					.at = u->opt->at,
					.keep_old = u->opt->keep_old,
					.n_keep_old = u->opt->n_keep_old,
					.progress = u->opt->progress,
					.arg = u->opt->arg};
}

static struct err *start(struct update *u)
{
	struct process *pr = u->subject->process;
	struct commit_leftover leftover = {0};

	say(u, "preparing the process");
	TRY(fault_point("update-start"));
	TRY(helper_start(pr, u->plan->layout.base, &u->helper));
	TRY(commit_recover(pr, u->helper, &leftover));
	TRY(clear_leftovers(u->subject, u->helper));
	TRY(install(u->plan, u->helper, &u->installed));
	TRY(fault_point("update-installed"));
	TRY(prepare_commit(u));
	const struct quiesce_options qo = quiesce_options_of(u);

	TRY(quiesce_create(u->plan, u->helper, &qo, &u->quiesce));
	TRY(quiesce_rehearse(u->quiesce));
	return fault_point("update-prepared");
}

// After the commit nothing may make the update fail any more: what goes wrong here is told as a note.
static void finish(struct update *u)
{
	struct subject *s = u->subject;

	say(u, "tidying up");
	struct err *e = fault_point("update-before-tidy");
	// Protections first: with them back, the writable part of the old image is one mapping again.
	if (!e)
		e = commit_finish(u->commit);
	bool tidy = !e;
	if (!e)
		e = swap_old_image(u->plan, u->helper, &u->ret->stop2_ns);
	if (e) {
		struct err *noted =
			plan_note(u->plan, "/proc/%d/exe still names the old program: %s",
				  s->process->pid, e->message);
		err_free(noted);
		err_free(e);
	}
	if (s->recorded && tidy)
		err_free(helper_munmap(u->helper, s->record_addr, s->record_len));
}

static void release(struct update *u)
{
	quiesce_free(u->quiesce);
	if (u->commit) {
		err_free(commit_finish(u->commit));
		commit_free(u->commit);
	}
	if (!u->committed && u->helper)
		err_free(uninstall(&u->installed));
	if (u->helper)
		helper_stop(u->helper);
}

static struct err *change_process(struct update *u)
{
	struct err *e = start(u);

	if (!e) {
		say(u, "stopping the process");
		e = commit_with_retries(u);
	}
	if (u->committed) {
		u->ret->generation = u->subject->record.generation + 1;
		finish(u);
	}
	release(u);
	return e;
}

static void describe(struct update *u)
{
	struct update_result *r = u->ret;
	const struct subject *s = u->subject;

	memcpy(r->comm, s->process->comm, sizeof(r->comm));
	r->generation = s->record.generation;
	r->threads = s->process->threads.n;
	if (s->old)
		program_id(s->old, r->old_build_id);
	if (!u->plan)
		return;
	if (u->plan->new)
		program_id(u->plan->new, r->new_build_id);
	if (u->plan->diff)
		memcpy(r->count, u->plan->diff->count, sizeof(r->count));
	r->jumps = u->plan->jumps;
}

static struct err *run(struct update *u, pid_t pid, const char *new_path)
{
	const struct plan_options po = {.debug_dir = u->opt->debug_dir,
					.allow_holes = u->opt->allow_holes,
					.at = u->opt->at,
					.keep_old = u->opt->keep_old,
					.n_keep_old = u->opt->n_keep_old};
	_cleanup_close_ int lock = -1; // until this returns
	struct err *e;

	say(u, "reading the process");
	if (!u->opt->dry_run) {
		// Two tools at once must not even prepare. A process that is gone is told of below.
		lock = os_proc_lock(pid);
		if (lock == -EWOULDBLOCK)
			return err_with(err_new(ERR_BUSY,
						"another molt works on process %d", pid),
					"busy", NULL);
	}
	e = subject_open(pid, u->opt->debug_dir, u->subject);
	if (e)
		return e;
	e = plan_make(u->subject, new_path, &po, forward_progress, u, &u->plan);
	describe(u);
	if (e)
		return e;
	if (!u->opt->dry_run)
		return change_process(u);
	const struct quiesce_options qo = quiesce_options_of(u);
	return preview_threads(u->plan, &qo, &u->ret->threads);
}

struct err *update_run(pid_t pid, const char *new_path, const struct update_options *opt,
		       struct update_result *ret)
{
	struct subject subject = {0};
	struct update u = {.opt = opt, .ret = ret, .subject = &subject};
	struct err *e;

	ret->pid = pid;
	e = run(&u, pid, new_path);
	if (u.plan) {
		ret->merged = u.plan->merged;
		ret->conflicts = u.plan->conflicts;
		memcpy(&ret->notes, &u.plan->notes, sizeof(ret->notes)); // taken over
		memset(&u.plan->notes, 0, sizeof(u.plan->notes));
	}
	plan_free(u.plan);
	subject_deinit(&subject);
	return e;
}
