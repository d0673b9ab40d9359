// SPDX-License-Identifier: GPL-2.0-or-later
// molt update and molt plan: the same options, the same report.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/signals.h"
#include "cmd/verbs.h"
#include "include/molt.h"
#include "util/cleanup.h"
#include "util/vec.h"

enum {
	OPT_WAIT = OPT_VERB,
	OPT_AT,
	OPT_KEEP_OLD,
	OPT_DEBUG,
	OPT_HOLES,
	OPT_TREE,
	OPT_MODULE,
};

struct arguments {
	struct molt_update_options opt;
	VEC(const char *) keep_old;
	VEC(struct molt_module) modules;
	VEC(char *) names; // that modules refer to
	bool json, verbose;
	int pid;
	const char *new_path;
};

static void arguments_deinit(struct arguments *a)
{
	vec_free(&a->keep_old);
	vec_for_each(n, &a->names)
		free(*n);
	vec_free(&a->names);
	vec_free(&a->modules);
}

static json_t *functions_json(const struct molt_functions *f)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "same", (json_int_t)f->same,
			 "imm_only", (json_int_t)f->imm_only, "ref_only",
			 (json_int_t)f->ref_only, "code", (json_int_t)f->code, "added",
			 (json_int_t)f->added, "removed", (json_int_t)f->removed);
}

static json_t *string_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *report_json(const struct molt_report *r, json_t *o)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < r->n_notes; i++)
		json_array_append_new(notes, json_string(r->notes[i]));
	json_object_set_new(o, "verdict", json_string(verdict_of((int)r->verdict)));
	json_object_set_new(o, "code", string_or_null(r->code));
	json_object_set_new(o, "reason", string_or_null(r->reason));
	json_object_set_new(o, "object", string_or_null(r->object));
	json_object_set_new(o, "pid", json_integer(r->pid));
	json_object_set_new(o, "comm", json_string(r->comm));
	json_object_set_new(o, "generation", json_integer(r->generation));
	json_object_set_new(o, "old_build_id", json_string(r->old_build_id));
	json_object_set_new(o, "new_build_id", json_string(r->new_build_id));
	json_object_set_new(o, "threads", json_integer(r->threads));
	json_object_set_new(o, "functions", functions_json(&r->functions));
	json_object_set_new(o, "stop_us", json_real(r->stop_us));
	json_object_set_new(o, "stop_parts_us",
			    json_pack("{s:f, s:f, s:f, s:f}", "freeze", r->freeze_us,
				      "judge", r->judge_us, "commit", r->commit_us,
				      "thaw", r->thaw_us));
	json_object_set_new(o, "stop2_us", json_real(r->stop2_us));
	json_object_set_new(o, "total_ms", json_real(r->total_ms));
	json_object_set_new(o, "attempts", json_integer(r->attempts));
	json_object_set_new(o, "notes", notes);
	return o;
}

static json_t *processes_json(const struct molt_report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_processes; i++)
		json_array_append_new(list, report_json(r->processes[i], json_object()));
	return list;
}

static int print_json(const struct verb *verb, const struct arguments *a,
		      const struct molt_report *r)
{
	json_t *o = report_json(r, cmd_json(verb));

	if (a->opt.tree)
		json_object_set_new(o, "processes", processes_json(r));
	return cmd_print_json(o, (int)r->verdict);
}

