// SPDX-License-Identifier: GPL-2.0-or-later
// molt restore: brings a saved process back, and stands for it while it runs.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/report.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "include/molt.h"
#include "os/ptrace.h"
#include "util/cleanup.h"
#include "util/vec.h"

enum {
	OPT_STORE = OPT_VERB,
	OPT_INTO,
	OPT_REPLACE,
	OPT_PID_ANY,
	OPT_DETACH,
	OPT_EAGER,
	OPT_WAIT_RESIDENT,
	OPT_FILES,
	OPT_TCP_CLOSE,
	OPT_DRY_RUN,
	OPT_KEEP_OLD,
	OPT_DEBUG,
	OPT_HOLES,
	OPT_LOST,
};

struct arguments {
	struct molt_restore_options opt;
	struct molt_update_options update;
	VEC(const char *) keep_old;
	const char *checkpoint;
	bool detach, json, verbose;
};

static void arguments_deinit(struct arguments *a)
{
	vec_free(&a->keep_old);
}

static struct err *parse_files(const char *text, enum molt_files *ret)
{
	static const char *const words[] = {
		[MOLT_FILES_EXACT] = "exact",
		[MOLT_FILES_APPEND_OK] = "append-ok",
		[MOLT_FILES_ANY] = "any",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(text, words[i])) {
			*ret = (enum molt_files)i;
			return NULL;
		}
	return err_new(ERR_USAGE, "--files takes exact, append-ok or any, not '%s'", text);
}

static struct err *parse_option(struct arguments *a, int o)
{
	int pid;

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
	case OPT_INTO:
		a->opt.into = optarg;
		return NULL;
	case OPT_REPLACE:
		TRY(parse_pid(optarg, &pid));
		a->opt.replace = pid;
		return NULL;
	case OPT_PID_ANY:
		a->opt.pid_any = true;
		return NULL;
	case OPT_DETACH:
		a->detach = true;
		return NULL;
	case OPT_EAGER:
		a->opt.eager = true;
		return NULL;
	case OPT_WAIT_RESIDENT:
		a->opt.wait_resident = true;
		return NULL;
	case OPT_FILES:
		return parse_files(optarg, &a->opt.files);
	case OPT_DRY_RUN:
		a->opt.dry_run = true;
		return NULL;
	case OPT_TCP_CLOSE:
		a->opt.tcp_close = true;
		return NULL;
	case OPT_KEEP_OLD:
		return vec_push(&a->keep_old, optarg);
	case OPT_DEBUG:
		a->update.debug_dir = optarg;
		return check_debug(optarg);
	case OPT_HOLES:
		a->update.allow_holes = true;
		return NULL;
	case OPT_LOST:
		a->update.allow_lost = true;
		return NULL;
	default:
		return err_new(ERR_INTERNAL, "option %d is not handled", o);
	}
}

static int print_json(const struct verb *verb, const struct molt_report *r)
{
	json_t *o = cmd_json(verb);

	report_members(o, r);
	if (!r->pid)
		json_object_set_new(o, "pid", json_null());
	json_object_set_new(o, "running_ms",
			    r->running_ms > 0 ? json_real(r->running_ms) : json_null());
	json_object_set_new(o, "resident_ms",
			    r->resident_ms >= 0 ? json_real(r->resident_ms) : json_null());
	return report_print_json(verb, o, (int)r->verdict);
}

static void print_text(const struct molt_report *r)
{
	if (r->verdict != MOLT_DONE) {
		report_print_failure(r);
		return;
	}
	report_print_notes(stderr, r);
}

static volatile sig_atomic_t child; // that signals are passed on to

static void pass_on(int sig, siginfo_t *info, void *context)
{
	(void)context;
	// The terminal sends its signals to the whole foreground group by itself.
	if (child && info->si_code <= 0)
		kill(child, sig);
}

static void pass_signals_on(pid_t pid)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,	  SIGQUIT,
				      SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
	struct sigaction action = {.sa_sigaction = pass_on,
				   .sa_flags = SA_SIGINFO | SA_RESTART};

	child = pid;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

