// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>

#include "victim.h"

typedef const char *(*run_func)(int);

static void *plug;
static run_func run;
static int calls;

__attribute__((visibility("default"))) int host_call(void)
{
	return ++calls;
}

__attribute__((visibility("default"))) void host_closed(void)
{
	calls += 0;
	victim.eintr += 0;
}

static NOINLINE int open_plug(void)
{
	plug = dlopen("./libplug.so", RTLD_LAZY | RTLD_LOCAL);
	run = plug ? (run_func)dlsym(plug, "plug_run") : NULL;
	return run != NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "open") || (!plug && calls == 0))
		open_plug();
	if (is(cmd, "open"))
		reply("%s", run ? "opened" : dlerror());
	else if (is(cmd, "close") && plug)
		reply("%s %d", dlclose(plug) ? "failed" : "closed", calls), plug = NULL, run = NULL;
	else if (!run)
		reply("none");
	else if (is(cmd, "sym"))
		reply("%s", ((run_func)dlsym(plug, "plug_run"))(7));
	else
		reply("%s", run(atoi(cmd + 4)));
}
