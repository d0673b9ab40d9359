// SPDX-License-Identifier: LGPL-2.1-or-later
// Which definition of OLD is which of NEW: by name, file and shape, then by what is left over.
#include "diff/types_internal.h"
#include "util/path.h"

enum pass { SAME_SHAPE, SAME_FILE_AND_UNIT, SAME_FILE, SAME_NAME, PASSES };

static const char *unit_of(const struct type_side *s, const struct type_def *def)
{
	const char *name = path_base(s->d->units.v[s->d->dies.v[def->die].unit].name);

	return name ? name : "";
}

static bool fits(struct types *t, enum pass pass, const struct type_def *o,
		 const struct type_def *n)
{
	if (n->twin != NO_TYPE)
		return false;
	switch (pass) {
	case SAME_SHAPE:
		return o->shape == n->shape && !strcmp(o->file, n->file);
	case SAME_FILE_AND_UNIT:
		return !strcmp(o->file, n->file) &&
		       !strcmp(unit_of(&t->old, o), unit_of(&t->new, n));
	case SAME_FILE:
		return !strcmp(o->file, n->file);
	case SAME_NAME:
	case PASSES:
	default:
		return true;
	}
}

// Names with thousands of definitions exist in damaged input only.
enum { MAX_SAME_NAME = 256 };

static void pair_one(struct types *t, uint32_t i, enum pass pass)
{
	struct type_def *o = &t->old.defs.v[i];
	uint32_t k = type_named(&t->new, o->name);

	for (int n = 0; k != NO_TYPE && n < MAX_SAME_NAME;
	     k = t->new.defs.v[k].same_name, n++) {
		if (!fits(t, pass, o, &t->new.defs.v[k]))
			continue;
		o->twin = k;
		t->new.defs.v[k].twin = i;
		return;
	}
}

struct err *types_pair_defs(struct types *t)
{
	for (enum pass pass = SAME_SHAPE; pass < PASSES; pass++)
		for (uint32_t i = 0; i < t->old.defs.n; i++)
			if (t->old.defs.v[i].twin == NO_TYPE)
				pair_one(t, i, pass);
	return NULL;
}
