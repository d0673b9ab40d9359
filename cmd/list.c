// SPDX-License-Identifier: GPL-2.0-or-later
// molt list: the checkpoints of a store.
#include <getopt.h>
#include <stdio.h>

#include "cmd/stored.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_STORE = OPT_VERB };

// Whether a checkpoint can be restored into a given program; nobody asked: both null.
struct fit {
	json_t *fits, *reason; // taken over
};

static struct fit judge(const struct stored *one)
{
	return (struct fit){json_null(), one->broken
						 ? cmd_json_string(one->broken->message)
						 : json_null()};
}

static json_t *row_json(const struct stored *one)
{
	const json_t *m = one->manifest;
	struct fit fit = judge(one);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", one->id,
			 "path", cmd_json_string(one->path), "time",
			 stored_json(m, "time"), "trigger", stored_json(m, "trigger"),
			 "bytes", stored_json(m, "bytes"), "parent",
			 stored_json(m, "parent"), "fits", fit.fits, "reason", fit.reason);
}

static int print_json(const struct verb *verb, const struct stored_list *l)
{
	json_t *o = cmd_json(verb), *rows = json_array();

	vec_for_each(one, &l->v)
		json_array_append_new(rows, row_json(one));
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

static int list(const struct verb *verb, const char *path, bool json)
{
	_cleanup_(stored_list_deinit) struct stored_list all = {};
	_cleanup_(store_closep) struct store *s = NULL;
	struct err *e = store_open(path, false, &s);

	if (!e)
		e = store_list(s, &all);
	if (e)
		return cmd_fail(verb, e, json);
	if (json)
		return print_json(verb, &all);
	if (!all.v.n)
		printf("there is no checkpoint in %s\n", shown(store_path(s)));
	else
		printf("%-7s %-19s  %9s  %-6s  %-10s  %-12s  %s\n", "ID", "TIME", "SIZE",
		       "PARENT", "TRIGGER", "NAME", "PROGRAM");
	vec_for_each(one, &all.v)
		print_row(one);
	return DONE;
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS, {"store", required_argument, NULL, OPT_STORE}, {}};
	const char *store = NULL;
	bool json = false;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			json = true;
			break;
		case OPT_STORE:
			store = optarg;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (optind != argc)
		return cmd_usage(verb, "it takes no argument");
	return list(verb, store, json);
}

const struct verb verb_list = {
	.name = "list",
	.summary = "Lists the checkpoints of a store",
	.synopsis = "[--store DIR] [--json]",
	.help = "Each with its id, time, size, parent, trigger, name and program.\n\n"
		"      --store DIR  the store; otherwise $MOLT_STORE or the default\n"
		"      --json       one JSON object\n"
		"  -h, --help       this text\n",
	.run = run_list,
};
