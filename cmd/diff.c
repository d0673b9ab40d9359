// SPDX-License-Identifier: GPL-2.0-or-later
// molt diff: what changed between two builds of a program.
#include <errno.h>
#include <getopt.h>

#include "cmd/diff_report.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"

enum { OPT_DEBUG = OPT_VERB };

struct diff_args {
	const char *old, *new, *debug_dir;
	bool json, verbose;
};

// A file that is not there is a slip of the hand.
static struct err *open_program(const char *path, const char *debug_dir,
				struct module **ret)
{
	struct err *e = module_open(path, debug_dir, ret);

	if (e && e->kind == ERR_SYSTEM && (e->errnum == ENOENT || e->errnum == ENOTDIR))
		e->kind = ERR_USAGE;
	return e;
}

static int compare(const struct verb *verb, const struct diff_args *args)
{
	_cleanup_(module_closep) struct module *old = NULL, *new = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	struct diff_options opt = {};
	struct err *e = open_program(args->old, args->debug_dir, &old);

	if (!e)
		e = open_program(args->new, args->debug_dir, &new);
	if (!e)
		e = diff_programs(old, new, &opt, &d);
	if (e)
		return cmd_fail(verb, e, args->json);
	if (args->json)
		return diff_print_json(verb, d);
	diff_print(d, args->verbose);
	return DONE;
}

static int run_diff(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{},
	};
	struct diff_args args = {};
	struct err *e;

	for (int o; (o = getopt_long(argc, argv, "hv", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case 'v':
			args.verbose = true;
			break;
		case OPT_JSON:
			args.json = true;
			break;
		case OPT_DEBUG:
			args.debug_dir = optarg;
			e = check_debug(optarg);
			if (e)
				return cmd_fail(verb, e, args.json);
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (argc - optind != 2)
		return cmd_usage(verb, "it takes two programs, OLD and NEW");
	args.old = argv[optind];
	args.new = argv[optind + 1];
	return compare(verb, &args);
}

const struct verb verb_diff = {
	.name = "diff",
	.summary = "Says what changed between two builds of a program",
	.synopsis = "[-v] [--debug DIR] [--json] OLD NEW",
	.help = "  -v, --verbose    for each function the instruction or object that "
		"differs;\n"
		"                   all lists in full\n"
		"      --debug DIR  look for separate debug files in DIR first\n"
		"      --json       one JSON object\n"
		"  -h, --help       this text\n",
	.run = run_diff,
};
