// SPDX-License-Identifier: GPL-2.0-or-later
// molt checkpoint.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/report.h"
#include "cmd/signals.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "include/molt.h"
#include "util/cleanup.h"
#include "util/vec.h"

enum {
	OPT_STORE = OPT_VERB,
	OPT_NAME,
	OPT_PARENT,
	OPT_STOP,
	OPT_KILL,
	OPT_TREE,
	OPT_COMPRESS,
	OPT_NO_DONTDUMP,
	OPT_SKIP,
};

struct arguments {
	struct molt_checkpoint_options opt;
	VEC(const char *) skip;
	bool json, verbose;
	struct progress progress;
};

static void arguments_deinit(struct arguments *a)
{
	vec_free(&a->skip);
}

static struct err *take_after(struct arguments *a, enum molt_after after)
{
	if (a->opt.after != MOLT_GO_ON && a->opt.after != after)
		return err_new(ERR_USAGE, "--stop and --kill exclude each other");
	a->opt.after = after;
	return NULL;
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
	case OPT_STORE:
		a->opt.store = optarg;
		return NULL;
	case OPT_NAME:
		a->opt.name = optarg;
		return NULL;
	case OPT_PARENT:
		a->opt.parent = optarg;
		return NULL;
	case OPT_STOP:
		return take_after(a, MOLT_STOP);
	case OPT_KILL:
		return take_after(a, MOLT_KILL);
	case OPT_TREE:
		a->opt.tree = true;
		return NULL;
	case OPT_COMPRESS:
		a->opt.compress = true;
		return NULL;
	case OPT_NO_DONTDUMP:
		a->opt.no_dontdump = true;
		return NULL;
	case OPT_SKIP:
		return vec_push(&a->skip, optarg);
	default:
		return err_new(ERR_INTERNAL, "option %d is not handled", o);
	}
}

static json_t *report_json(const struct verb *verb, const struct molt_report *r)
{
	json_t *o = cmd_json(verb);

	report_members(o, r);
	json_object_set_new(o, "id", cmd_json_string(r->checkpoint_id));
	json_object_set_new(o, "path", cmd_json_string(r->checkpoint_path));
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(o, "processes", json_integer(r->saved_processes));
	json_object_set_new(o, "threads", json_integer(r->threads));
	json_object_set_new(o, "stop_us", json_real(r->stop_us));
	json_object_set_new(o, "stop2_us", json_real(r->stop2_us));
	return o;
}

static void print_done(const struct molt_report *r)
{
	const double mega = 1e6;

	printf("saved %d %s as %s: ", (int)r->pid, shown(r->comm), r->checkpoint_id);
	if (r->saved_processes != 1)
		printf("%u processes, ", r->saved_processes);
	printf("%u thread%s, %.1f MB, stopped %.1f ms, %.0f ms in all\n", r->threads,
	       r->threads == 1 ? "" : "s", (double)r->bytes / mega, r->stop_us / 1000,
	       r->total_ms);
}

static int print(const struct verb *verb, bool json, const struct molt_report *r)
{
	if (json)
		return report_print_json(verb, report_json(verb, r), (int)r->verdict);
	report_print_notes(stdout, r);
	if (r->verdict != MOLT_DONE)
		return report_print_failure(r);
	print_done(r);
	return DONE;
}

static int run(const struct verb *verb, struct arguments *a, pid_t pid)
{
	a->opt.skip = a->skip.v;
	a->opt.n_skip = a->skip.n;
	a->opt.progress = progress_text;
	a->opt.interrupted = signals_interrupted;
	a->opt.arg = &a->progress;
	signals_catch();
	progress_begin(&a->progress, a->verbose);
	struct molt_report *r = molt_checkpoint(pid, &a->opt);
	progress_end(&a->progress);
	if (!r)
		return cmd_fail(verb, err_nomem(), a->json);
	int code = print(verb, a->json, r);
	if (r->code && !strcmp(r->code, "interrupted"))
		signals_pass_on();
	molt_report_free(r);
	return code;
}

static int run_checkpoint(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"store", required_argument, NULL, OPT_STORE},
		{"name", required_argument, NULL, OPT_NAME},
		{"parent", required_argument, NULL, OPT_PARENT},
		{"stop", no_argument, NULL, OPT_STOP},
		{"kill", no_argument, NULL, OPT_KILL},
		{"tree", no_argument, NULL, OPT_TREE},
		{"compress", no_argument, NULL, OPT_COMPRESS},
		{"no-dontdump", no_argument, NULL, OPT_NO_DONTDUMP},
		{"skip", required_argument, NULL, OPT_SKIP},
		{},
	};
	_cleanup_(arguments_deinit) struct arguments a = {};
	int pid;

	for (int o; (o = getopt_long(argc, argv, "hv", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(verb);
		if (o == '?' || o == ':')
			return cmd_usage(verb, NULL);
		struct err *e = parse_option(&a, o);
		if (e)
			return cmd_fail(verb, e, a.json);
	}
	if (optind == argc)
		return cmd_usage(verb, "a pid is needed");
	if (argc - optind > 1)
		return cmd_usage(verb, "'%s' is one argument too many", argv[argc - 1]);
	struct err *e = parse_pid(argv[optind], &pid);
	if (e)
		return cmd_fail(verb, e, a.json);
	return run(verb, &a, pid);
}

const struct verb verb_checkpoint = {
	.name = "checkpoint",
	.summary = "Saves a running process as a file, from which it can be restored",
	.synopsis = "[OPTION]... PID",
	.help = "The process goes on, whatever happens to molt.\n\n"
		"      --store DIR      where checkpoints are kept\n"
		"      --name NAME      a name for it besides its number\n"
		"      --stop           leave the process in a job-control stop (SIGCONT "
		"lets "
		"it go on)\n"
		"      --kill           end it once the checkpoint is on disk\n"
		"      --tree           with all its descendants, as one checkpoint\n"
		"      --parent ID      store only what changed since this checkpoint\n"
		"      --compress       with zstd\n"
		"      --no-dontdump    leave out memory that the program marked "
		"MADV_DONTDUMP\n"
		"      --skip KIND      go without descriptors of this kind; may be "
		"given more "
		"than\n"
		"                       once\n"
		"      --json           one JSON object\n"
		"  -v, --verbose        say each step\n"
		"  -h, --help           this text\n",
	.run = run_checkpoint,
	.acts = true,
};
