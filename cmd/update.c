// SPDX-License-Identifier: GPL-2.0-or-later
// molt update, molt plan and molt revert: the same options, the same report.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/confirm.h"
#include "cmd/report.h"
#include "cmd/signals.h"
#include "cmd/targets.h"
#include "cmd/text.h"
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
	OPT_LOST,
	OPT_TREE,
	OPT_MODULE,
	OPT_NO_MODULES,
	OPT_CONFIRM,
	OPT_HEALTH,
	OPT_TO,
};

struct arguments {
	struct molt_update_options opt;
	VEC(const char *) keep_old;
	VEC(struct molt_module) modules;
	VEC(char *) names; // that modules refer to
	struct confirmation confirmation;
	bool json, verbose;
	struct targets targets;
	int to; // generation
	const char *new_path;
	bool library; // the last of the modules is what --exe named
};

typedef VEC(struct molt_report *) report_list;

static void reports_deinit(report_list *l)
{
	vec_for_each(r, l)
		molt_report_free(*r);
	vec_free(l);
}

static void arguments_deinit(struct arguments *a)
{
	vec_free(&a->keep_old);
	vec_for_each(n, &a->names)
		free(*n);
	vec_free(&a->names);
	vec_free(&a->modules);
	targets_deinit(&a->targets);
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
	if (targets_option(&a->targets, o, optarg))
		return NULL;
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
	case OPT_NO_MODULES:
		a->opt.named_only = true;
		return NULL;
	case OPT_MODULE:
		return parse_module(a, optarg);
	case OPT_DEBUG:
		a->opt.debug_dir = optarg;
		return check_debug(optarg);
	case OPT_HOLES:
		a->opt.allow_holes = true;
		return NULL;
	case OPT_LOST:
		a->opt.allow_lost = true;
		return NULL;
	case OPT_TREE:
		a->opt.tree = true;
		return NULL;
	case OPT_CONFIRM:
		return parse_seconds(optarg, &a->confirmation.seconds);
	case OPT_HEALTH:
		a->confirmation.health = optarg;
		return NULL;
	case OPT_TO:
		return parse_generation(optarg, &a->to);
	default:
		return err_new(ERR_INTERNAL, "option %d is not handled", o);
	}
}

static bool is_plan(const struct verb *verb)
{
	return !strcmp(verb->name, "plan");
}

static bool is_revert(const struct verb *verb)
{
	return !strcmp(verb->name, "revert");
}

static struct molt_report *carry_out(const struct verb *verb, const struct arguments *a,
				     pid_t pid)
{
	if (is_revert(verb))
		return molt_revert(pid, a->to, &a->opt);
	if (is_plan(verb))
		return molt_plan(pid, a->new_path, &a->opt);
	struct molt_report *r = molt_update(pid, a->new_path, &a->opt);
	if (r && r->verdict == MOLT_DONE && !r->already && a->confirmation.health) {
		progress_say(a->opt.arg, "waiting for the health command");
		confirm_or_revert(&a->confirmation, &a->opt, r);
	}
	return r;
}

static struct molt_report *run_one(const struct verb *verb, struct arguments *a, pid_t pid)
{
	struct progress progress;

	a->opt.arg = &progress;
	progress_begin(&progress, a->verbose);
	struct molt_report *r = carry_out(verb, a, pid);
	progress_end(&progress);
	return r;
}

// --exe of a library: where its path leads to none that the process has, as after an update into it, its name does.
static struct molt_report *run_library(const struct verb *verb, struct arguments *a,
				       pid_t pid)
{
	struct molt_module *m = &a->modules.v[a->modules.n - 1];
	const char *path = m->old, *slash = strrchr(path, '/');
	struct molt_report *r = run_one(verb, a, pid);

	if (!slash || !r || !r->code || strcmp(r->code, "no-such-module"))
		return r;
	molt_report_free(r);
	m->old = slash + 1;
	r = run_one(verb, a, pid);
	m->old = path;
	return r;
}

