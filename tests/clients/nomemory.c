// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded into molt by tests: the NOMEMORY_AT-th call of malloc and its kin fails, with NOMEMORY_ON also all
// that follow. At the end their number is written to the descriptor NOMEMORY_COUNT.
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static long calls, at;
static bool on;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("NOMEMORY_AT");

	at = text ? calls + atol(text) : 0;
	on = getenv("NOMEMORY_ON");
}

__attribute__((destructor)) static void end(void)
{
	const char *text = getenv("NOMEMORY_COUNT");

	at = 0;
	if (text)
		dprintf(atoi(text), "%ld", calls);
}

static bool fails(void)
{
	long n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);

	if (!at || n < at || (n > at && !on))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (fails() || __builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return __libc_realloc(p, bytes);
}
