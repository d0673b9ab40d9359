// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>
#include <pthread.h>

#include <stdexcept>
#include <string>

#include "victim.h"

#include "mid.h"

static int own_throw(int x)
{
	throw std::runtime_error("prog " + std::to_string(x));
}

static int wait_for_cancel(int x)
{
	volatile int n = x, woken = 0; // long enough for the jump at its entry

	for (;;)
		woken += pause() + n;
}

static std::string attempt(int (*f)(int), int x)
{
	try {
		mid_call(f, x);
	} catch (const std::exception &e) {
		return std::string("caught ") + e.what();
	}
	return "nothing";
}

struct work {
	int x;
	std::string said;
};

static void *thread(void *arg)
{
	work *w = static_cast<work *>(arg);

	w->said = attempt(mid_throw, w->x);
	return nullptr;
}

static void *canceled(void *)
{
	mid_call(wait_for_cancel, 0);
	return nullptr;
}

static int (*plug_throw(void))(int)
{
	static int (*f)(int);

	if (!f)
		f = reinterpret_cast<int (*)(int)>(
			dlsym(dlopen("./libplug.so", RTLD_NOW), "plug_throw"));
	return f;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int x = atoi(strchr(cmd, ' ') + 1);
	std::string said;
	pthread_t t;

	if (!strncmp(cmd, "lib", 3)) {
		said = attempt(mid_throw, x);
	} else if (!strncmp(cmd, "back", 4)) {
		said = attempt(own_throw, x);
	} else if (!strncmp(cmd, "plug", 4)) {
		said = attempt(plug_throw(), x);
	} else if (!strncmp(cmd, "thread", 6)) {
		work w = { x, "" };

		pthread_create(&t, nullptr, thread, &w);
		pthread_join(t, nullptr);
		said = w.said;
	} else {
		void *ret;

		pthread_create(&t, nullptr, canceled, nullptr);
		usleep(20000);
		pthread_cancel(t);
		pthread_join(t, &ret);
		said = ret == PTHREAD_CANCELED ? "canceled" : "ended";
	}
	reply("%s, cleanups %d", said.c_str(), mid_cleanups);
}
