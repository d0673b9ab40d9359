// SPDX-License-Identifier: GPL-2.0-or-later
// Text from outside (names, paths, symbols, what errors say of them) on its way to a terminal.
#pragma once

#include <stddef.h>

enum { SHOWN_MAX = 4096 };

// The text itself when it is harmless; else a copy in which control characters (line ends too), what turns the
// direction of writing, and bytes that are no UTF-8 are written as \n or \x1b. It is cut off after SHOWN_MAX bytes
// and lives as long as the block in which it is called.
#define shown(text) shown_in((char[SHOWN_MAX]){0}, text)

const char *shown_in(char buf[SHOWN_MAX], const char *text);
