// SPDX-License-Identifier: LGPL-2.1-or-later
__thread int tls_shared;
static __thread int own = 100;

int tls_next(void)
{
	return ++tls_shared;
}

int tls_start(void)
{
	return ++own;
}

const char *tls_name(void)
{
	return "v1";
}
