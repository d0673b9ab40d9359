// SPDX-License-Identifier: LGPL-2.1-or-later
// What the user should know about a rebuilt process.
#include "restore/rebuilt.h"

size_t rebuilt_notes(const struct rebuilt *r, char *const **ret)
{
	*ret = r->all.notes.v;
	return r->all.notes.n;
}
