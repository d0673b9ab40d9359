// SPDX-License-Identifier: LGPL-2.1-or-later
#include "mid.h"

#include <stdexcept>
#include <string>

int mid_cleanups;

struct cleanup {
	~cleanup()
	{
		mid_cleanups++;
	}
};

int mid_call(int (*f)(int), int x)
{
	cleanup c;

	return 2 * f(x) + x;
}

static const char *text = "v2 lib ";

int mid_throw(int x)
{
	throw std::runtime_error(text + std::to_string(x));
}
