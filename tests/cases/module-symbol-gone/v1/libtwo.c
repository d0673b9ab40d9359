// SPDX-License-Identifier: LGPL-2.1-or-later
int two_a(void)
{
	return 1;
}

int two_b(void)
{
	return 2;
}
