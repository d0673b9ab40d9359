// SPDX-License-Identifier: GPL-2.0-or-later
// See fits.h. A program is judged by rebuilding the saved process, without its descriptors, and updating that: the verdict
// is the one that a restore will give. A list of functions is looked for in the saved call paths (paper, 5.2.2).
#include "cmd/fits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/molt.h"
#include "lib/call_paths.h"
#include "util/cleanup.h"

void fits_deinit(struct fits *f)
{
	free(f->changed);
}

struct err *fits_read_changed(struct fits *f, const char *path)
{
	FILE *in = fopen(path, "re");
	size_t cap = 0;

	if (!in)
		return err_with(
			err_new(ERR_USAGE, "cannot open %s: %s", path, strerror(errno)),
			NULL, path);
	ssize_t n = getdelim(&f->changed, &cap, '\0', in);
	int failed = ferror(in) ? errno : 0;
	bool binary = n > 0 && !feof(in);

	fclose(in);
	if (failed)
		return err_sys(failed, "cannot read %s", path);
	if (binary)
		return err_new(ERR_USAGE, "%s is no text", path);
	if (n <= 0) {
		free(f->changed);
		f->changed = strdup("");
		return f->changed ? NULL : err_nomem();
	}
	f->changed_len = (size_t)n;
	for (size_t i = 0; i < f->changed_len; i++)
		if (f->changed[i] == '\n' || f->changed[i] == '\r')
			f->changed[i] = '\0';
	return NULL;
}

// Compiler's parts (f.cold, f.part.0) belong to the function.
static bool is_changed(const struct fits *f, const char *function)
{
	size_t len = strcspn(function, ".");

	for (size_t i = 0; i < f->changed_len; i += strlen(f->changed + i) + 1) {
		const char *line = f->changed + i + strspn(f->changed + i, " \t");
		size_t n = strcspn(line, " \t#");

		if (n && ((n == len && !strncmp(line, function, n)) ||
			  (n == strlen(function) && !strncmp(line, function, n))))
			return true;
	}
	return false;
}

// "main > loop > f", outermost first.
static struct err *in_the_way(const struct call_path *p, size_t at)
{
	_cleanup_free_ char *path = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&path, &len);

	if (!out)
		return err_nomem();
	for (size_t i = p->v.n; i-- > 0;)
		fprintf(out, "%s%s", i + 1 < p->v.n ? " > " : "",
			p->v.v[i].function ? p->v.v[i].function : "?");
	if (fclose(out))
		return err_nomem();
	return err_refuse("not-quiescent", p->v.v[at].function, "thread %d is in %s: %s",
			  p->tid, p->v.v[at].function, path);
}

static struct err *judge_paths(const struct fits *f, const struct call_paths *paths)
{
	vec_for_each(p, &paths->v) {
		for (size_t i = 0; i < p->v.n; i++)
			if (p->v.v[i].function && is_changed(f, p->v.v[i].function))
				return in_the_way(p, i);
		if (p->why)
			return err_refuse("not-quiescent", NULL,
					  "the call path of thread %d is not known to "
					  "its end: %s",
					  p->tid, p->why);
	}
	return NULL;
}

static struct err *judge_list(const struct fits *f, const struct stored *one)
{
	_cleanup_(checkpoint_deinit) struct checkpoint c = {0};

	TRY(checkpoint_open(f->store, one->path, false, &c));
	vec_for_each(core, &c.cores) {
		_cleanup_(symbolizer_freep) struct symbolizer *s = NULL;
		struct call_paths paths = {0};

		TRY(symbolizer_create(*core, c.store, &s));
		struct err *e = call_paths_read(s, &paths);
		if (!e)
			e = judge_paths(f, &paths);
		call_paths_deinit(&paths);
		TRY(e);
	}
	return NULL;
}

static struct err *judge_program(const struct fits *f, const struct stored *one)
{
	const struct molt_update_options update = {.debug_dir = f->debug_dir};
	const struct molt_restore_options opt = {.store = f->store,
						 .into = f->into,
						 .update = &update,
						 .dry_run = true,
						 .program_only = true};
	struct molt_report *r = molt_restore(one->path, &opt);
	struct err *e = NULL;

	if (!r)
		return err_nomem();
	if (r->verdict != MOLT_DONE)
		e = err_new(ERR_REFUSED, "%s", r->reason ? r->reason : "refused");
	molt_report_free(r);
	return e;
}

struct err *fits_judge(const struct fits *f, const struct stored *one)
{
	struct err *e = NULL;

	if (one->broken)
		return err_new(ERR_CORRUPT, "%s", one->broken->message);
	if (f->changed)
		e = judge_list(f, one);
	if (!e && f->into)
		e = judge_program(f, one);
	return e;
}
