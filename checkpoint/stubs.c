// SPDX-License-Identifier: LGPL-2.1-or-later
// Until resource/files.c has it: whoever lands it takes this file away.
#include "resource/resource.h"

#define WEAK __attribute__((weak))

WEAK struct err *save_descriptors(struct saver *s)
{
	(void)s;
	return NULL;
}
