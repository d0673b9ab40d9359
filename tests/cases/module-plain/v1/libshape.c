// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shape.h"

int shape_calls;
static const char *unit = "cm";

static __attribute__((noinline)) int square(int x)
{
	return x * x;
}

int shape_area(int side)
{
	shape_calls++;
	return square(side);
}

const char *shape_unit(void)
{
	return unit;
}

shape_func shape_get(void)
{
	return shape_area;
}
