// SPDX-License-Identifier: LGPL-2.1-or-later
// Until resource/, process/ask.c and process/tracker.c have these: whoever lands one takes its line away here.

#include "process/tracker.h"
#include "resource/resource.h"

#define WEAK __attribute__((weak))

WEAK void tracker_free(struct tracker *t)
{
	(void)t;
}
WEAK struct err *save_descriptors(struct saver *s)
{
	(void)s;
	return NULL;
}
