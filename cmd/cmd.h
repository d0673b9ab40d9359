// SPDX-License-Identifier: GPL-2.0-or-later
// What every verb of the command shares. A verb is one file cmd/NAME.c with one `const
// struct verb verb_NAME`, one line in the table of cmd/main.c and one in cmd/verbs.h.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/molt.h"
#include "util/error.h"

// Exit codes, as in molt(1), EXIT STATUS. They are the verdicts of the library.
enum exit_code {
	DONE = MOLT_DONE,
	FAILED_INTERNAL = MOLT_INTERNAL,
	FAILED_USAGE = MOLT_USAGE,
	REFUSED = MOLT_REFUSED,
	FAILED_BUSY = MOLT_BUSY,
	FAILED_PERMISSION = MOLT_PERMISSION,
	ROLLED_BACK = MOLT_ROLLED_BACK,
	TARGET_LOST = MOLT_LOST,
	INPUT_CORRUPT = MOLT_CORRUPT,
	UNSUPPORTED = MOLT_UNSUPPORTED,
};

struct verb {
	const char *name;
	const char *summary; // one line of `molt --help`
	// What follows `molt NAME` in the usage: "[-v] [--json] OLD NEW".
	const char *synopsis;
	// Further lines of `molt NAME --help`, mostly options; ends with a newline.
	const char *help;
	// argv[0] is "molt NAME", so that getopt_long's own messages read well. Returns
	// an exit code.
	int (*run)(const struct verb *verb, int argc, char **argv);
	bool acts; // what it has done stays done when nobody can read the report
};

// Common options: what getopt_long returns for those without a letter of their own.
enum {
	OPT_JSON = 256,
	OPT_EXE,
	OPT_UNIT,
	OPT_VERB
}; // a verb numbers its own from OPT_VERB

#define COMMON_OPTIONS                              \
	{"help", no_argument, NULL, 'h'},           \
	{                                           \
		"json", no_argument, NULL, OPT_JSON \
	}

// Prints `molt NAME --help` to stdout. Returns DONE.
int cmd_help(const struct verb *verb);

// A usage error: "molt NAME: MESSAGE" (left out when fmt is NULL: getopt_long has said
// it) and where to find help, to stderr. Returns FAILED_USAGE.
int cmd_usage(const struct verb *verb, const char *fmt, ...) printf_like(2, 3);

// Reports an error and frees it: one line to stderr with its code and where that is
// explained, or with `json` one object on stdout (schema, verdict, code, reason, object).
// Returns the exit code of its kind.
int cmd_fail(const struct verb *verb, struct err *e, bool json);

// The same, adding its members to `members` (taken over; NULL allowed) in the --json
// output.
int cmd_fail_with(const struct verb *verb, struct err *e, bool json, json_t *members);

int exit_code_of(enum err_kind kind);
const char *verdict_of(int exit_code); // "done", "refused", "busy" ... as in --json

// A new object {"schema": "molt/NAME/1"}; NULL without memory (jansson's functions take
// NULL).
json_t *cmd_json(const struct verb *verb);
// null for NULL. Names of files and symbols need not be UTF-8: the bytes that are none become '?'.
json_t *cmd_json_string(const char *s);
// Prints it to stdout, frees it and returns `code`, or FAILED_INTERNAL without memory.
int cmd_print_json(json_t *object, int code);

// --debug: what is not there would only be noticed as debug information that is missing.
struct err *check_debug(const char *path) must_check;
// A file that the user named.
struct err *check_readable(const char *path) must_check;

// A pid as the user wrote it; a usage error otherwise.
struct err *parse_pid(const char *text, int *ret) must_check;
// Seconds, not negative, fractions allowed.
struct err *parse_seconds(const char *text, double *ret) must_check;

// A generation of a process; a usage error otherwise.
struct err *parse_generation(const char *text, int *ret) must_check;

// One line on stderr that says where a slow job is: on a terminal it is rewritten in
// place once the job has taken a second; with `verbose` each text is a line of its own at
// once; otherwise nothing.
struct progress {
	bool tty, verbose, shown;
	uint64_t start_ns;
};
void progress_begin(struct progress *p, bool verbose);
void progress_say(struct progress *p, const char *fmt, ...) printf_like(2, 3);
// The same for the library, whose texts may have names from outside.
void progress_text(void *progress, const char *text);
void progress_end(struct progress *p); // clears the line

// The candidate nearest to `word` by edit distance, NULL when none is near. name(i) gives
// NULL at the end.
const char *nearest_word(const char *word, const char *(*name)(size_t i));
