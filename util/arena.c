// SPDX-License-Identifier: LGPL-2.1-or-later
// Strings and small blocks that live and die together; see arena.h.
#include "util/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024 };

// Names made of names made of names: damaged debugging information can ask for any amount.
static const size_t max_total = (size_t)1 << 30;

struct arena {
	struct arena *next;
	size_t used, size, total; // total of this chunk and those before it
	_Alignas(16) char bytes[];
};

void *arena_alloc(void **a, size_t size)
{
	struct arena *top = *a;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	if (!top || top->size - top->used < size) {
		size_t room = size > CHUNK ? size : CHUNK, before = top ? top->total : 0;

		if (room > max_total - before)
			return NULL;
		top = calloc(1, sizeof(*top) + room);
		if (!top)
			return NULL;
		top->size = room;
		top->total = before + room;
		top->next = *a;
		*a = top;
	}
	void *p = top->bytes + top->used;
	top->used += size;
	return p;
}

char *arena_strndup(void **a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (p)
		memcpy(p, s, n);
	return p;
}

char *arena_strdup(void **a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(void **a, const char *fmt, ...)
{
	char *text, *copy;
	va_list ap;

	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return NULL;
	copy = arena_strndup(a, text, (size_t)len);
	free(text);
	return copy;
}

void arena_free(void **a)
{
	for (struct arena *c = *a, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = NULL;
}
