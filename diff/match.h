// SPDX-License-Identifier: LGPL-2.1-or-later
// Pairs what both sides have under one key, step by step. Private to diff/.
#pragma once

#include "diff/side.h"

struct item { // something to pair under a key; 0 keys are left out
	uint64_t key;
	uint32_t index;
};

typedef VEC(struct item) item_list;

enum match_mode {
	MATCH_UNIQUE,	// only keys that stand once on each side
	MATCH_IN_ORDER, // the k-th of a key with the k-th, when both sides have as many
	MATCH_PREFIX,	// the k-th with the k-th as long as there are some
};

// Pairs unpaired items; to[] arrays hold the index of the twin. Items of indices that have one already
// are ignored. The lists are sorted.
void match_items(item_list *old, item_list *new, enum match_mode mode, uint32_t *to_new,
		 uint32_t *to_old);

void items_sort(item_list *l);

uint64_t key_string(uint64_t key, const char *s);
// Without its digits, and without what compilers put behind names to keep them apart.
uint64_t key_without_digits(uint64_t key, const char *s);

struct err *pair_functions(struct diff *d) must_check;
// confidence: by new function, filled in for those it pairs.
struct err *pair_functions_by_shape(struct diff *d, float *confidence) must_check;
struct err *pair_variables(struct diff *d) must_check;
uint64_t body_shape(const struct side *s, const struct body *b, bool with_names);
