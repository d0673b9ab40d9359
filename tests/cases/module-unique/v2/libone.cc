// SPDX-License-Identifier: LGPL-2.1-or-later
#include "one.h"

int one_count()
{
	one::filler[1] += 2;
	return ++one::count;
}

const char *one_name()
{
	return "v2";
}