// As a shell has it: the exit status, or 128 and the signal.
static int stand_for(struct molt_report *report)
{
	const int signalled = 128;
	siginfo_t si;
	int r;

	do
		r = os_waitid(report->pid, WEXITED, &si);
	while (r == -EINTR);
	child = 0;
	if (r < 0)
		return FAILED_INTERNAL;
	// Ended by us, because its memory could not be brought?
	molt_restore_memory(report);
	if (report->verdict != MOLT_DONE && si.si_code != CLD_EXITED) {
		print_text(report);
		return (int)report->verdict;
	}
	return si.si_code == CLD_EXITED ? si.si_status : signalled + si.si_status;
}

static int run(const struct verb *verb, struct arguments *a)
{
	struct progress progress;

	a->opt.progress = progress_text;
	a->opt.arg = &progress;
	progress_begin(&progress, a->verbose);
	struct molt_report *r = molt_restore(a->checkpoint, &a->opt);
	progress_end(&progress);
	if (!r)
		return cmd_fail(verb, err_nomem(), a->json);
	int code = (int)r->verdict;
	pid_t pid = r->verdict == MOLT_DONE ? r->pid : 0;
	if (pid && !a->detach)
		pass_signals_on(pid);
	if (a->json)
		code = print_json(verb, r);
	else
		print_text(r);
	if (a->opt.dry_run && code == DONE && !a->json)
		puts("it can be restored");
	if (a->detach && pid && !a->json)
		printf("%d\n", pid);
	fflush(NULL);
	if (pid && !a->detach)
		code = stand_for(r);
	molt_report_free(r);
	return code;
}

static int run_restore(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"store", required_argument, NULL, OPT_STORE},
		{"into", required_argument, NULL, OPT_INTO},
		{"replace", required_argument, NULL, OPT_REPLACE},
		{"pid-any", no_argument, NULL, OPT_PID_ANY},
		{"detach", no_argument, NULL, OPT_DETACH},
		{"eager", no_argument, NULL, OPT_EAGER},
		{"wait-resident", no_argument, NULL, OPT_WAIT_RESIDENT},
		{"files", required_argument, NULL, OPT_FILES},
		{"tcp-close", no_argument, NULL, OPT_TCP_CLOSE},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{"keep-old", required_argument, NULL, OPT_KEEP_OLD},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{"allow-holes", no_argument, NULL, OPT_HOLES},
		{"allow-lost", no_argument, NULL, OPT_LOST},
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
	if (argc - optind > 1)
		return cmd_usage(verb, "'%s' is one argument too many", argv[argc - 1]);
	struct err *unreadable = a.opt.into ? check_readable(a.opt.into) : NULL;
	if (unreadable)
		return cmd_fail(verb, unreadable, a.json);
	a.checkpoint = argv[optind];
	a.update.keep_old = a.keep_old.v;
	a.update.n_keep_old = a.keep_old.n;
	a.opt.update = &a.update;
	return run(verb, &a);
}

const struct verb verb_restore = {
	.name = "restore",
	.summary = "Brings a saved process back, also in a new build of its program",
	.synopsis = "[OPTION]... [CHECKPOINT]",
	.help = "CHECKPOINT is an id, a name or a path; without it the newest of the "
		"store is taken. In the\n"
		"foreground molt waits for the process and passes on its exit status.\n\n"
		"      --store DIR      the folder of checkpoints\n"
		"      --into NEW       it goes on in this build of its program\n"
		"      --replace PID    takes the place of a living process: its "
		"connections are handed over\n"
		"      --pid-any        under other ids than the saved ones\n"
		"      --detach         return once it runs, and print its pid\n"
		"      --eager          all memory is there before it runs\n"
		"      --wait-resident  return only when all memory is there\n"
		"      --files POLICY   files that changed since: exact (refused; the "
		"default), append-ok, any\n"
		"      --tcp-close      the program sees its connections closed\n"
		"      --keep-old FUNC, --allow-holes, --allow-lost, --debug DIR\n"
		"                       for --into, as for update\n"
		"      --dry-run        rebuild it with all checks, and end it without "
		"having "
		"run\n"
		"      --json           one JSON object\n"
		"  -v, --verbose        say each step\n"
		"  -h, --help           this text\n",
	.run = run_restore,
	.acts = true,
};
