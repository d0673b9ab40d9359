// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares two programs: reads both at once, pairs, compares, collects.
#include "diff/diff.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "diff/match.h"
#include "diff/private.h"
#include "util/cleanup.h"

struct reading {
	struct side *side;
	struct dwarf_names *names;
	func_list *funcs;
	var_list *vars;
	struct err *err;
};

static struct err *read_side(struct reading *r)
{
	struct side *s = r->side;

	TRY(dwarf_names_read(s->m, r->names));
	TRY(side_list_functions(s, r->funcs));
	TRY(side_list_variables(s, r->vars));
	TRY(side_decode(s));
	s->pair_of_func = malloc((s->n_funcs + 1) * sizeof(*s->pair_of_func));
	s->pair_of_var = malloc((s->n_vars + 1) * sizeof(*s->pair_of_var));
	if (!s->pair_of_func || !s->pair_of_var)
		return err_nomem();
	memset(s->pair_of_func, 0xff, (s->n_funcs + 1) * sizeof(*s->pair_of_func));
	memset(s->pair_of_var, 0xff, (s->n_vars + 1) * sizeof(*s->pair_of_var));
	return NULL;
}

static void *reading_thread(void *arg)
{
	struct reading *r = arg;

	r->err = err_wrap(read_side(r), "%s", r->side->m->path);
	return NULL;
}

// Each thread has a program of its own: libdw's objects are for one thread at a time.
static struct err *read_both(struct diff *d, bool threads)
{
	struct diff_private *x = d->index;
	struct reading old = {&x->old, &d->old_names, (func_list *)&d->old_funcs,
			      (var_list *)&d->old_vars, NULL};
	struct reading new = {&x->new, &d->new_names, (func_list *)&d->new_funcs,
			      (var_list *)&d->new_vars, NULL};
	bool started;
	pthread_t t;

	x->old.m = d->old;
	x->old.names = &d->old_names;
	x->new.m = d->new;
	x->new.names = &d->new_names;
	x->old.split_cold = x->new.split_cold =
		module_stripped(d->old) || module_stripped(d->new);
	// The same module on both sides has one set of libdw handles.
	started = threads && d->old != d->new &&
		  !pthread_create(&t, NULL, reading_thread, &old);
	if (!started)
		reading_thread(&old);
	reading_thread(&new);
	if (started)
		pthread_join(t, NULL);
	if (old.err) {
		err_free(new.err);
		return old.err;
	}
	return new.err;
}

static struct err *list_pairs(struct diff *d, const float *confidence)
{
	struct side *o = &d->index->old, *n = &d->index->new;

	TRY(vec_reserve(&d->funcs, o->n_funcs + n->n_funcs));
	for (uint32_t i = 0; i < n->n_funcs; i++) {
		uint32_t twin = n->pair_of_func[i];

		d->index->pair_of_new_func[i] = (uint32_t)d->funcs.n;
		if (twin != NO_TWIN)
			d->index->pair_of_old_func[twin] = (uint32_t)d->funcs.n;
		d->funcs.v[d->funcs.n++] = (struct func_pair){
			.verdict = twin == NO_TWIN ? FUNC_ADDED : FUNC_SAME,
			.old = twin,
			.new = i,
			.confidence = confidence[i],
		};
	}
	for (uint32_t i = 0; i < o->n_funcs; i++) {
		if (o->pair_of_func[i] != NO_TWIN)
			continue;
		d->index->pair_of_old_func[i] = (uint32_t)d->funcs.n;
		d->funcs.v[d->funcs.n++] = (struct func_pair){
			.verdict = FUNC_REMOVED, .old = i, .new = NO_TWIN, .confidence = 1};
	}
	return NULL;
}

static uint32_t *no_twins(size_t n)
{
	uint32_t *p = malloc((n + 1) * sizeof(*p));

	if (p)
		memset(p, 0xff, (n + 1) * sizeof(*p));
	return p;
}

static struct err *pair_all(struct diff *d)
{
	struct diff_private *x = d->index;
	_cleanup_free_ float *confidence =
		malloc((x->new.n_funcs + 1) * sizeof(*confidence));

	x->pair_of_old_func = no_twins(x->old.n_funcs);
	x->pair_of_new_func = no_twins(x->new.n_funcs);
	x->pair_of_old_var = no_twins(x->old.n_vars);
	x->pair_of_new_var = no_twins(x->new.n_vars);
	if (!confidence || !x->pair_of_old_func || !x->pair_of_new_func ||
	    !x->pair_of_old_var || !x->pair_of_new_var)
		return err_nomem();
	for (size_t i = 0; i < x->new.n_funcs; i++)
		confidence[i] = 1;
	d->by_shape = module_stripped(d->old) || module_stripped(d->new);
	TRY(pair_functions(d));
	if (d->by_shape)
		TRY(pair_functions_by_shape(d, confidence));
	TRY(pair_variables(d));
	return list_pairs(d, confidence);
}

struct comparing {
	struct diff *d;
	const struct guesses *guesses;
	atomic_size_t *next;
	struct err *err;
};

static struct err *compare_some(struct comparing *job)
{
	enum { CHUNK = 64 };
	struct diff *d = job->d;
	_cleanup_(comparer_deinit) struct comparer c = {.d = d,
							.old = &d->index->old,
							.new = &d->index->new,
							.guesses = job->guesses};

