// SPDX-License-Identifier: GPL-2.0-or-later
// Errors, help and JSON as every verb prints them.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/text.h"
#include "util/cleanup.h"

int cmd_help(const struct verb *verb)
{
	printf("usage: molt %s%s%s\n%s.\n\n%s", verb->name, *verb->synopsis ? " " : "",
	       verb->synopsis, verb->summary, verb->help);
	return DONE;
}

int cmd_usage(const struct verb *verb, const char *fmt, ...)
{
	va_list ap;

	if (fmt) {
		fprintf(stderr, "molt %s: ", verb->name);
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
	}
	fprintf(stderr, "usage: molt %s%s%s\n'molt %s --help' says more\n", verb->name,
		*verb->synopsis ? " " : "", verb->synopsis, verb->name);
	return FAILED_USAGE;
}

static void print_error(const struct err *e)
{
	fprintf(stderr, "molt: %s", shown(e->message));
	if (e->code)
		fprintf(stderr, " [%s]\nmolt: 'molt explain %s' says what to do", e->code,
			e->code);
	fputc('\n', stderr);
}

json_t *cmd_json_string(const char *s)
{
	if (!s)
		return json_null();
	json_t *text = json_string(s);
	if (text)
		return text;
	_cleanup_free_ char *copy = strdup(s);
	for (char *p = copy; p && *p; p++)
		if (*p & 0x80)
			*p = '?';
	text = copy ? json_string(copy) : NULL;
	return text ? text : json_null();
}

int cmd_fail_with(const struct verb *verb, struct err *e, bool json, json_t *members)
{
	int code = exit_code_of(e->kind);

	if (!json) {
		print_error(e);
	} else {
		json_t *o = cmd_json(verb);

		json_object_set_new(o, "verdict", json_string(verdict_of(code)));
		json_object_set_new(o, "code", cmd_json_string(e->code));
		json_object_set_new(o, "reason", cmd_json_string(e->message));
		json_object_set_new(o, "object", cmd_json_string(e->object));
		if (members)
			json_object_update(o, members);
		code = cmd_print_json(o, code);
	}
	json_decref(members);
	err_free(e);
	return code;
}

int cmd_fail(const struct verb *verb, struct err *e, bool json)
{
	return cmd_fail_with(verb, e, json, NULL);
}

json_t *cmd_json(const struct verb *verb)
{
	json_t *o = json_object();

	json_object_set_new(o, "schema", json_sprintf("molt/%s/1", verb->name));
	return o;
}

int cmd_print_json(json_t *object, int code)
{
	_cleanup_free_ char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;

	json_decref(object);
	if (!text) {
		fputs("molt: out of memory\n", stderr);
		return code == DONE ? FAILED_INTERNAL : code;
	}
	puts(text);
	return code;
}
