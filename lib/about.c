// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of the public interface that look at no program: version and explanations.
#include "include/molt.h"
#include "util/codes.h"

const char *molt_version(void)
{
	return MOLT_VERSION;
}

bool molt_explain(const char *code, const char **title, const char **meaning,
		  const char **remedy)
{
	const struct code_text *c = code ? code_find(code) : NULL;

	if (!c)
		return false;
	if (title)
		*title = c->title;
	if (meaning)
		*meaning = c->meaning;
	if (remedy)
		*remedy = c->remedy;
	return true;
}