static size_t changed(const struct molt_functions *f)
{
	return f->imm_only + f->ref_only + f->code + f->added + f->removed;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_done(const struct verb *verb, const struct molt_report *r)
{
	size_t n = changed(&r->functions);

	if (!strcmp(verb->name, "plan"))
		printf("can update %d %s: %zu function%s changed (%zu code, %zu "
		       "reference, %zu "
		       "immediate, %zu added, %zu removed), %u thread%s\n",
		       (int)r->pid, r->comm, n, plural(n), r->functions.code,
		       r->functions.ref_only, r->functions.imm_only, r->functions.added,
		       r->functions.removed, r->threads, plural(r->threads));
	else
		printf("updated %d %s: %zu function%s changed, %u thread%s, stopped %.1f "
		       "ms\n",
		       (int)r->pid, r->comm, n, plural(n), r->threads, plural(r->threads),
		       r->stop_us / 1000);
}

static int print_failure(const struct molt_report *r)
{
	fprintf(stderr, "molt: %s", r->reason ? r->reason : "failed");
	if (r->code)
		fprintf(stderr, " [%s]\nmolt: 'molt explain %s' says what to do", r->code,
			r->code);
	fputc('\n', stderr);
	return (int)r->verdict;
}

static bool has_note(const struct molt_report *r, const char *text)
{
	for (size_t i = 0; i < r->n_notes; i++)
		if (!strcmp(r->notes[i], text))
			return true;
	return false;
}

static bool told_before(const struct molt_report *r, size_t process, const char *text)
{
	for (size_t i = 0; i < process; i++)
		if (has_note(r->processes[i], text))
			return true;
	return false;
}

// What concerns the program is in each process's notes.
static void print_notes(const struct molt_report *r)
{
	for (size_t i = 0; i < r->n_notes; i++)
		printf("note: %s\n", r->notes[i]);
	for (size_t p = 0; p < r->n_processes; p++) {
		const struct molt_report *one = r->processes[p];

		for (size_t i = 0; i < one->n_notes; i++)
			if (!told_before(r, p, one->notes[i]))
				printf("note: %s\n", one->notes[i]);
	}
}

static int print_report(const struct verb *verb, const struct arguments *a,
			const struct molt_report *r)
{
	if (a->json)
		return print_json(verb, a, r);
	print_notes(r);
	if (r->verdict != MOLT_DONE)
		return print_failure(r);
	for (size_t i = 0; i < r->n_processes; i++)
		print_done(verb, r->processes[i]);
	if (!a->opt.tree)
		print_done(verb, r);
	else
		printf("%s %zu process%s, %u thread%s\n",
		       strcmp(verb->name, "plan") ? "updated" : "can update",
		       r->n_processes, r->n_processes == 1 ? "" : "es", r->threads,
		       plural(r->threads));
	return DONE;
}

static void say(void *arg, const char *text)
{
	progress_say(arg, "%s", text);
}

static bool interrupted(void *arg)
{
	(void)arg;
	return signals_came();
}

// "OLD=NEW"
static struct err *parse_module(struct arguments *a, const char *text)
{
	const char *eq = strchr(text, '=');
	struct molt_module m = {.new_path = eq ? eq + 1 : NULL};

	if (!eq || eq == text || !eq[1])
		return err_new(ERR_USAGE,
			       "--module takes OLD=NEW, a library of the process and its "
			       "new file, not '%s'",
			       text);
	char *name = strndup(text, (size_t)(eq - text));
	struct err *e = name ? vec_push(&a->names, name) : err_nomem();
	if (e) {
		free(name);
		return e;
	}
	m.old = name;
	return vec_push(&a->modules, m);
}

static struct err *parse_option(struct arguments *a, int o)
{
	switch (o) {
	case 'v':
		a->verbose = true;
		return NULL;
	case OPT_JSON:
		a->json = true;
		return NULL;
	case OPT_WAIT:
		TRY(parse_seconds(optarg, &a->opt.wait_seconds));
		if (a->opt.wait_seconds ==
		    0) // to the library 0 is the default; here: one attempt
			a->opt.wait_seconds = 1e-6;
		return NULL;
	case OPT_AT:
		a->opt.at = optarg;
		return NULL;
	case OPT_KEEP_OLD:
		return vec_push(&a->keep_old, optarg);
	case OPT_MODULE:
		return parse_module(a, optarg);
	case OPT_DEBUG:
		a->opt.debug_dir = optarg;
		return NULL;
	case OPT_HOLES:
		a->opt.allow_holes = true;
		return NULL;
	case OPT_TREE:
		a->opt.tree = true;
		return NULL;
	default:
		return err_new(ERR_INTERNAL, "option %d is not handled", o);
	}
}

static int run(const struct verb *verb, struct arguments *a)
{
	struct progress progress;
	bool plan = !strcmp(verb->name, "plan");

	a->opt.keep_old = a->keep_old.v;
	a->opt.n_keep_old = a->keep_old.n;
	a->opt.modules = a->modules.v;
	a->opt.n_modules = a->modules.n;
	a->opt.progress = say;
	a->opt.interrupted = interrupted;
	a->opt.arg = &progress;
	if (verb->acts)
		signals_catch();
	progress_begin(&progress, a->verbose);
	struct molt_report *r = plan ? molt_plan(a->pid, a->new_path, &a->opt)
				     : molt_update(a->pid, a->new_path, &a->opt);
	progress_end(&progress);
	if (!r)
		return cmd_fail(verb, err_nomem(), a->json);
	int code = print_report(verb, a, r);
	if (r->code && !strcmp(r->code, "interrupted"))
		signals_pass_on();
	molt_report_free(r);
	return code;
}

static int run_update(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"wait", required_argument, NULL, OPT_WAIT},
		{"at", required_argument, NULL, OPT_AT},
		{"keep-old", required_argument, NULL, OPT_KEEP_OLD},
		{"module", required_argument, NULL, OPT_MODULE},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{"allow-holes", no_argument, NULL, OPT_HOLES},
		{"tree", no_argument, NULL, OPT_TREE},
		{},
	};
	_cleanup_(arguments_deinit) struct arguments a = {};

	for (int o; (o = getopt_long(argc, argv, "hv", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(verb);
		if (o == '?' || o == ':')
			return cmd_usage(verb, NULL);
		struct err *e = parse_option(&a, o);
		if (e)
			return cmd_fail(verb, e, a.json);
	}
	if (argc - optind != 2 && (argc - optind != 1 || !a.modules.n))
		return cmd_usage(verb,
				 "a pid and the new program are needed (or --module)");
	struct err *e = parse_pid(argv[optind], &a.pid);
	if (e)
		return cmd_fail(verb, e, a.json);
	a.new_path = argv[optind + 1]; // NULL: modules alone
	return run(verb, &a);
}

#define SHARED_HELP                                                                      \
	"      --tree           with all descendants that run the same program: all or " \
	"none\n"                                                                         \
	"      --keep-old FUNC  let active frames of FUNC go on in their old body; may " \
	"be\n"                                                                           \
	"                       given more than once\n"                                  \
	"      --module OLD=NEW update a shared library of the process (by path, file "  \
	"name or\n"                                                                      \
	"                       soname) in the same stop; may be given more than once\n" \
	"      --allow-holes    take new structure members that fill a hole or tail "    \
	"padding\n"                                                                      \
	"      --debug DIR      look here first for separate debug files\n"              \
	"      --json           one JSON object\n"                                       \
	"  -v, --verbose        say each step\n"                                         \
	"  -h, --help           this text\n"

const struct verb verb_update = {
	.name = "update",
	.summary = "Moves a running process into a new build of its program",
	.synopsis = "[OPTION]... PID [NEW]",
	.help = "Everything that can be refused is refused before the process is "
		"touched; "
		"what fails\n"
		"inside the stop is put back.\n\n"
		"      --wait SECONDS   how long to wait until no thread is in changed "
		"code "
		"(5)\n"
		"      --at FUNC        update at the moment when FUNC "
		"returns\n" SHARED_HELP,
	.run = run_update,
	.acts = true,
};

const struct verb verb_plan = {
	.name = "plan",
	.summary = "Says what update would do and refuse, without stopping the process",
	.synopsis = "[OPTION]... PID [NEW]",
	.help = "      --wait SECONDS   as for update; has no effect here\n"
		"      --at FUNC        as for update\n" SHARED_HELP,
	.run = run_update,
};
