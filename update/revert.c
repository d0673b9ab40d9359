// SPDX-License-Identifier: LGPL-2.1-or-later
// Going back to an earlier generation; see revert.h.
#include "update/revert.h"

#include <stdlib.h>
#include <string.h>

#include "update/status.h"
#include "update/subject.h"
#include "util/cleanup.h"

void revert_deinit(struct revert *r)
{
	vec_for_each(m, &r->modules) {
		free((void *)(uintptr_t)m->old);
		free((void *)(uintptr_t)m->new_path);
	}
	vec_free(&r->modules);
}

// The image in which a module lived in generation `to`; NULL when the record no longer tells.
static const struct record_image *image_in(const struct record *r, uint32_t to)
{
	size_t i = r->images.n;

	while (i && r->images.v[i - 1].generation > to)
		i--;
	if (!i)
		return NULL;
	const struct record_image *im = &r->images.v[i - 1];
	bool all_known = i == r->images.n || r->images.n - i < RECORD_HISTORY;
	return all_known || im->generation == to ? im : NULL;
}

static struct err *add_module(const struct record *r, uint32_t to, struct revert *ret)
{
	const struct record_image *now = record_running(r);
	const struct record_image *then = image_in(r, to);
	_cleanup_(module_closep) struct module *file = NULL;
	struct update_module m = {0};

	if (!then)
		return err_refuse("no-generation", NULL,
				  "what ran in generation %u is no longer known", to);
	if (!strcmp(then->build_id, now->build_id))
		return NULL;
	TRY(record_image_open(then, NULL, true, &file));
	char *old = strdup(r->name), *path = strdup(file->path);
	m.old = old;
	m.new_path = path;
	struct err *e = old && path ? vec_push(&ret->modules, m) : err_nomem();
	if (e) {
		free(old);
		free(path);
	}
	return e;
}

static struct err *nothing_to_change(const struct record *closed, uint32_t to)
{
	if (!closed)
		return err_refuse("no-generation", NULL,
				  "generation %u ran the same program as this one", to);
	return err_refuse(
		"no-generation", closed->name,
		"since generation %u only %s was updated, which the process has "
		"closed: it runs what it ran then",
		to, closed->name);
}

// What was closed since has nothing to go back to.
static struct err *find(const struct record_list *records, const struct maps *maps,
			int64_t to, struct revert *ret)
{
	*ret = (struct revert){.from = record_list_generation(records)};
	if (!ret->from)
		return err_refuse("never-updated", NULL,
				  "the process was never updated: it runs the program it "
				  "started with");
	if (to >= ret->from)
		return err_new(ERR_USAGE,
			       "generation %lld is none to go back to: the process is in "
			       "generation %u",
			       (long long)to, ret->from);
	ret->to = to < 0 ? ret->from - 1 : (uint32_t)to;
	struct err *e = NULL;
	const struct record *closed = NULL;
	vec_for_each(f, &records->v) {
		if (e || f->record.generation <= ret->to)
			continue;
		if (record_is_mapped(&f->record, maps))
			e = add_module(&f->record, ret->to, ret);
		else
			closed = &f->record;
	}
	if (!e && !ret->modules.n)
		e = nothing_to_change(closed, ret->to);
	if (e)
		revert_deinit(ret);
	return e;
}

struct err *revert_look(pid_t pid, int64_t to, struct revert *ret)
{
	_cleanup_(maps_deinit) struct maps maps = {0};
	_cleanup_(record_list_deinit) struct record_list records = {0};
	struct os_status status;

	*ret = (struct revert){0};
	TRY(status_check_pid(pid, &status));
	TRY(maps_read(pid, &maps));
	TRY(record_list_read(pid, &maps, &records));
	return find(&records, &maps, to, ret);
}

struct err *revert_run(pid_t pid, int64_t to, const struct update_options *opt,
		       struct update_result *ret)
{
	_cleanup_(revert_deinit) struct revert r = {0};

	ret->pid = pid;
	TRY(revert_look(pid, to, &r));
	// Somebody who updates it meanwhile has the last word.
	struct update_options o = *opt;
	o.named_only = true; // the records say which
	const unsigned from = r.from;
	if (!o.expected_generation)
		o.expected_generation = &from;
	ret->generation = from;
	return update_run(pid, &(struct update_set){.v = r.modules.v, .n = r.modules.n},
			  &o, ret);
}
