// SPDX-License-Identifier: LGPL-2.1-or-later
// What an updated process or core consists of; see symbols.h.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/status.h"
#include "update/subject.h"
#include "update/symbols_internal.h"
#include "util/cleanup.h"

void symbols_source_deinit(struct symbols_source *s)
{
	record_list_deinit(&s->records);
	vec_free(&s->mapped);
	free(s->core);
	s->core = NULL;
}

static struct err *open_process(pid_t pid, struct symbols_source *ret)
{
	_cleanup_(status_deinit) struct status status = {};
	_cleanup_(maps_deinit) struct maps maps = {};

	TRY(status_read(pid, &status)); // says what a pid is that has no program
	TRY(maps_read(pid, &maps));
	vec_for_each(m, &maps.v) {
		const struct address_range range = {m->start, m->end};

		TRY(vec_push(&ret->mapped, range));
	}
	TRY(record_list_read(pid, &maps, &ret->records));
	return ret->records.v.n ? NULL
				: err_refuse("never-updated", status.comm,
					     "process %d (%s) was never updated",
					     (int)pid, status.comm);
}

struct err *symbols_open_process(pid_t pid, struct symbols_source *ret)
{
	*ret = (struct symbols_source){.pid = pid};
	struct err *e = open_process(pid, ret);
	if (e)
		symbols_source_deinit(ret);
	return e;
}

bool symbols_is_older(const struct symbols_source *s, const struct record *r,
		      const struct record_image *im)
{
	if (im->base == record_running(r)->base)
		return false;
	// An image that was used again stands in the list twice: the later one counts.
	for (const struct record_image *next = im + 1; next < r->images.v + r->images.n;
	     next++)
		if (next->base == im->base)
			return false;
	vec_for_each(range, &s->mapped)
		if (im->base >= range->start && im->base < range->end)
			return true;
	return false;
}

struct err *symbols_open_file(const struct symbols_source *s,
			      const struct record_image *im, const char *debug_dir,
			      struct module **ret)
{
	struct err *e = record_image_find(im, s->pid, debug_dir, ret);

	if (!e || e->kind != ERR_REFUSED)
		return e;
	return err_with(e, "symbols-file", im->path);
}

static struct err *visit_image(const struct symbols_source *s, const char *debug_dir,
			       const struct symbols_visit *v, const struct record *r,
			       const struct record_image *im, bool runs)
{
	_cleanup_(module_closep) struct module *m = NULL;
	struct err *e = symbols_open_file(s, im, debug_dir, &m);

	if (e)
		return runs || e->kind == ERR_NOMEM ? e : v->missing(v->arg, e);
	return v->image(v->arg, r, im, m, runs);
}

struct err *symbols_visit(const struct symbols_source *s, const char *debug_dir,
			  const struct symbols_visit *v)
{
	vec_for_each(f, &s->records.v)
		TRY(visit_image(s, debug_dir, v, &f->record, record_running(&f->record),
				true));
	vec_for_each(f, &s->records.v)
		vec_for_each(im, &f->record.images)
			if (symbols_is_older(s, &f->record, im))
				TRY(visit_image(s, debug_dir, v, &f->record, im, false));
	return NULL;
}
