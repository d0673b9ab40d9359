// SPDX-License-Identifier: GPL-2.0-or-later
// molt symbols: files for debuggers and profilers.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/text.h"
#include "cmd/verbs.h"
#include "update/symbols.h"
#include "util/cleanup.h"

enum { OPT_DEBUG = OPT_VERB, OPT_PERF };

struct request {
	const struct verb *verb;
	const char *target, *dir, *debug_dir;
	bool perf, json;
};

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static struct err *open_source(const struct request *r, struct symbols_source *ret)
{
	int pid;

	if (!is_number(r->target))
		return symbols_open_core(r->target, ret);
	TRY(parse_pid(r->target, &pid));
	return symbols_open_process(pid, ret);
}

// $TMPDIR/molt-symbols-PID, or CORE.symbols.
static struct err *choose_dir(const struct request *r, const struct symbols_source *s,
			      char **ret)
{
	const char *tmp = getenv("TMPDIR");
	int rc;

	if (r->dir)
		rc = asprintf(ret, "%s", r->dir);
	else if (s->core)
		rc = asprintf(ret, "%s.symbols", s->core);
	else
		rc = asprintf(ret, "%s/molt-symbols-%d", tmp && *tmp ? tmp : "/tmp",
			      (int)s->pid);
	if (rc < 0)
		*ret = NULL;
	return rc < 0 ? err_nomem() : NULL;
}

// With a core gdb wants the program too, to find the libraries by it.
static const char *program_of(const struct symbols *y)
{
	vec_for_each(f, &y->files)
		if (f->runs && !*f->module)
			return f->path;
	return "";
}

// As a shell takes it for one word.
static void put_word(FILE *f, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._+-,:@%";

	fputc(' ', f);
	if (*word && strspn(word, plain) == strlen(word)) {
		fputs(word, f);
		return;
	}
	fputc('\'', f);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\'", f);
		fputc(*word, f);
	}
	fputc('\'', f);
}

static struct err *gdb_command(const struct symbols_source *s, const struct symbols *y,
			       char **ret)
{
	size_t size;
	FILE *f = open_memstream(ret, &size);

	if (!f)
		return err_nomem();
	fputs("gdb", f);
	if (s->core) {
		if (*program_of(y))
			put_word(f, program_of(y));
		fputs(" -c", f);
		put_word(f, s->core);
	} else {
		fprintf(f, " -p %d", (int)s->pid);
	}
	fputs(" -x", f);
	put_word(f, y->script);
	return fclose(f) ? err_nomem() : NULL;
}

static int show_json(const struct request *r, const struct symbols *y, const char *gdb)
{
	json_t *o = cmd_json(r->verb), *files = json_array(), *notes = json_array();

	vec_for_each(f, &y->files)
		json_array_append_new(files,
				      json_pack("{s:o, s:o, s:o, s:i, s:I, s:b}", "path",
						cmd_json_string(f->path), "program",
						cmd_json_string(f->program), "module",
						cmd_json_string(f->module), "generation",
						(int)f->generation, "base",
						(json_int_t)f->base, "runs", f->runs));
	vec_for_each(n, &y->notes)
		json_array_append_new(notes, cmd_json_string(*n));
	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	json_object_set_new(o, "gdb", cmd_json_string(gdb));
	json_object_set_new(o, "script", cmd_json_string(y->script));
	json_object_set_new(o, "files", files);
	json_object_set_new(o, "notes", notes);
	return cmd_print_json(o, DONE);
}

static void show(const struct symbols *y, const char *gdb)
{
	vec_for_each(f, &y->files)
		printf("%s  generation %u of %s%s\n", shown(f->path), f->generation,
		       shown(f->program), f->runs ? "" : ", functions alone");
	vec_for_each(n, &y->notes)
		fprintf(stderr, "molt: note: %s\n", shown(*n));
	puts(gdb);
}

static int write_debugger_files(const struct request *r, const struct symbols_source *s)
{
	_cleanup_(symbols_deinit) struct symbols y = {};
	_cleanup_free_ char *dir = NULL, *gdb = NULL;
	struct err *e = choose_dir(r, s, &dir);

	if (!e)
		e = symbols_write(s, dir, r->debug_dir, &y);
	if (!e)
		e = gdb_command(s, &y, &gdb);
	if (e)
		return cmd_fail(r->verb, e, r->json);
	if (r->json)
		return show_json(r, &y, gdb);
	show(&y, gdb);
	return DONE;
}

static int write_perf_map(const struct request *r, const struct symbols_source *s)
{
	_cleanup_free_ char *path = NULL;
	struct err *e = symbols_perf_map(s, r->debug_dir, &path);

	if (e)
		return cmd_fail(r->verb, e, r->json);
	if (!r->json) {
		puts(path);
		return DONE;
	}
	json_t *o = cmd_json(r->verb);

	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	json_object_set_new(o, "perf_map", cmd_json_string(path));
	return cmd_print_json(o, DONE);
}

static int run(const struct request *r)
{
	_cleanup_(symbols_source_deinit) struct symbols_source s = {};
	struct err *e = open_source(r, &s);

	if (e)
		return cmd_fail(r->verb, e, r->json);
	if (!r->perf)
		return write_debugger_files(r, &s);
	if (s.core)
		return cmd_usage(r->verb, "--perf-map is for a process, not for a core");
	return write_perf_map(r, &s);
}

static int run_symbols(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"debug", required_argument, NULL, OPT_DEBUG},
		{"perf-map", no_argument, NULL, OPT_PERF},
		COMMON_OPTIONS,
		{}};
	struct request r = {.verb = verb};
	struct err *e;

	for (int o; (o = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case 'o':
			r.dir = optarg;
			break;
		case OPT_DEBUG:
			r.debug_dir = optarg;
			e = check_debug(optarg);
			if (e)
				return cmd_fail(verb, e, r.json);
			break;
		case OPT_PERF:
			r.perf = true;
			break;
		case OPT_JSON:
			r.json = true;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (argc - optind != 1)
		return cmd_usage(verb, "give one pid or one core file");
	if (r.perf && r.dir)
		return cmd_usage(verb, "perf looks for its file in /tmp alone, so -o "
				       "means nothing with --perf-map");
	r.target = argv[optind];
	return run(&r);
}

const struct verb verb_symbols = {
	.name = "symbols",
	.summary = "Writes what gdb and perf need to understand an updated process",
	.synopsis = "[-o DIR] [--debug DIR] [--perf-map] [--json] PID|CORE",
	.help = "Writes copies of the program's files in which symbols and DWARF give "
		"each\n"
		"variable the address that it has in this process, and a script that "
		"makes gdb\n"
		"load them, and prints the gdb command. The process is not stopped.\n\n"
		"  -o, --output DIR  where to (default: /tmp/molt-symbols-PID, or "
		"CORE.symbols)\n"
		"      --debug DIR   look for the program's debug file in DIR first\n"
		"      --perf-map    write /tmp/perf-PID.map instead, for perf report\n"
		"      --json        one JSON object\n"
		"  -h, --help        this text\n",
	.run = run_symbols,
};
