// SPDX-License-Identifier: LGPL-2.1-or-later
// One process in an update: opened, planned, prepared, tidied; see job.h.
#include "update/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "process/under_way.h"
#include "update/homecoming.h"
#include "update/preview.h"
#include "update/swap.h"
#include "util/cleanup.h"

enum {
	FRAMES_PER_THREAD = 256, // room in the commit's log for return addresses
	FRAMES_MAX = 1 << 18,
	THREADS_SPARE = 64, // that may come into being until the stop
};

void job_say(const struct job *j, const char *text)
{
	if (j->opt->progress)
		j->opt->progress(j->opt->arg, text);
}

struct err *job_interrupted(const struct job *j)
{
	if (!j->opt->interrupted || !j->opt->interrupted(j->opt->arg))
		return NULL;
	return err_with(err_new(ERR_BUSY, "interrupted; the process goes on as it was"),
			"interrupted", NULL);
}

static void add_spans(const struct plan *p, struct commit_span *spans, size_t *n)
{
	vec_for_each(patch, &p->patches)
		spans[(*n)++] =
			(struct commit_span){.addr = patch->addr, .len = patch->len};
	vec_for_each(m, &p->moved)
		spans[(*n)++] = (struct commit_span){
			.addr = m->to,
			.len = p->diff->new_vars.v[p->diff->vars.v[m->pair].new].size};
}

// At worst each byte of a moved variable is a word of its own.
static size_t carried_bytes(const struct plan *p)
{
	size_t n = 0;

	vec_for_each(m, &p->moved)
		n += p->diff->new_vars.v[p->diff->vars.v[m->pair].new].size;
	return n;
}

// All patched pages become writable and private before the stop, so that the commit is plain stores.
static struct err *prepare_commit(struct job *j)
{
	size_t threads = j->target.process->threads.n + THREADS_SPARE;
	size_t n = 0, max_spans = 1, patches = threads * FRAMES_PER_THREAD;

	if (patches > FRAMES_MAX)
		patches = FRAMES_MAX;
	vec_for_each(u, &j->units) {
		const struct plan *p = (*u)->plan;

		max_spans += p->patches.n + p->moved.n;
		patches += p->patches.n + carried_bytes(p);
	}
	_cleanup_free_ struct commit_span *spans = malloc(max_spans * sizeof(*spans));
	if (!spans)
		return err_nomem();
	TRY(target_refresh_maps(&j->target));
	TRY(commit_create(j->target.process, j->helper, job_plan(j)->layout.base, patches,
			  threads, &j->commit));
	vec_for_each(u, &j->units)
		add_spans((*u)->plan, spans, &n);
	return commit_prepare_ranges(j->commit, &j->target.maps, spans, n);
}

// A word that was to be changed has changed by itself since the plan was made: a PLT slot that was bound
// is taken as it is now, a variable that is no longer as it was initialised stays as it is.
static struct err *refresh_plan(struct plan *p)
{
	size_t kept = 0;

