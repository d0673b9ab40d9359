// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdexcept>
#include <string>
#include <vector>

#include "victim.h"

static int gone;

struct guard {
	~guard()
	{
		gone++;
	}
};

static NOINLINE void deep(int n)
{
	std::vector<std::string> words(3, "word");

	if (n < 0)
		throw std::runtime_error("text");
	if (n > 0)
		throw n;
	gone += static_cast<int>(words.size()) - 3;
}

static NOINLINE void middle(int n)
{
	guard g;

	deep(n);
	gone += 0 * n;
}

extern "C" NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n = 0;

	sscanf(cmd, "try %d", &n);
	try {
		middle(n);
		reply("none, %d gone", gone);
	} catch (int got) {
		reply("caught %d, %d gone", got, gone);
	} catch (const std::exception &e) {
		reply("caught %s, %d gone", e.what(), gone);
	}
}
