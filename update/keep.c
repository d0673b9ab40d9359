// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies of the files of an update; see keep.h.
#include "update/keep.h"

#include <errno.h>
#include <string.h>

#include "os/pids.h"
#include "update/store.h"
#include "util/cleanup.h"

static void keep(struct job *j, const struct module *m, const char *who)
{
	char id[PROGRAM_ID_MAX];

	program_id(m, id);
	struct err *e = store_keep(m, id);
	if (!e)
		return;
	struct err *noted = plan_note(
		job_plan(j), "going back to %s will need its file: %s", who, e->message);
	err_free(noted);
	err_free(e);
}

void keep_programs(struct job *j)
{
	vec_for_each(u, &j->units) {
		keep(j, (*u)->subject.old, "the program that runs now");
		keep(j, (*u)->plan->new, "the new program");
	}
}

static struct err *add_names(const struct record_list *records, struct store_names *used)
{
	vec_for_each(f, &records->v)
		vec_for_each(im, &f->record.images) {
			char *name = strdup(im->build_id);
			struct err *e = name ? vec_push(&used->v, name) : err_nomem();

			if (e) {
				free(name);
				return e;
			}
		}
	return NULL;
}

// The programs that the records of all processes name. A record that cannot be read is an error: its programs are
// not known.
static struct err *read_names(struct store_names *used)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = os_pids(&pids, &n);

	if (r < 0)
		return err_sys(r, "cannot list the processes");
	for (size_t i = 0; i < n; i++) {
		_cleanup_(maps_deinit) struct maps maps = {0};
		_cleanup_(record_list_deinit) struct record_list records = {0};
		struct err *e = maps_read(pids[i], &maps);

		if (!e)
			e = record_list_read(pids[i], &maps, &records);
		// Whom one may not look at one cannot have updated.
		if (e &&
		    (e->errnum == ENOENT || e->kind == ERR_LOST || e->kind == ERR_PERM)) {
			err_free(e);
			continue;
		}
		TRY(e);
		TRY(add_names(&records, used));
	}
	return NULL;
}

void keep_tidy(void)
{
	_cleanup_(store_names_deinit) struct store_names used = {0};

	if (!store_has_stale())
		return;
	struct err *e = read_names(&used);
	if (!e)
		store_prune(&used);
	err_free(e); // another time
}
