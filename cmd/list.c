// SPDX-License-Identifier: GPL-2.0-or-later
// molt list: the checkpoints of a store.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fits.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_STORE = OPT_VERB, OPT_INTO, OPT_CHANGED, OPT_DEBUG };

// Not asked, or nothing is known: both null.
struct verdict {
	bool known, fits;
	char *reason;
};

static struct verdict judge(const struct fits *f, const struct stored *one)
{
	struct verdict v = {.known = fits_asked(f) && !one->broken};
	struct err *e = v.known ? fits_judge(f, one) : NULL;

	v.fits = v.known && !e;
	v.reason = e ? strdup(e->message)
		     : (one->broken ? strdup(one->broken->message) : NULL);
	err_free(e);
	return v;
}

static json_t *row_json(const struct fits *f, const struct stored *one)
{
	const json_t *m = one->manifest;
	struct verdict v = judge(f, one);
	json_t *reason = cmd_json_string(v.reason);

	free(v.reason);
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
			 one->id, "path", cmd_json_string(one->path), "name",
			 stored_json(m, "name"), "program", stored_json(m, "program"),
			 "time", stored_json(m, "time"), "trigger",
			 stored_json(m, "trigger"), "bytes", stored_json(m, "bytes"),
			 "parent", stored_json(m, "parent"), "fits",
			 v.known ? json_boolean(v.fits) : json_null(), "reason", reason);
}

static int print_json(const struct verb *verb, const struct fits *f,
		      const struct stored_list *l)
{
	json_t *o = cmd_json(verb), *rows = json_array();

	vec_for_each(one, &l->v)
		json_array_append_new(rows, row_json(f, one));
	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	json_object_set_new(o, "checkpoints", rows);
	return cmd_print_json(o, DONE);
}

static void print_row(const struct stored *one)
{
	char when[32], size[32], parent[32], program[4096], trigger[256], name[128];
	const json_t *m = one->manifest;

	if (one->broken) {
		printf("%-7s damaged: %s\n", one->id, shown(one->broken->message));
		return;
	}
	stored_time(m, when, sizeof(when));
	stored_size(m, size, sizeof(size));
	stored_text(m, "parent", parent, sizeof(parent));
	stored_text(m, "program", program, sizeof(program));
	stored_text(m, "trigger", trigger, sizeof(trigger));
	stored_text(m, "name", name, sizeof(name));
	printf("%-7s %-19s  %9s  %-6s  %-10s  %-12s  %s\n", one->id, when, size, parent,
	       trigger, name, program);
}

static void print_verdict(const struct fits *f, const struct stored *one)
{
	struct verdict v = judge(f, one);

	if (v.known && v.fits)
		printf("        fits\n");
	else if (v.known)
		printf("        does not fit: %s\n", shown(v.reason ? v.reason : "?"));
	free(v.reason);
}

static int list(const struct verb *verb, const struct fits *f, bool json)
{
	_cleanup_(stored_list_deinit) struct stored_list all = {};
	_cleanup_(store_closep) struct store *s = NULL;
	struct err *e = store_open(f->store, false, &s);

	if (!e)
		e = store_list(s, &all);
	if (e)
		return cmd_fail(verb, e, json);
	if (json)
		return print_json(verb, f, &all);
	if (!all.v.n)
		printf("there is no checkpoint in %s\n", shown(store_path(s)));
	else
		printf("%-7s %-19s  %9s  %-6s  %-10s  %-12s  %s\n", "ID", "TIME", "SIZE",
		       "PARENT", "TRIGGER", "NAME", "PROGRAM");
	vec_for_each(one, &all.v) {
		print_row(one);
		print_verdict(f, one);
	}
	return DONE;
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"store", required_argument, NULL, OPT_STORE},
		{"into", required_argument, NULL, OPT_INTO},
		{"changed", required_argument, NULL, OPT_CHANGED},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{}};
	_cleanup_(fits_deinit) struct fits fits = {};
	const char *changed = NULL;
	struct err *e = NULL;
	bool json = false;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			json = true;
			break;
		case OPT_STORE:
			fits.store = optarg;
			break;
		case OPT_INTO:
			fits.into = optarg;
			break;
		case OPT_CHANGED:
			changed = optarg;
			break;
		case OPT_DEBUG:
			fits.debug_dir = optarg;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (optind != argc)
		return cmd_usage(verb, "it takes no argument");
	if (fits.debug_dir)
		e = check_debug(fits.debug_dir);
	if (!e && fits.into)
		e = check_readable(fits.into);
	if (!e && changed)
		e = fits_read_changed(&fits, changed);
	if (e)
		return cmd_fail(verb, e, json);
	return list(verb, &fits, json);
}

const struct verb verb_list = {
	.name = "list",
	.summary = "Lists the checkpoints of a store",
	.synopsis = "[--store DIR] [--into NEW] [--changed FILE] [--json]",
	.help = "Each with its id, time, size, parent, trigger, name and program.\n\n"
		"      --store DIR     the store; otherwise $MOLT_STORE or the default\n"
		"      --into NEW      says of each whether it can be restored into NEW, "
		"and why "
		"not\n"
		"      --changed FILE  the same by a list of changed functions, one a "
		"line\n"
		"      --debug DIR     looked into first for separate debug files\n"
		"      --json          one JSON object\n"
		"  -h, --help          this text\n",
	.run = run_list,
};
