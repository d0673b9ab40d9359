// SPDX-License-Identifier: LGPL-2.1-or-later
#include "one.h"

extern "C" int plug_count()
{
	return ++one::count;
}
