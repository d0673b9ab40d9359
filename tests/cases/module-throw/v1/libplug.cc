// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdexcept>
#include <string>

extern "C" int plug_throw(int x)
{
	throw std::runtime_error(std::string("plug v1 ") + std::to_string(x));
}
