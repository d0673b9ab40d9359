// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

struct one {
	static inline int filler[3];
	static inline int count;
};

int one_count();
const char *one_name();
