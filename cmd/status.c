// SPDX-License-Identifier: GPL-2.0-or-later
// molt status: updated processes and their generations.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/targets.h"
#include "cmd/text.h"
#include "cmd/verbs.h"
#include "update/revert.h"
#include "update/status.h"
#include "util/cleanup.h"

static void format_time(uint64_t seconds, char *buf, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "?");
}

static const struct record_image *running_image(const struct status *s)
{
	return record_running(&s->record);
}

static const struct record_image *running_library(const struct found_record *f)
{
	return record_running(&f->record);
}

static json_t *libraries_json(const struct status *s)
{
	json_t *libraries = json_array();

	vec_for_each(f, &s->libraries.v)
		json_array_append_new(
			libraries, json_pack("{s:o, s:i, s:o, s:s}", "name",
					     cmd_json_string(f->record.name), "generation",
					     (int)f->record.generation, "path",
					     cmd_json_string(running_library(f)->path),
					     "build_id", running_library(f)->build_id));
	return libraries;
}

static json_t *image_json(const struct record_image *image)
{
	return json_pack("{s:i, s:o, s:s, s:I}", "generation", (int)image->generation,
			 "path", cmd_json_string(image->path), "build_id",
			 image->build_id, "time", (json_int_t)image->time);
}

// What is going on in the process, for people and for --json; NULL: nothing.
static const char *stage(const struct status *s)
{
	if (!s->tool)
		return s->under_way == UNDER_WAY_NOTHING ? NULL : "left-over";
	switch (s->under_way) {
	case UNDER_WAY_NOTHING:
		return "planning";
	case UNDER_WAY_WAITING:
		return "waiting";
	case UNDER_WAY_PREPARED:
		break;
	}
	return "in-progress";
}

static json_t *update_json(const struct status *s)
{
	const char *what = stage(s);

	return what ? json_pack("{s:s, s:i}", "stage", what, "tool", (int)s->tool)
		    : json_null();
}

static void print_update(const struct status *s)
{
	if (!s->tool && s->under_way != UNDER_WAY_NOTHING)
		printf("  an update was cut off; the next one clears what it left\n");
	else if (s->tool)
		printf("  molt %d works on it: %s\n", (int)s->tool,
		       s->under_way == UNDER_WAY_NOTHING ? "planning"
		       : s->under_way == UNDER_WAY_WAITING
			       ? "waiting until no thread is in a changed function"
			       : "changing it");
}

static json_t *status_json(const struct status *s)
{
	json_t *images = json_array();

	vec_for_each(image, &s->record.images)
		json_array_append_new(images, image_json(image));
	return json_pack("{s:i, s:o, s:i, s:o, s:s, s:o, s:o, s:o}", "pid", (int)s->pid,
			 "comm", cmd_json_string(s->comm), "generation",
			 (int)s->generation, "path",
			 cmd_json_string(running_image(s)->path), "build_id",
			 running_image(s)->build_id, "images", images, "libraries",
			 libraries_json(s), "update", update_json(s));
}

static json_t *begin_json(const struct verb *verb)
{
	json_t *o = cmd_json(verb);

	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	return o;
}

static char *debugging_command(int pid)
{
	char *ret;

	return asprintf(&ret,
			"molt symbols -o /tmp/molt-symbols-%d %d && "
			"gdb -p %d -x /tmp/molt-symbols-%d/gdb",
			pid, pid, pid, pid) < 0
		       ? NULL
		       : ret;
}

// Whether what a revert needs is there; whether the process can take it, only a plan can say.
static void print_revert(const struct status *s)
{
	_cleanup_(revert_deinit) struct revert r = {};
	_cleanup_(err_freep) struct err *e = revert_look(s->pid, REVERT_PREVIOUS, &r);

	if (e)
		printf("  no revert: %s\n", shown(e->message));
	else
		printf("  molt revert %d goes to generation %u\n", (int)s->pid, r.to);
}

static json_t *revert_json(const struct status *s)
{
	_cleanup_(revert_deinit) struct revert r = {};
	_cleanup_(err_freep) struct err *e = revert_look(s->pid, REVERT_PREVIOUS, &r);

	return e ? json_pack("{s:b, s:o}", "possible", 0, "reason",
			     cmd_json_string(e->message))
		 : json_pack("{s:b, s:i}", "possible", 1, "generation", (int)r.to);
}

static int show_one_json(const struct verb *verb, const struct status *s)
{
	json_t *o = begin_json(verb), *members = status_json(s);
	_cleanup_free_ char *gdb = s->generation ? debugging_command((int)s->pid) : NULL;

	json_object_update(o, members);
	if (gdb)
		json_object_set_new(o, "gdb", cmd_json_string(gdb));
	if (s->generation)
		json_object_set_new(o, "revert", revert_json(s));
	json_decref(members);
	return cmd_print_json(o, DONE);
}

