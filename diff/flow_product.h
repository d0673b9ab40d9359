// SPDX-License-Identifier: LGPL-2.1-or-later
// The product of both graphs, shared between the walk and the effect of one pair.
#pragma once

#include "diff/flow_internal.h"

enum pair_kind { PAIR_EQUAL, PAIR_CHANGED, PAIR_INSERTED, PAIR_DELETED, PAIR_DIVERGED };

struct node {
	uint32_t n, o;
	struct locs equal; // before the pair
	bool queued;
};

struct product {
	const struct flow *f;
	VEC(struct node) nodes;
	VEC(uint32_t) work;
	uint32_t *slots; // hash of the pair to index + 1 in nodes
	size_t nslots, limit;
	bool *new_diverged, *old_diverged, *branch_differs;
	struct culprit culprits[LOCS + SLOTS];
	const struct place *stop; // the walk does not go on from here, or NULL
	unsigned diverged;	  // times
	char unprovable[96];
};

// flow_transfer.c
enum pair_kind pair_kind_of(const struct flow *f, uint32_t n, uint32_t o);
// What is equal behind the node's pair.
struct locs product_transfer(struct product *p, const struct node *x, enum pair_kind kind);
// Whether all that the new instruction reads is equal.
bool product_inputs_equal(const struct product *p, const struct locs *at, uint32_t n);
// Nothing that a marked instruction writes is equal.
void product_forget_written(struct product *p, struct locs *at, const bool *mark,
			    bool in_new);