	TRY(merge_again(p));
	for (size_t i = 0; i < p->patches.n; i++) {
		struct patch patch = p->patches.v[i];
		uint8_t now[PATCH_MAX];

		TRY(mem_read(p->subject->process->pid, patch.addr, now, patch.len));
		if (memcmp(now, patch.old_bytes, patch.len)) {
			if (!memcmp(now, patch.new_bytes, patch.len))
				continue;
			if (!strcmp(patch.what, "binding of an old PLT slot"))
				continue; // bound meanwhile
			if (!homecoming_refresh(&patch, now) &&
			    !patch_is_merged(&patch)) // else the next stop will tell
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

struct err *job_refresh(struct job *j)
{
	vec_for_each(u, &j->units)
		TRY(refresh_plan((*u)->plan));
	return NULL;
}

struct err *job_add_patches(struct job *j)
{
	commit_reset(j->commit, 0);
	vec_for_each(u, &j->units)
		vec_for_each(patch, &(*u)->plan->patches)
			TRY(commit_add(j->commit, patch));
	return NULL;
}

struct err *job_carry(struct job *j)
{
	bool fresh = false;

	vec_for_each(u, &j->units) {
		struct plan *p = (*u)->plan;

		if (p->moved.n && !fresh) // memory that is new is searched for pointers too
			TRY(target_refresh_maps(&j->target));
		fresh |= p->moved.n > 0;
		vec_for_each(m, &p->moved)
			TRY(merge_moved(p, m, j->commit));
	}
	return NULL;
}

static struct quiesce_options quiesce_options_of(const struct job *j)
{
	return (struct quiesce_options){.wait_seconds = j->opt->wait_seconds,
					.at = j->opt->at,
					.keep_old = j->opt->keep_old,
					.n_keep_old = j->opt->n_keep_old,
					.progress = j->opt->progress,
					.arg = j->opt->arg};
}

// Starts the helper and takes away what a tool that died left.
static struct err *enter(struct job *j)
{
	struct process *pr = j->target.process;
	struct commit_leftover leftover = {0};

	TRY(helper_start(pr, job_plan(j)->layout.base, &j->helper));
	TRY(commit_recover(pr, j->helper, &leftover));
	return clear_leftovers(&j->target, j->helper);
}

struct err *job_clear(struct job *j)
{
	enum under_way left;

	TRY(under_way_read(j->target.process->pid, &j->target.maps, &left));
	if (left == UNDER_WAY_NOTHING)
		return NULL;
	struct err *e = enter(j);
	job_release(j);
	return e;
}

struct err *job_prepare(struct job *j)
{
	TRY(job_interrupted(j));
	job_say(j, "preparing the process");
	TRY(fault_point("update-start"));
	TRY(enter(j));
	vec_for_each(u, &j->units)
		TRY(install_image((*u)->plan, j->helper, &(*u)->installed));
	vec_for_each(u, &j->units)
		TRY(install_record((*u)->plan, j->helper, &(*u)->installed));
	TRY(fault_point("update-installed"));
	TRY(job_interrupted(j));
	TRY(prepare_commit(j));
	const struct quiesce_options qo = quiesce_options_of(j);

	TRY(quiesce_create(j->plans.v, j->plans.n, j->helper, &qo, &j->quiesce));
	TRY(quiesce_rehearse(j->quiesce));
	return fault_point("update-prepared");
}

static void unmap_old_records(struct job *j)
{
	vec_for_each(u, &j->units) {
		const struct subject *s = &(*u)->subject;

		if (s->recorded)
			err_free(helper_munmap(j->helper, s->record_addr, s->record_len));
	}
}

void job_tidy(struct job *j)
{
	struct update_result *r = j->ret;

	r->generation = record_list_generation(&j->target.records) + 1;
	job_say(j, "tidying up");
	struct err *e = fault_point("update-before-tidy");
	// Protections first: with them back, the writable part of the old image is one mapping again.
	if (!e)
		e = commit_finish(j->commit);
	bool tidy = !e;
	if (!e)
		e = swap_old_images(j->plans.v, j->plans.n, j->helper, &r->stop2_ns);
	if (e) {
		bool exe = subject_is_exe(job_plan(j)->subject);
		struct err *noted =
			exe ? plan_note(job_plan(j),
					"/proc/%d/exe still names the old program: %s",
					j->target.process->pid, e->message)
			    : plan_note(job_plan(j),
					"the old file of the library stays mapped: %s",
					e->message);
		err_free(noted);
		err_free(e);
	}
	if (tidy)
		unmap_old_records(j);
}

void job_release(struct job *j)
{
	quiesce_free(j->quiesce);
	j->quiesce = NULL;
	if (j->commit) {
		err_free(commit_finish(j->commit));
		commit_free(j->commit);
		j->commit = NULL;
	}
	vec_for_each(u, &j->units)
		if (!j->committed && j->helper)
			err_free(uninstall(&(*u)->installed));
	if (j->helper)
		helper_stop(j->helper);
	j->helper = NULL;
}

static void describe(struct job *j)
{
	struct update_result *r = j->ret;
	const struct unit *first = j->units.v[0];

	memcpy(r->comm, j->target.process->comm, sizeof(r->comm));
	r->generation = record_list_generation(&j->target.records);
	r->threads = j->target.process->threads.n;
	if (first->subject.old)
		program_id(first->subject.old, r->old_build_id);
	if (first->plan && first->plan->new)
		program_id(first->plan->new, r->new_build_id);
	vec_for_each(p, &j->plans) {
		if ((*p)->diff)
			for (size_t i = 0; i < ARRAY_SIZE(r->count); i++)
				r->count[i] += (*p)->diff->count[i];
		r->jumps += (*p)->jumps;
	}
}

static struct err *check_generation(const struct job *j)
{
	unsigned now = record_list_generation(&j->target.records);

	if (!j->opt->expected_generation || *j->opt->expected_generation == now)
		return NULL;
	return err_with(
		err_new(ERR_BUSY, "process %d is in generation %u by now, not in %u",
			j->target.process->pid, now, *j->opt->expected_generation),
		"generation-changed", NULL);
}

struct err *job_open(struct job *j, pid_t pid, const struct update_set *set)
{
	j->ret->pid = pid;
	j->lock = -1;
	job_say(j, "reading the process");
	if (!j->opt->dry_run) {
		// Two tools at once must not even prepare. A process that is gone is told of below.
		j->lock = os_proc_lock(pid);
		if (j->lock == -EWOULDBLOCK)
			return err_with(err_new(ERR_BUSY,
						"another molt works on process %d", pid),
					"busy", NULL);
	}
	struct err *e = target_open(pid, &j->target);
	if (!e)
		e = check_generation(j);
	if (!e)
		e = job_make_plans(j, set);
	if (j->units.n)
		describe(j);
	return e;
}

struct err *job_preview(struct job *j)
{
	const struct quiesce_options qo = quiesce_options_of(j);

	return preview_threads(j->plans.v, j->plans.n, &qo, &j->ret->threads);
}

static void hand_over_notes(struct plan *p, struct update_result *r)
{
	r->merged += p->merged;
	r->conflicts += p->conflicts;
	vec_for_each(n, &p->notes) {
		struct err *e = vec_push(&r->notes, *n);

		if (e)
			free(*n);
		err_free(e);
	}
	p->notes.n = 0;
}

void job_deinit(struct job *j)
{
	job_release(j);
	vec_for_each(u, &j->units) {
		if ((*u)->plan)
			hand_over_notes((*u)->plan, j->ret);
		plan_free((*u)->plan);
		subject_deinit(&(*u)->subject);
		free(*u);
	}
	vec_free(&j->units);
	vec_free(&j->plans);
	target_deinit(&j->target);
	if (j->lock >= 0)
		close(j->lock);
}
