// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

typedef struct {
	int value;
	int rest[5];
	int spare[2];
} inner_t;

typedef struct {
	inner_t *inner;
} outer_t;

outer_t *outer;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get") && !outer) {
		outer = (outer_t *)calloc(1, sizeof(*outer));
		outer->inner = (inner_t *)calloc(1, sizeof(inner_t));
		outer->inner->value = 5;
	}
	reply("%d", outer->inner->value + outer->inner->rest[0]);
}
