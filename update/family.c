// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes of one update; see family.h.
#include "update/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "util/cleanup.h"

enum { LEAVING_MS = 50 };

static void result_free(struct update_result *r)
{
	if (r)
		update_result_deinit(r);
	free(r);
}

static struct job *job_of(const struct family *f, pid_t pid)
{
	vec_for_each(j, &f->jobs)
		if ((*j)->ret->pid == pid)
			return *j;
	return NULL;
}

// Its result is the family's own when there is one process only.
static struct err *new_job(struct family *f, struct job **ret)
{
	struct job *j = calloc(1, sizeof(*j));
	struct update_result *r = f->opt->tree ? calloc(1, sizeof(*r)) : f->ret;

	if (j && r) {
		*j = (struct job){.opt = f->opt, .ret = r, .lock = -1};
		struct err *e = vec_push(&f->jobs, j);

		if (!e) {
			*ret = j;
			return NULL;
		}
		err_free(e);
	}
	free(j);
	if (f->opt->tree)
		free(r);
	return err_nomem();
}

static struct err *note(struct update_result *r, const char *fmt, pid_t pid,
			const char *comm)
{
	char *text;

	if (asprintf(&text, fmt, (int)pid, comm) < 0)
		return err_nomem();
	struct err *e = vec_push(&r->notes, text);
	if (e)
		free(text);
	return e;
}

// Says which of several processes an error is about.
static struct err *about(const struct family *f, const struct job *j, struct err *e)
{
	if (!e || f->jobs.n < 2)
		return e;
	return err_wrap(e, "process %d", (int)j->ret->pid);
}

static bool has_left(const struct job *j)
{
	char path[64];

	if (!j->target.process)
		return !tree_alive(j->ret->pid);
	if (!process_alive(j->target.process))
		return true;
	// Another program that it starts ends all threads but one.
	if (!j->helper)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)j->ret->pid,
		 (int)helper_tid(j->helper));
	return !helper_tid(j->helper) || access(path, F_OK);
}

static bool any_left(const struct job *const *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_left(jobs[i]))
			return true;
	return false;
}

