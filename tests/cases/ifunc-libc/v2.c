// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static size_t (*volatile measure)(const char *);

static NOINLINE void first_use(char *out, int size)
{
	char a[64], b[64];

	memset(a, 0, sizeof(a));
	memcpy(a, "abcabc", 7);
	memset(b, 'x', 26);
	b[26] = 0;
	reply("%zu %.3s %c %.2s %d", strlen(b), (char *)memchr(a, 'c', 6), *strrchr(a, 'c'),
	      strstr(a, "ab"), memcmp("abc", "abd", 3) < 0 ? -1 : 1);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "pointer")) {
		measure = strlen;
		reply("%zu", measure("abc"));
		return;
	}
	first_use(out, size);
}
