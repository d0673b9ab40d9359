// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct item {
	struct item *next;
	long used;
	long limit;
};

struct item *list;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get") && !list) {
		list = (struct item *)calloc(1, sizeof(*list));
		list->used = 7;
	}
	reply("%ld", list->used + list->limit);
}
