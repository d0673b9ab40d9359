// SPDX-License-Identifier: LGPL-2.1-or-later
// Growing arrays: struct { T *v; size_t n, cap; }. A failed push leaves the array as it was.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "util/error.h"

#define VEC(T)              \
	struct {            \
		T *v;       \
		size_t n;   \
		size_t cap; \
	}

// Makes room for `more` further elements of `size` bytes; false when there is no memory.
bool vec_reserve_(void **v, size_t n, size_t *cap, size_t size, size_t more);

#define vec_reserve(vec, more)                                                      \
	(vec_reserve_((void **)&(vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v), \
		      (more))                                                       \
		 ? NULL                                                             \
		 : err_nomem())

// Appends a copy of `...` (the element); gives struct err *.
#define vec_push(vec, ...)                                                             \
	(vec_reserve_((void **)&(vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v), 1) \
		 ? ((vec)->v[(vec)->n++] = (__VA_ARGS__), (struct err *)NULL)          \
		 : err_nomem())

#define vec_free(vec)                      \
	do {                               \
		free((vec)->v);            \
		(vec)->v = NULL;           \
		(vec)->n = (vec)->cap = 0; \
	} while (0)

// An empty one has no v to count from.
#define vec_for_each(it, vec)                        \
	for (__typeof__((vec)->v + 0) it = (vec)->v; \
	     (vec)->n && it < (vec)->v + (vec)->n; it++)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
