// SPDX-License-Identifier: LGPL-2.1-or-later
static int value;

__attribute__((noinline)) static int advance(int by)
{
	value += by;
	return value;
}

__attribute__((noinline)) int a_next(void)
{
	return advance(1);
}