	for (;;) {
		size_t at = atomic_fetch_add(job->next, CHUNK);

		if (at >= d->funcs.n)
			return NULL;
		for (size_t i = at; i < at + CHUNK && i < d->funcs.n; i++) {
			struct func_pair *p = &d->funcs.v[i];

			if (p->old != NO_TWIN && p->new != NO_TWIN)
				TRY(compare_pair(&c, p));
		}
	}
}

static void *comparing_thread(void *arg)
{
	struct comparing *job = arg;

	job->err = compare_some(job);
	return NULL;
}

static struct err *compare_functions(struct diff *d, bool threads)
{
	_cleanup_(guesses_deinit) struct guesses g = {0};
	atomic_size_t next = 0;
	struct comparing here = {d, d->by_shape ? &g : NULL, &next, NULL}, there = here;
	bool started;
	pthread_t t;

	if (d->by_shape)
		TRY(guesses_make(&g, &d->index->old, &d->index->new));
	started = threads && !pthread_create(&t, NULL, comparing_thread, &there);
	comparing_thread(&here);
	if (started)
		pthread_join(t, NULL);
	if (here.err) {
		err_free(there.err);
		return here.err;
	}
	return there.err;
}

struct typing {
	struct diff *d;
	struct err *err;
};

static struct err *meanings(struct diff *d, struct types *t)
{
	vec_for_each(p, &d->vars) {
		struct type_difference diff = {0};

		if (p->old == NO_TWIN || p->new == NO_TWIN)
			continue;
		TRY(types_pair(t, d->old_vars.v[p->old].type_die,
			       d->new_vars.v[p->new].type_die, &diff));
		p->type_changed_meaning = diff.verdict == TYPE_MEANING;
	}
	return NULL;
}

static struct err *compare_types(struct diff *d)
{
	_cleanup_(types_freep) struct types *t = NULL;

	TRY(types_begin(&d->old_names, &d->new_names, &t));
	TRY(types_report(t, &d->types));
	return meanings(d, t);
}

static void *typing_thread(void *arg)
{
	struct typing *job = arg;

	job->err = compare_types(job->d);
	return NULL;
}

static struct err *compare_code(struct diff *d, bool threads)
{
	TRY(compare_functions(d, threads));
	return compare_variables(d);
}

// Types need what was read of DWARF and the pairs of variables, and nothing of the code.
static struct err *compare_both(struct diff *d, const struct diff_options *opt,
				bool threads)
{
	struct typing job = {.d = d};
	bool started;
	struct err *e;
	pthread_t t;

	TRY(list_var_pairs(d));
	if (opt->skip_types)
		return compare_code(d, threads);
	started = threads && !pthread_create(&t, NULL, typing_thread, &job);
	e = compare_code(d, threads);
	if (started)
		pthread_join(t, NULL);
	else
		typing_thread(&job);
	if (!e)
		return job.err;
	err_free(job.err);
	return e;
}

static void find_causes(struct diff *d)
{
	struct comparer c = {.d = d, .old = &d->index->old, .new = &d->index->new};

	vec_for_each(p, &d->funcs) {
		d->count[p->verdict]++;
		find_cause(&c, p);
	}
}

static struct err *run(struct diff *d, const struct diff_options *opt)
{
	bool threads = opt->threads != 1;

	TRY(read_both(d, threads));
	TRY(pair_all(d));
	TRY(compare_both(d, opt, threads));
	find_causes(d);
	return collect_facts(d);
}

struct err *diff_programs(const struct module *old, const struct module *new,
			  const struct diff_options *opt, struct diff **ret)
{
	_cleanup_(diff_freep) struct diff *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem();
	d->index = calloc(1, sizeof(*d->index));
	if (!d->index)
		return err_nomem();
	d->old = old;
	d->new = new;
	TRY(run(d, opt));
	*ret = take_ptr(d);
	return NULL;
}

void diff_free(struct diff *d)
{
	if (!d)
		return;
	vec_for_each(f, &d->old_funcs)
		body_deinit(&f->body);
	vec_for_each(f, &d->new_funcs)
		body_deinit(&f->body);
	vec_for_each(p, &d->funcs) {
		free(p->twin);
		free(p->near_twin);
		free(p->reason);
	}
	vec_for_each(p, &d->vars)
		free(p->detail);
	vec_for_each(f, &d->facts) {
		free(f->object);
		free(f->detail);
	}
	vec_free(&d->old_funcs);
	vec_free(&d->new_funcs);
	vec_free(&d->funcs);
	vec_free(&d->old_vars);
	vec_free(&d->new_vars);
	vec_free(&d->vars);
	vec_free(&d->facts);
	type_report_deinit(&d->types);
	dwarf_names_deinit(&d->old_names);
	dwarf_names_deinit(&d->new_names);
	if (d->index) {
		side_deinit(&d->index->old);
		side_deinit(&d->index->new);
		free(d->index->pair_of_old_func);
		free(d->index->pair_of_new_func);
		free(d->index->pair_of_old_var);
		free(d->index->pair_of_new_var);
	}
	free(d->index);
	free(d);
}

void diff_freep(struct diff **d)
{
	diff_free(*d);
}
