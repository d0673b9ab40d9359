// SPDX-License-Identifier: LGPL-2.1-or-later
#include "one.h"

int one_count()
{
	one::filler[0]++;
	return ++one::count;
}

const char *one_name()
{
	return "v1";
}
