// SPDX-License-Identifier: GPL-2.0-or-later
// molt explain: what a code means and what to do.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/verbs.h"
#include "util/codes.h"

enum { TEXT_WIDTH = 78 };

// Prints a text filled to the width, each line indented.
static void print_filled(const char *text, int indent)
{
	int column = 0;

	for (const char *p = text; *p;) {
		int len = (int)strcspn(p, " ");

		if (column && column + 1 + len > TEXT_WIDTH) {
			putchar('\n');
			column = 0;
		}
		if (!column)
			column = printf("%*s%.*s", indent, "", len, p);
		else
			column += printf(" %.*s", len, p);
		p += len + strspn(p + len, " ");
	}
	putchar('\n');
}

static json_t *code_json(const struct code_text *c)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "code", c->code, "title", c->title,
			 "meaning", c->meaning, "remedy", c->remedy);
}

static const char *code_name(size_t i)
{
	const struct code_text *c = code_at(i);

	return c ? c->code : NULL;
}

static int explain_all(const struct verb *verb, bool json)
{
	if (!json) {
		for (size_t i = 0; code_at(i); i++)
			printf("%-22s %s\n", code_at(i)->code, code_at(i)->title);
		return DONE;
	}
	json_t *list = json_array(), *o = cmd_json(verb);

	for (size_t i = 0; code_at(i); i++)
		json_array_append_new(list, code_json(code_at(i)));
	json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
	json_object_set_new(o, "codes", list);
	return cmd_print_json(o, DONE);
}

static int explain_one(const struct verb *verb, const char *code, bool json)
{
	const struct code_text *c = code_find(code);

	if (!c) {
		const char *near = nearest_word(code, code_name);

		if (near)
			return cmd_usage(verb, "unknown code '%s'; did you mean '%s'?",
					 code, near);
		return cmd_usage(
			verb, "unknown code '%s'; without argument all are listed", code);
	}
	if (json) {
		json_t *o = cmd_json(verb), *text = code_json(c);

		json_object_set_new(o, "verdict", json_string(verdict_of(DONE)));
		json_object_update(o, text);
		json_decref(text);
		return cmd_print_json(o, DONE);
	}
	printf("%s: %s\n\n", c->code, c->title);
	print_filled(c->meaning, 2);
	printf("\nWhat to do:\n");
	print_filled(c->remedy, 2);
	return DONE;
}

static int run_explain(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {COMMON_OPTIONS, {}};
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
	if (argc - optind > 1)
		return cmd_usage(verb, "one code at a time");
	return optind == argc ? explain_all(verb, json)
			      : explain_one(verb, argv[optind], json);
}

const struct verb verb_explain = {
	.name = "explain",
	.summary = "Says what a code in an error message means and what to do",
	.synopsis = "[--json] [CODE]",
	.help = "Without CODE it lists all codes, one a line.\n\n"
		"      --json  one JSON object\n"
		"  -h, --help  this text\n",
	.run = run_explain,
};
