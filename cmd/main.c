// SPDX-License-Identifier: GPL-2.0-or-later
// The command `molt`: finds the verb and runs it.
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/signals.h"
#include "cmd/verbs.h"
#include "util/cleanup.h"
#include "util/vec.h"

static const struct verb *const verbs[] = {
	&verb_checkpoint, &verb_diff,	 &verb_doctor,	 &verb_explain,
	&verb_list,	  &verb_plan,	 &verb_prune,	 &verb_restore,
	&verb_revert,	  &verb_rm,	 &verb_rollback, &verb_show,
	&verb_status,	  &verb_symbols, &verb_update,	 &verb_verify,
};

static const char *verb_name(size_t i)
{
	return i < ARRAY_SIZE(verbs) ? verbs[i]->name : NULL;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static void print_help(FILE *to)
{
	fputs("usage: molt VERB [OPTION]... [ARGUMENT]...\n"
	      "Updates a running program in place into a new build of it; saves and "
	      "restores "
	      "processes.\n\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n'molt VERB --help' says more about one of them, molt(1) about all.\n",
	      to);
}

static int unknown_verb(const char *name)
{
	const char *near = nearest_word(name, verb_name);

	fprintf(stderr, "molt: unknown verb '%s'", name);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fputs("\nmolt: 'molt --help' lists the verbs\n", stderr);
	return FAILED_USAGE;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
	_cleanup_free_ char *name = NULL;

	if (asprintf(&name, "molt %s", verb->name) < 0)
		return FAILED_INTERNAL;
	argv[0] = name;
	return verb->run(verb, argc, argv);
}

static int run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		print_help(stderr);
		return FAILED_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		print_help(stdout);
		return DONE;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		puts("molt " MOLT_VERSION);
		return DONE;
	}
	if (strcmp(word, "help") == 0) { // as in git: `molt help update`
		if (argc == 2) {
			print_help(stdout);
			return DONE;
		}
		const struct verb *verb = find_verb(argv[2]);
		return verb ? cmd_help(verb) : unknown_verb(argv[2]);
	}
	const struct verb *verb = find_verb(word);
	return verb ? run_verb(verb, argc - 1, argv + 1) : unknown_verb(word);
}

int main(int argc, char **argv)
{
	signals_standard();
	setlocale(LC_CTYPE, ""); // numbers stay in the C locale: the JSON and the last
				 // line are parsed
	const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	int code = run(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("molt: cannot write to standard output\n", stderr);
		// An update that was made is made, though nobody could read of it.
		return code == DONE && !(verb && verb->acts) ? FAILED_INTERNAL : code;
	}
	return code;
}
