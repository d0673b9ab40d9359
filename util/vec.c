// SPDX-License-Identifier: LGPL-2.1-or-later
// Growing arrays; see vec.h.
#include "util/vec.h"

#include <stdlib.h>

bool vec_reserve_(void **v, size_t n, size_t *cap, size_t size, size_t more)
{
	size_t want, bytes;

	if (__builtin_add_overflow(n, more, &want))
		return false;
	if (want <= *cap)
		return true;
	size_t grown = *cap ? *cap + *cap / 2 : 8;
	if (grown < want)
		grown = want;
	if (__builtin_mul_overflow(grown, size, &bytes))
		return false;
	void *p = realloc(*v, bytes);
	if (!p)
		return false;
	*v = p;
	*cap = grown;
	return true;
}
