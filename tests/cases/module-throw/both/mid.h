// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

extern int mid_cleanups;
int mid_call(int (*f)(int), int x);
int mid_throw(int x);
