// SPDX-License-Identifier: LGPL-2.1-or-later
#include <functional>
#include <memory>
#include <string>

#include "victim.h"

class shape {
public:
	virtual ~shape() {}
	virtual int area() const = 0;
	virtual std::string name() const = 0;
};

class box : public shape {
	int w = 3, h = 4;

public:
	NOINLINE int area() const override
	{
		return w * h;
	}
	NOINLINE std::string name() const override
	{
		return std::string("bo") + "x";
	}
};

static std::unique_ptr<shape> s;
static std::function<int(void)> f;

extern "C" NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!s) {
		s.reset(new box);
		f = [] { return s->area(); };
	}
	if (is(cmd, "area"))
		reply("%d", f());
	else
		reply("%s", s->name().c_str());
}
