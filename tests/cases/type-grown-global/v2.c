// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	long used;
	long limit;
};

struct conf conf = { .used = 7 };
struct conf *volatile conf_ptr = &conf;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	conf_ptr->used += is(cmd, "more");
	reply("%ld", conf_ptr->used + conf_ptr->limit);
}
