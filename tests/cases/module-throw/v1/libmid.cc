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

	return f(x) + 1;
}

static const char *text = "v1 lib ";

int mid_throw(int x)
{
	throw std::runtime_error(text + std::to_string(x));
}
