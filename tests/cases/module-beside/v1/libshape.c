// SPDX-License-Identifier: LGPL-2.1-or-later
static int count;

int lib_count(void)
{
	return ++count;
}

const char *lib_name(void)
{
	return "old lib";
}
