// SPDX-License-Identifier: LGPL-2.1-or-later
// Pairs what both sides have under one key; see match.h.
#include "diff/match.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "diff/decode.h"

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

void items_sort(item_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_key);
}

static size_t drop_paired(item_list *l, const uint32_t *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].key && to[l->v[i].index] == NO_TWIN)
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
	items_sort(l);
	return kept;
}

static size_t group_end(const item_list *l, size_t i)
{
	size_t end = i + 1;

	while (end < l->n && l->v[end].key == l->v[i].key)
		end++;
	return end;
}

void match_items(item_list *old, item_list *new, enum match_mode mode, uint32_t *to_new,
		 uint32_t *to_old)
{
	size_t i = 0, k = 0;

	if (!drop_paired(old, to_new) || !drop_paired(new, to_old))
		return;
	while (i < old->n && k < new->n) {
		if (old->v[i].key != new->v[k].key) {
			if (old->v[i].key < new->v[k].key)
				i++;
			else
				k++;
			continue;
		}
		size_t i_end = group_end(old, i), k_end = group_end(new, k);
		size_t n = i_end - i, other = k_end - k;
		bool good = mode == MATCH_PREFIX ||
			    (n == other && (n == 1 || mode != MATCH_UNIQUE));

		for (size_t x = 0; good && x < n && x < other; x++) {
			uint32_t a = old->v[i + x].index, b = new->v[k + x].index;

			if (to_new[a] == NO_TWIN && to_old[b] == NO_TWIN) {
				to_new[a] = b;
				to_old[b] = a;
			}
		}
		i = i_end;
		k = k_end;
	}
}

uint64_t key_string(uint64_t key, const char *s)
{
	uint64_t h = 14695981039346656037u;

	if (!s)
		return hash_mix(key, 3);
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return hash_mix(key, h) | 1;
}

uint64_t key_without_digits(uint64_t key, const char *s)
{
	const char *lto = strstr(s, ".lto_priv.");
	uint64_t h = 14695981039346656037u;

	for (; *s && s != lto; s++) {
		if (!isdigit((unsigned char)*s))
			h = (h ^ (uint8_t)*s) * 1099511628211u;
	}
	return hash_mix(key, h) | 1;
}