static int show_all_json(const struct verb *verb, const struct status_list *list)
{
	json_t *o = begin_json(verb), *processes = json_array();

	vec_for_each(s, &list->v)
		json_array_append_new(processes, status_json(s));
	json_object_set_new(o, "processes", processes);
	return cmd_print_json(o, DONE);
}

static void show_debugging(int pid)
{
	_cleanup_free_ char *gdb = debugging_command(pid);

	if (gdb)
		printf("gdb:  %s\nperf: molt symbols --perf-map %d && perf report\n", gdb,
		       pid);
}

static void print_libraries(const struct status *s)
{
	vec_for_each(f, &s->libraries.v) {
		const struct record_image *image = running_library(f);
		char when[32];

		format_time(image->time, when, sizeof(when));
		printf("  %2u  %-19s  %.16s  %s\n", f->record.generation, when,
		       *image->build_id ? shown(image->build_id) : "-",
		       shown(image->path));
	}
}

static int show_one(const struct verb *verb, int pid, bool json)
{
	_cleanup_(status_deinit) struct status s = {};
	struct err *e = status_read(pid, &s);

	if (e)
		return cmd_fail(verb, e, json);
	if (json)
		return show_one_json(verb, &s);
	printf("%d %s: generation %u%s\n", pid, shown(s.comm), s.generation,
	       s.generation ? "" : ", never updated");
	vec_for_each(image, &s.record.images) {
		char when[32] = "started with";

		if (image->generation)
			format_time(image->time, when, sizeof(when));
		printf("  %2u  %-19s  %.16s  %s\n", image->generation, when,
		       *image->build_id ? shown(image->build_id) : "-",
		       shown(image->path));
	}
	print_libraries(&s);
	print_update(&s);
	if (s.generation) {
		print_revert(&s);
		show_debugging(pid);
	}
	return DONE;
}

static int show_all(const struct verb *verb, bool json)
{
	_cleanup_(status_list_deinit) struct status_list list = {};
	struct err *e = status_list_read(&list);

	if (e)
		return cmd_fail(verb, e, json);
	if (json)
		return show_all_json(verb, &list);
	if (!list.v.n)
		puts("no process was updated");
	else
		printf("%7s  %-15s  %10s  %-19s  %s\n", "PID", "NAME", "GENERATION",
		       "SINCE", "PROGRAM");
	vec_for_each(s, &list.v) {
		char when[32];

		format_time(running_image(s)->time, when, sizeof(when));
		printf("%7d  %-15s  %10u  %-19s  %s%s%s\n", (int)s->pid, shown(s->comm),
		       s->generation, s->updated ? when : "-",
		       shown(running_image(s)->path), stage(s) ? ", update: " : "",
		       stage(s) ? stage(s) : "");
	}
	if (list.unreadable)
		fprintf(stderr, "molt: %zu process%s could not be looked at\n",
			list.unreadable, list.unreadable == 1 ? "" : "es");
	return DONE;
}

static int show_several(const struct verb *verb, const struct targets *t, bool json)
{
	json_t *processes = json_array();
	int code = DONE;

	vec_for_each(pid, &t->pids) {
		_cleanup_(status_deinit) struct status s = {};
		struct err *e = json ? status_read(*pid, &s) : NULL;

		if (!json)
			code = show_one(verb, *pid, false);
		else if (!e)
			json_array_append_new(processes, status_json(&s));
		err_free(e); // it has ended since
	}
	if (!json) {
		json_decref(processes);
		return code;
	}
	json_t *o = begin_json(verb);
	json_object_set_new(o, "processes", processes);
	return cmd_print_json(o, DONE);
}

static int run_status(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {COMMON_OPTIONS, TARGET_OPTIONS, {}};
	_cleanup_(targets_deinit) struct targets t = {};
	bool json = false;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			json = true;
			break;
		default:
			if (!targets_option(&t, o, optarg))
				return cmd_usage(verb, NULL);
		}
	}
	bool selected = t.exe || t.unit;
	if (optind == argc && !selected)
		return show_all(verb, json);
	if (argc - optind != !selected)
		return cmd_usage(verb, "one pid at a time, or --exe or --unit");
	struct err *e = targets_find(&t, argv[optind], false);
	if (e)
		return cmd_fail(verb, e, json);
	return targets_one(&t) ? show_one(verb, t.pids.v[0], json)
			       : show_several(verb, &t, json);
}

const struct verb verb_status = {
	.name = "status",
	.summary = "Lists updated processes and the programs they run",
	.synopsis = "[--json] [PID|--exe PATH|--unit NAME]",
	.help = "Without PID it lists all processes that were or are being updated. With "
		"PID it shows "
		"each\n"
		"generation of that process: when it began, its build-id and its "
		"file,\nand how to debug and profile it.\n\n" TARGET_HELP
		"      --json           one JSON object\n"
		"  -h, --help           this text\n",
	.run = run_status,
};
