// SPDX-License-Identifier: LGPL-2.1-or-later
// Remarks for the user; see json.h.
#include "resource/json.h"

#include <stdarg.h>
#include <stdio.h>

struct err *saving_note(struct saving *all, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? err_nomem() : vec_push(&all->notes, text);
}

struct err *restoring_note(struct restoring *all, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? err_nomem() : vec_push(&all->notes, text);
}
