// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

extern int shape_calls;
int shape_area(int side);
const char *shape_unit(void);
typedef int (*shape_func)(int);
shape_func shape_get(void);
