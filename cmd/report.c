// SPDX-License-Identifier: GPL-2.0-or-later
// Reports of updates for people and programs; see report.h.
#include "cmd/report.h"

#include <stdio.h>
#include <string.h>

#include "cmd/text.h"
#include "util/vec.h"

int report_print_json(const struct verb *verb, json_t *o, int code)
{
	int printed = cmd_print_json(o, code);

	return verb->acts ? code : printed;
}

static json_t *functions_json(const struct molt_functions *f)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "same", (json_int_t)f->same,
			 "imm_only", (json_int_t)f->imm_only, "ref_only",
			 (json_int_t)f->ref_only, "code", (json_int_t)f->code, "added",
			 (json_int_t)f->added, "removed", (json_int_t)f->removed);
}

void report_members(json_t *o, const struct molt_report *r)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < r->n_notes; i++)
		json_array_append_new(notes, cmd_json_string(r->notes[i]));
	json_object_set_new(o, "verdict", json_string(verdict_of((int)r->verdict)));
	json_object_set_new(o, "code", cmd_json_string(r->code));
	json_object_set_new(o, "reason", cmd_json_string(r->reason));
	json_object_set_new(o, "object", cmd_json_string(r->object));
	json_object_set_new(o, "pid", json_integer(r->pid));
	json_object_set_new(o, "comm", cmd_json_string(r->comm));
	json_object_set_new(o, "generation", json_integer(r->generation));
	json_object_set_new(o, "total_ms", json_real(r->total_ms));
	json_object_set_new(o, "notes", notes);
}

static json_t *report_json(const struct molt_report *r, json_t *o)
{
	report_members(o, r);
	json_object_set_new(o, "already", json_boolean(r->already));
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
	json_object_set_new(o, "attempts", json_integer(r->attempts));
	return o;
}

static json_t *processes_json(const struct molt_report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_processes; i++)
		json_array_append_new(list, report_json(r->processes[i], json_object()));
	return list;
}

static int print_json(const struct verb *verb, bool tree, const struct molt_report *r)
{
	json_t *o = report_json(r, cmd_json(verb));

	if (tree)
		json_object_set_new(o, "processes", processes_json(r));
	return report_print_json(verb, o, (int)r->verdict);
}

static size_t changed(const struct molt_functions *f)
{
	return f->imm_only + f->ref_only + f->code + f->added + f->removed;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static const char *done_word(const struct verb *verb)
{
	if (!strcmp(verb->name, "plan"))
		return "can update";
	return strcmp(verb->name, "revert") ? "updated" : "reverted";
}

static void print_done(const struct verb *verb, const struct molt_report *r)
{
	size_t n = changed(&r->functions);

	if (r->already)
		printf("%d %s runs this build already: nothing to do\n", (int)r->pid,
		       shown(r->comm));
	else if (!strcmp(verb->name, "plan"))
		printf("can update %d %s: %zu function%s changed (%zu code, %zu "
		       "reference, %zu "
		       "immediate, %zu added, %zu removed), %u thread%s\n",
		       (int)r->pid, shown(r->comm), n, plural(n), r->functions.code,
		       r->functions.ref_only, r->functions.imm_only, r->functions.added,
		       r->functions.removed, r->threads, plural(r->threads));
	else
		printf("%s %d %s: %zu function%s changed, %u thread%s, stopped %.1f "
		       "ms\n",
		       done_word(verb), (int)r->pid, shown(r->comm), n, plural(n),
		       r->threads, plural(r->threads), r->stop_us / 1000);
}

int report_print_failure(const struct molt_report *r)
{
	fprintf(stderr, "molt: %s", r->reason ? shown(r->reason) : "failed");
	if (r->code)
		fprintf(stderr, " [%s]\nmolt: 'molt explain %s' says what to do", r->code,
			r->code);
	fputc('\n', stderr);
	return (int)r->verdict;
}

void report_print_notes(FILE *to, const struct molt_report *r)
{
	for (size_t i = 0; i < r->n_notes; i++)
		fprintf(to, "note: %s\n", shown(r->notes[i]));
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
static void print_all_notes(const struct molt_report *r)
{
	report_print_notes(stdout, r);
	for (size_t p = 0; p < r->n_processes; p++) {
		const struct molt_report *one = r->processes[p];

		for (size_t i = 0; i < one->n_notes; i++)
			if (!told_before(r, p, one->notes[i]))
				printf("note: %s\n", shown(one->notes[i]));
	}
}

int report_print(const struct verb *verb, bool json, bool tree,
		 const struct molt_report *r)
{
	if (json)
		return print_json(verb, tree, r);
	print_all_notes(r);
	if (r->verdict != MOLT_DONE)
		return report_print_failure(r);
	for (size_t i = 0; i < r->n_processes; i++)
		print_done(verb, r->processes[i]);
	if (!tree)
		print_done(verb, r);
	else if (!r->already) // each has said so
		printf("%s %zu process%s, %u thread%s\n", done_word(verb), r->n_processes,
		       r->n_processes == 1 ? "" : "es", r->threads, plural(r->threads));
	return DONE;
}

// What is worse for whoever runs the processes comes later.
static const int by_weight[] = {DONE,	       FAILED_BUSY, REFUSED,
				FAILED_USAGE,  UNSUPPORTED, FAILED_PERMISSION,
				INPUT_CORRUPT, ROLLED_BACK, FAILED_INTERNAL,
				TARGET_LOST};

static int weight(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_weight); i++)
		if (by_weight[i] == code)
			return (int)i;
	return (int)ARRAY_SIZE(by_weight);
}

int reports_verdict(struct molt_report *const *r, size_t n)
{
	int worst = DONE;

	for (size_t i = 0; i < n; i++)
		if (weight((int)r[i]->verdict) > weight(worst))
			worst = (int)r[i]->verdict;
	return worst;
}

static int print_all_json(const struct verb *verb, bool tree,
			  struct molt_report *const *r, size_t n)
{
	json_t *o = cmd_json(verb), *list = json_array();
	int code = reports_verdict(r, n);

	for (size_t i = 0; i < n; i++) {
		json_t *one = report_json(r[i], json_object());

		if (tree)
			json_object_set_new(one, "processes", processes_json(r[i]));
		json_array_append_new(list, one);
	}
	json_object_set_new(o, "verdict", json_string(verdict_of(code)));
	json_object_set_new(o, "processes", list);
	return report_print_json(verb, o, code);
}

int reports_print(const struct verb *verb, bool json, bool tree,
		  struct molt_report *const *r, size_t n)
{
	size_t done = 0;

	if (json)
		return print_all_json(verb, tree, r, n);
	for (size_t i = 0; i < n; i++)
		done += r[i]->verdict == MOLT_DONE;
	printf("%s %zu of %zu %s%s\n", done_word(verb), done, n, tree ? "tree" : "process",
	       n == 1 ? ""
	       : tree ? "s"
		      : "es");
	return reports_verdict(r, n);
}
