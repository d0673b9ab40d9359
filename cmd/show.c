// SPDX-License-Identifier: GPL-2.0-or-later
// molt show: what a checkpoint holds; and the full core of one that builds on others.
#include "cmd/show.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/text.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_STORE = OPT_VERB, OPT_CORE, OPT_PID };

struct arguments {
	const char *store, *which, *core;
	int pid; // 0: the first
	bool json;
};

const json_t *show_file(const struct checkpoint *c, const json_t *descriptor)
{
	const json_t *objects = core_objects(c->cores.v[0]);
	json_int_t i = json_integer_value(json_object_get(descriptor, "file"));

	return i < 0 ? NULL : json_array_get(json_object_get(objects, "files"), (size_t)i);
}

static struct err *look(const struct checkpoint *c, size_t i, struct shown_process *p)
{
	p->core = c->cores.v[i];
	TRY(symbolizer_create(p->core, c->store, &p->symbols));
	return call_paths_read(p->symbols, &p->paths);
}

static int show(const struct verb *verb, const struct checkpoint *c, bool json)
{
	struct shown_process *v = calloc(c->cores.n, sizeof(*v));
	struct err *e = v ? NULL : err_nomem();
	int code = DONE;

	for (size_t i = 0; i < c->cores.n && !e; i++)
		e = look(c, i, &v[i]);
	if (e)
		code = cmd_fail(verb, e, json);
	else if (!json)
		show_print(c, v);
	else {
		json_t *o = cmd_json(verb), *members = show_json(c, v);

		json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
		json_object_update(o, members);
		json_decref(members);
		code = cmd_print_json(o, DONE);
	}
	for (size_t i = 0; v && i < c->cores.n; i++) {
		call_paths_deinit(&v[i].paths);
		symbolizer_free(v[i].symbols);
	}
	free(v);
	return code;
}

static struct err *find_core(const struct checkpoint *c, int pid, const struct core **ret)
{
	vec_for_each(core, &c->cores)
		if (!pid ||
		    json_integer_value(json_object_get(core_state(*core), "pid")) == pid) {
			*ret = *core;
			return NULL;
		}
	return err_new(ERR_USAGE, "checkpoint %s has no process %d", c->id, pid);
}

static struct err *write_core(const struct checkpoint *c, const struct arguments *a)
{
	_cleanup_(core_writer_freep) struct core_writer *w = NULL;
	const struct core *core = NULL;

	TRY(find_core(c, a->pid, &core));
	TRY(core_create(AT_FDCWD, a->core, &w));
	struct err *e = core_merge(core, w);
	if (e)
		unlink(a->core);
	return e;
}

static int run(const struct verb *verb, const struct arguments *a)
{
	struct checkpoint c;
	struct err *e = checkpoint_open(a->store, a->which, false, &c);

	if (e)
		return cmd_fail(verb, e, a->json);
	int code = DONE;
	if (!a->core) {
		code = show(verb, &c, a->json);
	} else if ((e = write_core(&c, a))) {
		code = cmd_fail(verb, e, a->json);
	} else if (a->json) {
		json_t *o = cmd_json(verb);

		json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
		json_object_set_new(o, "core", cmd_json_string(a->core));
		code = cmd_print_json(o, DONE);
	} else {
		printf("wrote %s\n", shown(a->core));
	}
	checkpoint_deinit(&c);
	return code;
}

static int run_show(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"store", required_argument, NULL, OPT_STORE},
		{"core", required_argument, NULL, OPT_CORE},
		{"pid", required_argument, NULL, OPT_PID},
		{}};
	struct arguments a = {};
	struct err *e = NULL;

	for (int o; !e && (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			a.json = true;
			break;
		case OPT_STORE:
			a.store = optarg;
			break;
		case OPT_CORE:
			a.core = optarg;
			break;
		case OPT_PID:
			e = parse_pid(optarg, &a.pid);
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (e)
		return cmd_fail(verb, e, a.json);
	if (argc - optind > 1)
		return cmd_usage(verb, "one checkpoint at a time");
	a.which = argv[optind]; // NULL: the newest
	return run(verb, &a);
}

const struct verb verb_show = {
	.name = "show",
	.summary = "Shows what a checkpoint holds",
	.synopsis = "[--store DIR] [--json] [--core OUT [--pid PID]] [CKPT]",
	.help = "Threads with their call paths, mappings, descriptors, signals and "
		"timers. CKPT "
		"is an id,\na name or a path; without it the newest.\n\n"
		"      --core OUT   write one full core that needs no other checkpoint "
		"and is "
		"not\n                   compressed, for gdb and others\n"
		"      --pid PID    the process whose core it is; otherwise the first\n"
		"      --store DIR  the store; otherwise $MOLT_STORE or the default\n"
		"      --json       one JSON object\n"
		"  -h, --help       this text\n",
	.run = run_show,
};
