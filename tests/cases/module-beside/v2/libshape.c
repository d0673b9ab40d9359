// SPDX-License-Identifier: LGPL-2.1-or-later
static int count;

int lib_count(void)
{
	return ++count;
}

int lib_added(int x)
{
	return x + count;
}

const char *lib_name(void)
{
	return "new lib";
}

int lib_peak(void)
{
	return count;
}
