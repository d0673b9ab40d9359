// SPDX-License-Identifier: LGPL-2.1-or-later
// The plans of one process: of the modules that were named, and of those that go with the program.
#include <stdlib.h>

#include "update/discover.h"
#include "update/job.h"
#include "util/cleanup.h"

static void forward_progress(void *arg, const char *text)
{
	job_say(arg, text);
}

static struct err *add_unit(struct job *j, struct unit **ret)
{
	struct unit *u = calloc(1, sizeof(*u));
	struct err *e = u ? vec_push(&j->units, u) : err_nomem();

	if (e)
		free(u);
	else
		*ret = u;
	return e;
}

static bool is_exe(const struct update_module *m)
{
	return !m->old || !*m->old;
}

static struct plan_options plan_options_of(const struct job *j)
{
	return (struct plan_options){.debug_dir = j->opt->debug_dir,
				     .allow_holes = j->opt->allow_holes,
				     .allow_lost = j->opt->allow_lost,
				     .at = j->opt->at,
				     .keep_old = j->opt->keep_old,
				     .n_keep_old = j->opt->n_keep_old};
}

static struct err *check_twice(const struct job *j, const struct unit *u)
{
	vec_for_each(other, &j->units)
		if (*other != u && (*other)->subject.link == u->subject.link)
			return err_new(ERR_USAGE, "%s is named twice",
				       u->subject.link ? u->subject.record->name
						       : "the program");
	return NULL;
}

static struct err *plan_unit(struct job *j, const struct update_module *m)
{
	struct plan_options po = plan_options_of(j);
	struct unit *u;

	if (j->like && j->like->plans.n > j->units.n)
		po.like = j->like->plans.v[j->units.n];
	TRY(add_unit(j, &u));
	TRY(is_exe(m) ? subject_open_exe(&j->target, j->opt->debug_dir, &u->subject)
		      : subject_open_library(&j->target, m->old, j->opt->debug_dir,
					     &u->subject));
	TRY(check_twice(j, u));
	struct err *e =
		plan_begin(&u->subject, m->new_path, &po, forward_progress, j, &u->plan);
	return err_first(e, u->plan ? vec_push(&j->plans, u->plan) : NULL);
}

// Libraries that lie beside the new program go in with it; each is named, and so is what stays old.
static struct err *plan_discovered(struct job *j, const struct update_set *set,
				   const char *new_path)
{
	_cleanup_(discovery_deinit) struct discovery d = {0};

	TRY(discover_modules(&j->units.v[0]->subject, new_path, set, &d));
	vec_for_each(m, &d.v) {
		TRY(plan_note(job_plan(j), "%s goes in too: %s", m->old, m->new_path));
		TRY(err_wrap(plan_unit(j, m), "module %s, found beside the program",
			     m->new_path));
	}
	vec_for_each(s, &d.stale)
		TRY(plan_note(job_plan(j),
			      "%s stays old, though its file was replaced: --module "
			      "takes it in",
			      *s));
	return NULL;
}

// The executable first.
struct err *job_make_plans(struct job *j, const struct update_set *set)
{
	const struct plan_options po = plan_options_of(j);
	const char *new_path = NULL;

	for (int exe = 1; exe >= 0; exe--)
		for (size_t i = 0; i < set->n; i++) {
			if (is_exe(&set->v[i]) != exe)
				continue;
			TRY(plan_unit(j, &set->v[i]));
			new_path = exe ? set->v[i].new_path : new_path;
		}
	if (!j->units.n)
		return err_new(ERR_USAGE, "there is nothing to update");
	if (new_path && !j->opt->named_only)
		TRY(plan_discovered(j, set, new_path));
	TRY(preflight_names(j->plans.v, j->plans.n, &po));
	return plan_link(j->plans.v, j->plans.n, forward_progress, j);
}
