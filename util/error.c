// SPDX-License-Identifier: LGPL-2.1-or-later
// Errors as values; see error.h.
#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err nomem = {
	.kind = ERR_NOMEM,
	.errnum = ENOMEM,
	.message = (char[]){"out of memory"},
	.is_static = true,
};

struct err *err_nomem(void)
{
	return &nomem;
}

struct err *err_first(struct err *e, struct err *after)
{
	if (!e)
		return after;
	err_free(after);
	return e;
}

static struct err *make(enum err_kind kind, int errnum, const char *fmt, va_list ap)
{
	struct err *e = calloc(1, sizeof(*e));

	if (!e)
		return &nomem;
	e->kind = kind;
	e->errnum = errnum;
	if (vasprintf(&e->message, fmt, ap) < 0) {
		free(e);
		return &nomem;
	}
	return e;
}

struct err *err_new(enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct err *e = make(kind, 0, fmt, ap);
	va_end(ap);
	return e;
}

static enum err_kind kind_of_errno(int errnum)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		return ERR_PERM;
	case ENOMEM:
		return ERR_NOMEM;
	case ESRCH:
		return ERR_LOST;
	default:
		return ERR_SYSTEM;
	}
}

struct err *err_sys(int errnum, const char *fmt, ...)
{
	va_list ap;

	if (errnum < 0)
		errnum = -errnum;
	va_start(ap, fmt);
	struct err *e = make(kind_of_errno(errnum), errnum, fmt, ap);
	va_end(ap);
	if (!e->is_static) {
		char *full;

		if (asprintf(&full, "%s: %s", e->message, strerror(errnum)) >= 0) {
			free(e->message);
			e->message = full;
		}
	}
	return e;
}

struct err *err_refuse(const char *code, const char *object, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct err *e = make(ERR_REFUSED, 0, fmt, ap);
	va_end(ap);
	return err_with(e, code, object);
}

struct err *err_wrap(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char *context, *full;
	int len;

	if (!e || e->is_static)
		return e;
	va_start(ap, fmt);
	len = vasprintf(&context, fmt, ap);
	va_end(ap);
	if (len < 0)
		return e;
	if (asprintf(&full, "%s: %s", context, e->message) >= 0) {
		free(e->message);
		e->message = full;
	}
	free(context);
	return e;
}

struct err *err_with(struct err *e, const char *code, const char *object)
{
	if (!e || e->is_static)
		return e;
	e->code = code;
	free(e->object);
	e->object = object ? strdup(object) : NULL;
	return e;
}

bool err_is_shortage(const struct err *e)
{
	return e && (e->kind == ERR_NOMEM || e->errnum == ENOMEM || e->errnum == EMFILE ||
		     e->errnum == ENFILE || e->errnum == EAGAIN);
}

void err_free(struct err *e)
{
	if (!e || e->is_static)
		return;
	free(e->object);
	free(e->message);
	free(e);
}

void err_freep(struct err **e)
{
	err_free(*e);
}
