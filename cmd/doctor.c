// SPDX-License-Identifier: GPL-2.0-or-later
// molt doctor: what this host offers and which verb lacks what.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/verbs.h"
#include "os/probe.h"
#include "util/vec.h"

// What a verb needs of the host. Without a required one it does not work at all.
struct need {
	const char *verb;
	enum probe_id probe;
	bool required;
	const char *without;
};

static const struct need needs[] = {
	{"plan", PROBE_VM_READ, true, "a process's memory cannot be read"},
	{"plan", PROBE_CAP_PTRACE, false, "only your own processes can be looked at"},
	{"plan", PROBE_MAP_FILES, false,
	 "a program file that was replaced or deleted cannot be read"},
	{"update", PROBE_PTRACE, true, "no process can be stopped"},
	{"update", PROBE_YAMA, true, "only molt's own children can be stopped"},
	{"update", PROBE_VM_READ, true, "a process's memory cannot be read"},
	{"update", PROBE_MEM_WRITE, true, "a process's text cannot be written"},
	{"update", PROBE_MEMFD, true, "the new image cannot be mapped"},
	{"update", PROBE_NO_SHADOW_STACK, true, "return addresses cannot be moved"},
	{"update", PROBE_PIDFD, false, "descriptors are opened through /proc instead"},
	{"update", PROBE_CAP_PTRACE, false, "only your own processes can be updated"},
	{"update", PROBE_MAP_FILES, false,
	 "a program file that was replaced or deleted cannot be read"},
	{"update", PROBE_FIFO, false,
	 "the critical stop can last milliseconds on a busy machine"},
	{"update", PROBE_MM_MAP, false, "/proc/PID/exe stays the old program"},
	{"update", PROBE_CAP_ADMIN, false,
	 "seccomp filters cannot be read: processes that have one are refused"},
};

static const char *const verbs[] = {"plan", "update"};

static bool verb_works(const char *verb, const struct probe_result *results)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].required && strcmp(needs[i].verb, verb) == 0 &&
		    !results[needs[i].probe].ok)
			return false;
	return true;
}

static void print_probe(enum probe_id id, const struct probe_result *r)
{
	const struct probe *p = probe_at(id);

	printf("  %-7s  %-23s %s", r->ok ? "yes" : "no", p->name, p->what);
	if (!r->ok && r->error)
		printf(": %s", strerror(r->error));
	if (*r->detail)
		printf(" (%s)", r->detail);
	putchar('\n');
}

static void print_verb(const char *verb, const struct probe_result *results)
{
	bool works = verb_works(verb, results), lacks = false;

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		lacks |= strcmp(needs[i].verb, verb) == 0 && !results[needs[i].probe].ok;
	printf("  %-7s  %s\n", verb,
	       !works  ? "does not work here"
	       : lacks ? "works, but"
		       : "works");
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (strcmp(needs[i].verb, verb) == 0 && !results[needs[i].probe].ok)
			printf("           - %s (no %s)\n", needs[i].without,
			       probe_at(needs[i].probe)->name);
}

static int print_people(const struct probe_result *results, int code)
{
	printf("This host:\n");
	for (size_t i = 0; i < PROBE_COUNT; i++)
		print_probe((enum probe_id)i, &results[i]);
	printf("\nThe verbs:\n  diff     works (it looks at files only)\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		print_verb(verbs[i], results);
	return code;
}

static json_t *verb_json(const char *verb, const struct probe_result *results)
{
	json_t *lacks = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (strcmp(needs[i].verb, verb) == 0 && !results[needs[i].probe].ok)
			json_array_append_new(lacks,
					      json_pack("{s:s, s:b, s:s}", "probe",
							probe_at(needs[i].probe)->name,
							"required", needs[i].required,
							"without", needs[i].without));
	return json_pack("{s:s, s:b, s:o}", "verb", verb, "works",
			 verb_works(verb, results), "lacks", lacks);
}

static int print_json(const struct verb *verb, const struct probe_result *results,
		      int code)
{
	json_t *o = cmd_json(verb), *probes = json_object(), *list = json_array();

	for (size_t i = 0; i < PROBE_COUNT; i++)
		json_object_set_new(
			probes, probe_at((enum probe_id)i)->name,
			json_pack("{s:b, s:s, s:s}", "ok", results[i].ok, "error",
				  results[i].error ? strerror(results[i].error) : "",
				  "detail", results[i].detail));
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		json_array_append_new(list, verb_json(verbs[i], results));
	json_object_set_new(o, "verdict", json_string(verdict_of(code)));
	json_object_set_new(o, "probes", probes);
	json_object_set_new(o, "verbs", list);
	return cmd_print_json(o, code);
}

static int run_doctor(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {COMMON_OPTIONS, {}};
	struct probe_result results[PROBE_COUNT];
	bool json = false;

	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'h':
			return cmd_help(verb);
		case OPT_JSON:
			json = true;
			break;
		default:
			return cmd_usage(verb, NULL);
		}
	}
	if (optind != argc)
		return cmd_usage(verb, "it takes no arguments");
	int rc = probe_all(results);
	if (rc)
		return cmd_fail(verb, err_sys(rc, "cannot make a child to probe"), json);
	int code = verb_works("update", results) ? DONE : UNSUPPORTED;
	return json ? print_json(verb, results, code) : print_people(results, code);
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "Says what this host offers and which verb lacks what",
	.synopsis = "[--json]",
	.help = "Each thing is tried on a child process of molt's own; nothing else is "
		"touched.\n"
		"Exit status 9 when 'molt update' cannot work here.\n\n"
		"      --json  one JSON object\n"
		"  -h, --help  this text\n",
	.run = run_doctor,
};
