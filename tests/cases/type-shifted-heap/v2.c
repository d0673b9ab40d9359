// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct item {
	struct item *next;
	int flags;
	int used;
	char text[16];
};

struct item *list;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get") && !list) {
		list = (struct item *)calloc(1, sizeof(*list));
		list->used = 7;
		strcpy(list->text, "hello");
	}
	reply("%d %s", list->used + list->flags, list->text);
}