static bool was_interrupted(const struct molt_report *r)
{
	return r->code && !strcmp(r->code, "interrupted");
}

// Each process has its own verdict; what is wrong with one keeps no other from being updated.
static int run_all(const struct verb *verb, struct arguments *a)
{
	_cleanup_(reports_deinit) report_list reports = {0};

	vec_for_each(pid, &a->targets.pids) {
		struct molt_report *r =
			a->library ? run_library(verb, a, *pid) : run_one(verb, a, *pid);
		struct err *e = r ? vec_push(&reports, r) : err_nomem();

		if (e) {
			molt_report_free(r);
			return cmd_fail(verb, e, a->json);
		}
		if (!a->json)
			report_print(verb, false, a->opt.tree, r);
		if (was_interrupted(r))
			break;
	}
	int code = reports_print(verb, a->json, a->opt.tree, reports.v, reports.n);
	if (reports.n && was_interrupted(reports.v[reports.n - 1]))
		signals_pass_on();
	return code;
}

static int run(const struct verb *verb, struct arguments *a)
{
	a->opt.keep_old = a->keep_old.v;
	a->opt.n_keep_old = a->keep_old.n;
	a->opt.modules = a->modules.v;
	a->opt.n_modules = a->modules.n;
	a->opt.progress = progress_text;
	a->opt.interrupted = signals_interrupted;
	if (verb->acts)
		signals_catch();
	if (!targets_one(&a->targets))
		return run_all(verb, a);
	struct molt_report *r = run_one(verb, a, a->targets.pids.v[0]);
	if (!r)
		return cmd_fail(verb, err_nomem(), a->json);
	int code = report_print(verb, a->json, a->opt.tree, r);
	if (was_interrupted(r))
		signals_pass_on();
	molt_report_free(r);
	return code;
}

// --exe named a library: NEW is its new file.
static struct err *take_library(struct arguments *a)
{
	struct molt_module m = {.old = a->targets.exe, .new_path = a->new_path};

	a->new_path = NULL;
	a->library = true;
	return vec_push(&a->modules, m);
}

// NEW and the pid in the wrong order.
static bool is_swapped(const char *pid, const char *new_path)
{
	int n;
	_cleanup_(err_freep) struct err *first = parse_pid(pid, &n);
	_cleanup_(err_freep) struct err *second = parse_pid(new_path, &n);

	return first && !second;
}

