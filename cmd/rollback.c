// SPDX-License-Identifier: GPL-2.0-or-later
// molt rollback.
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

enum { OPT_STORE = OPT_VERB };

struct arguments {
	struct molt_rollback_options opt;
	bool json, verbose;
	struct progress progress;
};

static json_t *report_json(const struct verb *verb, const struct molt_report *r)
{
	json_t *o = cmd_json(verb);

	report_members(o, r);
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(o, "threads", json_integer(r->threads));
	json_object_set_new(o, "threads_ended", json_integer(r->threads_ended));
	json_object_set_new(o, "threads_made", json_integer(r->threads_made));
	json_object_set_new(o, "descriptors_closed", json_integer(r->descriptors_closed));
	json_object_set_new(o, "descriptors_made", json_integer(r->descriptors_made));
	json_object_set_new(o, "stop_us", json_real(r->stop_us));
	json_object_set_new(o, "compare_us", json_real(r->compare_us));
	return o;
}

static void print_done(const struct molt_report *r)
{
	const double mega = 1e6;

	printf("rolled back %d %s: %.1f MB, %u descriptor%s closed, stopped %.1f ms, "
	       "%.0f ms in "
	       "all\n",
	       (int)r->pid, shown(r->comm), (double)r->bytes / mega, r->descriptors_closed,
	       r->descriptors_closed == 1 ? "" : "s", r->stop_us / 1000, r->total_ms);
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

static int run(const struct verb *verb, struct arguments *a, pid_t pid,
	       const char *checkpoint)
{
	a->opt.progress = progress_text;
	a->opt.interrupted = signals_interrupted;
	a->opt.arg = &a->progress;
	signals_catch();
	progress_begin(&a->progress, a->verbose);
	struct molt_report *r = molt_rollback(pid, checkpoint, &a->opt);
	progress_end(&a->progress);
	if (!r)
		return cmd_fail(verb, err_nomem(), a->json);
	int code = print(verb, a->json, r);
	if (r->code && !strcmp(r->code, "interrupted"))
		signals_pass_on();
	molt_report_free(r);
	return code;
}

static int run_rollback(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"store", required_argument, NULL, OPT_STORE},
		{},
	};
	struct arguments a = {};
	int pid;

	for (int o; (o = getopt_long(argc, argv, "hv", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(verb);
		if (o == '?' || o == ':')
			return cmd_usage(verb, NULL);
		if (o == OPT_STORE)
			a.opt.store = optarg;
		a.json |= o == OPT_JSON;
		a.verbose |= o == 'v';
	}
	if (optind == argc)
		return cmd_usage(verb, "a pid is needed");
	if (argc - optind > 2)
		return cmd_usage(verb, "'%s' is one argument too many", argv[argc - 1]);
	struct err *e = parse_pid(argv[optind], &pid);
	if (e)
		return cmd_fail(verb, e, a.json);
	return run(verb, &a, pid, argc - optind == 2 ? argv[optind + 1] : NULL);
}

const struct verb verb_rollback = {
	.name = "rollback",
	.summary = "Puts a living process back to where it was at a checkpoint",
	.synopsis = "[OPTION]... PID [CHECKPOINT]",
	.help = "Memory, registers, threads, signals, timers and descriptors become "
		"those of "
		"the\ncheckpoint; the process id and connections that live stay. All or "
		"nothing.\nCHECKPOINT is an id, a name or a path; without it the newest "
		"of the "
		"store.\n\n"
		"      --store DIR      where checkpoints are kept\n"
		"      --json           one JSON object\n"
		"  -v, --verbose        say each step\n"
		"  -h, --help           this text\n",
	.run = run_rollback,
	.acts = true,
};
