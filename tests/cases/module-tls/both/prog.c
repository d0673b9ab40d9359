// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

int tls_next(void);
int tls_start(void);
extern __thread int tls_shared;
const char *tls_name(void);

static void *thread(void *arg)
{
	int *v = arg;

	v[0] = tls_next();
	v[1] = tls_start();
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int v[2];
	pthread_t t;

	if (is(cmd, "thread")) {
		pthread_create(&t, NULL, thread, v);
		pthread_join(t, NULL);
	} else {
		thread(v);
		if (tls_shared != v[0])
			v[0] = -1;
	}
	reply("%d %d %s", v[0], v[1], tls_name());
}