static int run_update(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		TARGET_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"wait", required_argument, NULL, OPT_WAIT},
		{"at", required_argument, NULL, OPT_AT},
		{"keep-old", required_argument, NULL, OPT_KEEP_OLD},
		{"module", required_argument, NULL, OPT_MODULE},
		{"no-modules", no_argument, NULL, OPT_NO_MODULES},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{"allow-holes", no_argument, NULL, OPT_HOLES},
		{"allow-lost", no_argument, NULL, OPT_LOST},
		{"tree", no_argument, NULL, OPT_TREE},
		{"confirm", required_argument, NULL, OPT_CONFIRM},
		{"health", required_argument, NULL, OPT_HEALTH},
		{"to", required_argument, NULL, OPT_TO},
		{},
	};
	_cleanup_(arguments_deinit) struct arguments a = {.to = MOLT_PREVIOUS};

	for (int o; (o = getopt_long(argc, argv, "hv", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(verb);
		if (o == '?' || o == ':')
			return cmd_usage(verb, NULL);
		struct err *e = parse_option(&a, o);
		if (e)
			return cmd_fail(verb, e, a.json);
	}
	if (a.to != MOLT_PREVIOUS && !is_revert(verb))
		return cmd_usage(verb, "--to is for molt revert");
	if (!a.confirmation.health != !(a.confirmation.seconds > 0) ||
	    (a.confirmation.health && (is_revert(verb) || is_plan(verb))))
		return cmd_usage(verb, "--confirm SECONDS and --health COMMAND belong "
				       "together, in molt update");
	int used = a.targets.exe || a.targets.unit ? 0 : 1;
	int n_new = argc - optind - used;
	if (n_new > !is_revert(verb))
		return cmd_usage(verb, "'%s' is one argument too many", argv[argc - 1]);
	if (is_revert(verb) && (n_new || a.modules.n))
		return cmd_usage(verb, "one pid (or --exe, --unit) is needed");
	if (!is_revert(verb) && n_new == 1 && used &&
	    is_swapped(argv[optind], argv[optind + 1]))
		return cmd_usage(verb, "the pid comes first: %s %s", argv[optind + 1],
				 argv[optind]);
	if (!is_revert(verb) && n_new != 1 && (n_new != 0 || !a.modules.n))
		return cmd_usage(verb, "a pid (or --exe, --unit) and the new program (or "
				       "--module) are needed");
	struct err *e = targets_find(&a.targets, argv[optind], a.opt.tree);
	a.new_path = argv[optind + used]; // NULL: modules alone
	if (!e && a.targets.library && a.new_path)
		e = take_library(&a);
	if (e)
		return cmd_fail(verb, e, a.json);
	return run(verb, &a);
}

#define SHARED_HELP                                                                      \
	TARGET_HELP                                                                      \
	"      --tree           with all descendants that run the same program: all or " \
	"none\n"                                                                         \
	"      --keep-old FUNC  let active frames of FUNC go on in their old body; may " \
	"be\n"                                                                           \
	"                       given more than once\n"                                  \
	"      --module OLD=NEW update a shared library of the process (by path, file "  \
	"name or\n"                                                                      \
	"                       soname) in the same stop; may be given more than once\n" \
	"      --no-modules     leave libraries that lie beside NEW as they are\n"       \
	"      --allow-holes    take new structure members that fill a hole or tail "    \
	"padding\n"                                                                      \
	"      --allow-lost     let variables that NEW lacks go, with what they hold\n"  \
	"      --debug DIR      look here first for separate debug files\n"              \
	"      --json           one JSON object\n"                                       \
	"  -v, --verbose        say each step\n"                                         \
	"  -h, --help           this text\n"

const struct verb verb_update = {
	.name = "update",
	.summary = "Moves a running process into a new build of its program",
	.synopsis = "[OPTION]... PID|--exe PATH|--unit NAME [NEW]",
	.help = "Everything that can be refused is refused before the process is "
		"touched; "
		"what fails\n"
		"inside the stop is put back.\n\n"
		"      --wait SECONDS   how long to wait until no thread is in changed "
		"code "
		"(5)\n"
		"      --at FUNC        update at the moment when FUNC "
		"returns\n"
		"      --confirm SECONDS --health COMMAND\n"
		"                       go back unless COMMAND (sh -c, with MOLT_PID) "
		"succeeds in time\n" SHARED_HELP,
	.run = run_update,
	.acts = true,
};

const struct verb verb_revert = {
	.name = "revert",
	.summary = "Moves an updated process back to the program of before",
	.synopsis = "[OPTION]... PID|--exe PATH|--unit NAME",
	.help = "Undoes the last update, with the checks of an update; a second revert "
		"undoes the first.\n\n"
		"      --to GENERATION  back to an earlier one; 'molt status PID' lists "
		"them\n"
		"      --wait SECONDS   as for update\n"
		"      --at FUNC        as for update\n" SHARED_HELP,
	.run = run_update,
	.acts = true,
};

const struct verb verb_plan = {
	.name = "plan",
	.summary = "Says what update would do and refuse, without stopping the process",
	.synopsis = "[OPTION]... PID|--exe PATH|--unit NAME [NEW]",
	.help = "      --wait SECONDS   as for update; has no effect here\n"
		"      --at FUNC        as for update\n" SHARED_HELP,
	.run = run_update,
};
