// SPDX-License-Identifier: LGPL-2.1-or-later
__thread int tls_shared;
static __thread int own = 100;

int tls_next(void)
{
	return ++tls_shared;
}

int tls_start(void)
{
	own = own + 1; return own > 0 ? own : 1;
}

const char *tls_name(void)
{
	return "v2";
}
