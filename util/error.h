// SPDX-License-Identifier: LGPL-2.1-or-later
// Errors as values: everything above os/ that can fail returns a struct err * (NULL: fine).
#pragma once

#include <stdbool.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

// What kind of failure; cmd/ maps each kind to one exit code (molt(1), EXIT STATUS).
enum err_kind {
	ERR_INTERNAL,	 // a bug of molt, or an inconsistency it found in itself
	ERR_SYSTEM,	 // a system call failed; errnum says how
	ERR_NOMEM,	 // no memory for the tool
	ERR_USAGE,	 // the command line or an argument makes no sense
	ERR_REFUSED,	 // molt will not do it; the target was not touched
	ERR_BUSY,	 // not quiescent in time; the target was not touched
	ERR_PERM,	 // a permission or capability is missing
	ERR_ROLLED_BACK, // it failed inside the stop, all was put back
	ERR_LOST,	 // the target died
	ERR_CORRUPT,	 // an input file or image is damaged
	ERR_UNSUPPORTED, // kernel or host lacks something
};

struct err {
	enum err_kind kind;
	int errnum;	  // errno value, or 0
	const char *code; // stable code for `molt explain` and --json, static; NULL if none
	char *object;	  // what it is about (function, type, file, thread ...), or NULL
	char *message;	  // lower case, no full stop, the object named
	bool is_static;	  // never freed (out of memory)
};

// New error of `kind`. The message is formatted; never returns NULL.
struct err *err_new(enum err_kind kind, const char *fmt, ...) must_check printf_like(2, 3);

// New error from an errno value (positive or -errno); its text is appended: "cannot open x: No such file".
// EPERM and EACCES make it ERR_PERM, ENOMEM ERR_NOMEM, ESRCH ERR_LOST, all others ERR_SYSTEM.
struct err *err_sys(int errnum, const char *fmt, ...) must_check printf_like(2, 3);

// New ERR_REFUSED with its stable code (a row of util/codes.c) and the object it is about.
struct err *err_refuse(const char *code, const char *object, const char *fmt, ...)
	must_check printf_like(3, 4);

// Out of memory; static, needs no memory.
struct err *err_nomem(void) must_check;

// Puts "context: " before the message and returns the same error. NULL stays NULL.
struct err *err_wrap(struct err *e, const char *fmt, ...) must_check printf_like(2, 3);

// Sets the code and the object (copied) of an error and returns it. NULL stays NULL.
struct err *err_with(struct err *e, const char *code, const char *object) must_check;

// The first of two errors that is one; the other is freed. For what must be done whatever happened before.
struct err *err_first(struct err *e, struct err *after) must_check;

// The tool ran out of memory, descriptors or the like: says nothing about what it looked at.
bool err_is_shortage(const struct err *e);

void err_free(struct err *e);
void err_freep(struct err **e);

// Returns from the calling function when the expression gives an error.
#define TRY(expr)                              \
	do {                                   \
		struct err *try_err_ = (expr); \
		if (try_err_)                  \
			return try_err_;       \
	} while (0)