// Whether one of these left, now or within a moment: a process that is about to end loses its memory first, and
// what molt says of it then may be anything.
static bool are_leaving(const struct job *const *jobs, size_t n)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; !any_left(jobs, n); i++) {
		if (i == LEAVING_MS)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static bool is_leaving(const struct job *j)
{
	return are_leaving(&j, 1);
}

// Takes a member out; what was made for it stays until the end, for others may use its comparison.
static struct err *let_go(struct family *f, size_t i)
{
	struct job *j = f->jobs.v[i];

	TRY(vec_reserve(&f->gone, 1));
	TRY(note(f->ret, "process %d (%s) left while it was being prepared", j->ret->pid,
		 *j->ret->comm ? j->ret->comm : "?"));
	memmove(&f->jobs.v[i], &f->jobs.v[i + 1],
		(f->jobs.n - i - 1) * sizeof(f->jobs.v[0]));
	f->jobs.n--;
	job_release(j);
	f->gone.v[f->gone.n++] = j;
	return NULL;
}

bool family_shrank(struct family *f, const struct err *e)
{
	bool any = false;

	if (f->jobs.n < 2 ||
	    (e && !are_leaving((const struct job *const *)f->jobs.v + 1, f->jobs.n - 1)))
		return false;
	for (size_t i = f->jobs.n; i-- > 1;)
		if (has_left(f->jobs.v[i])) {
			struct err *failed = let_go(f, i);

			any |= !failed;
			err_free(failed);
		}
	return any;
}

static struct err *open_one(struct family *f, pid_t pid)
{
	struct job *j = NULL;

	TRY(new_job(f, &j));
	j->like = f->jobs.n > 1 ? f->jobs.v[0] : NULL;
	struct err *e = job_open(j, pid, f->set);
	if (!e && f->prepared)
		e = job_prepare(j);
	if (!e || f->jobs.n == 1)
		return e;
	// A child that has come and gone again is no reason to refuse.
	if (is_leaving(j) || !tree_same_program(f->root, pid)) {
		err_free(e);
		return let_go(f, f->jobs.n - 1);
	}
	return about(f, j, e);
}

static struct err *open_all(struct family *f, const struct tree *t)
{
	vec_for_each(pid, &t->members)
		if (!job_of(f, *pid))
			TRY(open_one(f, *pid));
	return NULL;
}

static struct err *open_tree(struct family *f)
{
	TRY(tree_read(f->root, &f->tree));
	TRY(open_all(f, &f->tree));
	if (f->prepared)
		return NULL;
	vec_for_each(o, &f->tree.others)
		TRY(note(f->ret, "process %d runs another program and is left alone%s",
			 o->pid, ""));
	return NULL;
}

// A server that is updated without its workers is seldom what was meant.
static struct err *open_alone(struct family *f)
{
	TRY(open_one(f, f->root));
	size_t n = tree_relatives(f->root);
	if (!n)
		return NULL;
	return note(
		f->ret,
		n == 1 ? "a child of process %d runs the same program and is not updated "
			 "with it: --tree takes it in%s"
		       : "children of process %d run the same program and are not "
			 "updated "
			 "with it: --tree takes them in%s",
		f->root, "");
}

struct err *family_open(struct family *f)
{
	f->ret->pid = f->root;
	if (!f->opt->tree)
		return open_alone(f);
	if (f->opt->at)
		return err_new(ERR_USAGE,
			       "--at names a moment of one process, not of a tree");
	return open_tree(f);
}

struct err *family_prepare(struct family *f)
{
	for (size_t i = 0; i < f->jobs.n;) {
		struct job *j = f->jobs.v[i];
		struct err *e = job_prepare(j);

		if (e && i > 0 && is_leaving(j)) {
			err_free(e);
			TRY(let_go(f, i));
			continue;
		}
		TRY(about(f, j, e));
		i++;
	}
	f->prepared = true;
	return NULL;
}

struct err *family_settle(struct family *f)
{
	if (!f->opt->tree)
		return NULL;
	family_shrank(f, NULL);
	TRY(open_tree(f));
	if (f->jobs.n > 1 && !f->decision)
		TRY(decision_create(&f->decision));
	for (size_t i = 0; i < f->jobs.n && f->decision; i++)
		if (!commit_is_shared(f->jobs.v[i]->commit))
			TRY(about(f, f->jobs.v[i],
				  commit_share(f->jobs.v[i]->commit, f->decision)));
	return NULL;
}

struct err *family_grew(struct family *f, bool *ret)
{
	*ret = false;
	if (!f->opt->tree)
		return NULL;
	_cleanup_free_ pid_t *known = calloc(f->jobs.n, sizeof(*known));
	if (!known)
		return err_nomem();
	for (size_t i = 0; i < f->jobs.n; i++)
		known[i] = f->jobs.v[i]->ret->pid;
	return tree_grew(&f->tree, known, f->jobs.n, ret);
}

static bool in_family(const struct family *f, pid_t pid)
{
	return job_of(f, pid);
}

// A child that was forked between the commit and the end of the tidying has what its parent had.
static struct err *clean_one(pid_t pid)
{
	_cleanup_(target_deinit) struct target t = {0};
	_cleanup_(helper_stopp) struct helper *h = NULL;
	struct commit_leftover left;

	_cleanup_close_ int lock = os_proc_lock(pid);
	if (lock < 0)
		return NULL;
	TRY(target_open(pid, &t));
	TRY(helper_start(t.process, 0, &h));
	TRY(commit_recover(t.process, h, &left));
	struct err *e = clear_leftovers(&t, h);
	helper_stop(take_ptr(h));
	return e;
}

void family_clean_newcomers(struct family *f)
{
	_cleanup_(tree_deinit) struct tree t = {0};
	struct err *e = f->opt->tree ? tree_read(f->root, &t) : NULL;

	err_free(e);
	vec_for_each(pid, &t.members)
		if (!in_family(f, *pid))
			err_free(clean_one(*pid));
}

// The whole has the root's figures; the notes are each one's own.
static void sum_up(struct family *f)
{
	struct update_result *to = f->ret;

	if (!f->jobs.n)
		return;
	const struct update_result *root = f->jobs.v[0]->ret;
	struct update_result was = *to;
	*to = *root;
	memcpy(&to->notes, &was.notes, sizeof(was.notes));
	memcpy(&to->members, &was.members, sizeof(was.members));
	to->threads = 0;
	vec_for_each(j, &f->jobs)
		to->threads += (*j)->ret->threads;
}

static void hand_over(struct family *f, struct job *j)
{
	struct err *e = vec_push(&f->ret->members, j->ret);

	if (e)
		result_free(j->ret);
	err_free(e);
}

void family_deinit(struct family *f)
{
	// Those who borrow first.
	for (size_t i = f->jobs.n; i-- > 0;)
		job_deinit(f->jobs.v[i]);
	for (size_t i = f->gone.n; i-- > 0;)
		job_deinit(f->gone.v[i]);
	if (f->opt->tree)
		sum_up(f);
	vec_for_each(j, &f->jobs) {
		if (f->opt->tree)
			hand_over(f, *j);
		free(*j);
	}
	vec_for_each(j, &f->gone) {
		result_free((*j)->ret);
		free(*j);
	}
	vec_free(&f->jobs);
	vec_free(&f->gone);
	tree_deinit(&f->tree);
	decision_free(f->decision);
}
