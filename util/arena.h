// SPDX-License-Identifier: LGPL-2.1-or-later
// Strings and small blocks that live and die together; `void *strings` members are one of
// these.
#pragma once

#include <stddef.h>

struct arena;

// Zeroed memory aligned to 16 bytes, NULL when there is none or the arena has 1 GB already. *a starts as NULL and is
// made on first use.
void *arena_alloc(void **a, size_t size);

// A copy of n bytes of s with a NUL behind them.
char *arena_strndup(void **a, const char *s, size_t n);
char *arena_strdup(void **a, const char *s);

char *arena_printf(void **a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void arena_free(void **a);
