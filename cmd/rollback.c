// SPDX-License-Identifier: GPL-2.0-or-later
// molt rollback.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

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

static void say(void *arg, const char *text)
{
	progress_say(&((struct arguments *)arg)->progress, "%s", text);
}

static bool interrupted(void *arg)
{
	(void)arg;
	return signals_came();
}

static json_t *report_json(const struct verb *verb, const struct molt_report *r)
{
	json_t *o = cmd_json(verb), *notes = json_array();

	for (size_t i = 0; i < r->n_notes; i++)
		json_array_append_new(notes, cmd_json_string(r->notes[i]));
	json_object_set_new(o, "verdict", json_string(verdict_of((int)r->verdict)));
	json_object_set_new(o, "code", cmd_json_string(r->code));
	json_object_set_new(o, "reason", cmd_json_string(r->reason));
	json_object_set_new(o, "object", cmd_json_string(r->object));
	json_object_set_new(o, "pid", json_integer(r->pid));
	json_object_set_new(o, "comm", cmd_json_string(r->comm));
	json_object_set_new(o, "generation", json_integer(r->generation));
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(o, "threads", json_integer(r->threads));
	json_object_set_new(o, "threads_ended", json_integer(r->threads_ended));
	json_object_set_new(o, "threads_made", json_integer(r->threads_made));
	json_object_set_new(o, "descriptors_closed", json_integer(r->descriptors_closed));
	json_object_set_new(o, "descriptors_made", json_integer(r->descriptors_made));
	json_object_set_new(o, "stop_us", json_real(r->stop_us));
	json_object_set_new(o, "compare_us", json_real(r->compare_us));
	json_object_set_new(o, "total_ms", json_real(r->total_ms));
	json_object_set_new(o, "notes", notes);
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
	if (json) {
		// What was done is done when there is no memory to tell of it.
		cmd_print_json(report_json(verb, r), (int)r->verdict);
		return (int)r->verdict;
	}
	for (size_t i = 0; i < r->n_notes; i++)
		printf("note: %s\n", shown(r->notes[i]));
	if (r->verdict == MOLT_DONE) {
		print_done(r);
		return DONE;
	}
	fprintf(stderr, "molt: %s", r->reason ? r->reason : "failed");
	if (r->code)
		fprintf(stderr, " [%s]\nmolt: 'molt explain %s' says what to do", r->code,
			r->code);
	fputc('\n', stderr);
	return (int)r->verdict;
}

static int run(const struct verb *verb, struct arguments *a, pid_t pid,
	       const char *checkpoint)
{
	a->opt.progress = say;
	a->opt.interrupted = interrupted;
	a->opt.arg = a;
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
