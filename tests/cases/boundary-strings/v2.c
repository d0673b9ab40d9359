// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static const char features[8] = "one two";
static const char server[16] = "lighttpd/1.4.83";

static NOINLINE const char *feature_text(void)
{
	return features;
}

static NOINLINE const char *server_text(void)
{
	return server;
}

static NOINLINE int feature_len(void)
{
	int n = 0;

	for (const char *p = features; p != features + sizeof(features); p++)
		n += *p != 0;
	return n;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%.*s | %s", feature_len(), feature_text(), server_text());
}
