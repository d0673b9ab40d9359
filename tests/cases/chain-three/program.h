// SPDX-License-Identifier: LGPL-2.1-or-later
// The program of all three generations; NAME, STEP and ADDED differ.
#include "victim.h"

static int count;
static const char *const words[] = {NAME, "x", NAME " words"};

static NOINLINE int step(void)
{
	return count += STEP;
}

#ifdef ADDED
static int added_calls;

NOINLINE int added(int n)
{
	added_calls = 0;
	return n * ADDED;
}

int (*volatile extra)(int) = added;
#endif

static NOINLINE int unchanged(int n)
{
	return n + (int)strlen(words[2]);
}

int (*kept)(void);
int (*kept_too)(int) = unchanged;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int more = 0;

	if (is(cmd, "keep"))
		kept = step;
#ifdef ADDED
	more = extra(2);
#endif
	reply("%s %d %d %d %d", words[0], kept ? kept() : step(), kept_too(0), kept == step, more);
}
